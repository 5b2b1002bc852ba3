import os
import pathlib
import signal
import subprocess
import sys

import pytest

from senet_jax.system.errors import (
    BROKEN_PIPE_EXIT_CODE,
    MESSAGE_LIMIT,
    CommandParser,
    UserError,
    reason,
    run_command,
    shown,
)
from senet_jax.system.process import interruptible
from senet_jax.system.signals import INTERRUPTED_EXIT_CODE, PREEMPTED_EXIT_CODE


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


@pytest.mark.parametrize(
    "value",
    [
        "a\x1b[31m\nb" * 50,
        pytest.param(10**6000, id="huge"),
        [[[[["deep"]]]]] * 1000,
        {"key": "x" * 10_000},
        b"\x00" * 10_000,
        type("Hostile", (), {"__repr__": lambda self: 1 / 0})(),
    ],
)
def test_a_foreign_value_is_shown_short_and_printable(value):
    text = shown(value)
    assert text.isprintable() and 0 < len(text) < 400


def test_what_a_library_says_is_short_and_printable():
    assert reason(ValueError("two\nlines \x1b[2J")) == "two lines \\x1b[2J"
    assert reason(ValueError()) == "ValueError"
    assert len(reason(ValueError("x" * 10_000))) <= 200


def test_a_long_message_keeps_how_to_mend_it(capsys):
    def command():
        raise UserError(f"{'x' * 10_000}\x07; do this instead")

    with pytest.raises(SystemExit):
        run_command(command)
    line = capsys.readouterr().err
    assert len(line) <= MESSAGE_LIMIT + len("error: \n")
    assert line.endswith("\\x07; do this instead\n") and line[:-1].isprintable()


@pytest.mark.parametrize(
    ("number", "exit_code", "what"),
    [
        (signal.SIGINT, INTERRUPTED_EXIT_CODE, "interrupted"),
        (signal.SIGTERM, PREEMPTED_EXIT_CODE, "stopped by SIGTERM"),
    ],
)
def test_a_signal_is_one_line_that_says_what_is_saved(capsys, number, exit_code, what):
    def command():
        with interruptible(lambda: "step 3 is saved"), interruptible(lambda: "step 4 is saved"):
            os.kill(os.getpid(), number)

    for work, saved in (
        (command, "step 4 is saved"),
        (
            lambda: os.kill(os.getpid(), number),
            "nothing is left half-written; run the same command again",
        ),
    ):
        former = signal.getsignal(number)
        with pytest.raises(SystemExit) as ended:
            run_command(work)
        assert ended.value.code == exit_code
        assert capsys.readouterr() == ("", f"{what}: {saved}\n")
        assert signal.getsignal(number) is former


def test_exit_codes():
    """Launchers and users' scripts know them."""
    assert (PREEMPTED_EXIT_CODE, INTERRUPTED_EXIT_CODE, BROKEN_PIPE_EXIT_CODE) == (75, 130, 141)


def test_a_path_that_cannot_be_looked_at_is_one_line(capsys):
    for path in ("a" * 300, "\x1b" * 300):
        with pytest.raises(SystemExit) as ended:
            run_command(lambda path=path: pathlib.Path(path).is_dir())
        assert ended.value.code == 2
        line = capsys.readouterr().err
        assert line.startswith("error: cannot use '") and line[:-1].isprintable()
        assert line.endswith("File name too long; check the path\n")


IMPORT = "from senet_jax.system.errors import run_command"
PRINTS = f"{IMPORT}; run_command(lambda: print('x' * 100_000))"


def test_a_full_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PRINTS], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == (
        "error: cannot write to the standard output: No space left on device; make room for it\n"
    )


def test_a_closed_standard_output_ends_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (BROKEN_PIPE_EXIT_CODE, "")
    done = subprocess.run(
        f'{sys.executable} -c "{PRINTS}" >&-', shell=True, stderr=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_in_code_that_is_made_from_a_string_has_its_exit_code(tmp_path):
    """Python would end by the signal itself; dataclasses are such code, and many are imported."""
    interrupted = "import os; os.kill(os.getpid(), 2)"
    (tmp_path / "command.py").write_text(f"{IMPORT}; run_command(lambda: exec({interrupted!r}))")
    done = subprocess.run(
        [sys.executable, "-m", "command"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (done.returncode, done.stderr.count("\n")) == (INTERRUPTED_EXIT_CODE, 1)
