import pytest

from senet_jax.errors import CommandParser, UserError, run_command


def test_a_mistake_is_one_line_and_exit_code_two(capsys):
    def command():
        raise UserError("first\nsecond   third")

    with pytest.raises(SystemExit) as ended:
        run_command(command)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "error: first second third\n")


def test_a_bug_keeps_its_traceback():
    def command():
        raise KeyError("a")

    with pytest.raises(KeyError):
        run_command(command)


def test_what_is_done_exits_with_nothing(capsys):
    run_command(lambda: print("done"))
    assert capsys.readouterr() == ("done\n", "")


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "--fl=1"], ["a", "--flag"]])
def test_a_wrong_command_line_is_one_line(capsys, arguments):
    parser = CommandParser(prog="tool")
    parser.add_argument("name")
    parser.add_argument("--flag")
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.endswith("(see tool --help)\n")
    assert err.count("\n") == 1
