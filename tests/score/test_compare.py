import json
import subprocess
import sys

import numpy as np
import pytest

from senet_jax.metrics.bootstrap import mean_interval
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.score.compare import (
    CHANGES,
    common_entries,
    compare,
    main,
    read_side,
    warnings,
)
from senet_jax.system.errors import UserError

NAMES = tuple(f"house_{query}" for query in range(9))
FIRST = np.array([0.5, 0.25, np.nan, 1, 0, 0.5, 0.5, 0.1, 0.2])
#              better, worse, unscored, worse, better, equal, equal, better, better
CHANGED = np.array([0.625, 0, np.nan, 0.5, 1, 0.5, 0.5 + 1e-12, 0.11, 0.22])


def _report(average_precisions, names=NAMES):
    """Medium is as given, Easy scores nobody, Hard is all right."""
    columns = np.where(np.isnan(average_precisions), np.nan, 0.5)[:, None].repeat(4, axis=1)
    medium = columns.copy()
    medium[:, 0] = average_precisions
    nobody, right = np.full_like(columns, np.nan), np.ones_like(columns)
    return EvaluationReport(names, {"easy": nobody, "medium": medium, "hard": right})


def _scores(average_precisions, names=NAMES):
    """As `score --json` has them."""
    return _report(average_precisions, names).to_json()


@pytest.fixture
def write(tmp_path):
    def write(name, value):
        path = tmp_path / name
        path.write_text(json.dumps(value))
        return str(path)

    return write


def test_the_comparison_for_people(write, run_command_here):
    first, second = write("a.json", _scores(FIRST)), write("b.json", {"town": _scores(CHANGED)})
    done = run_command_here(main, first, second)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    low, high = 100 * mean_interval(np.array([0.125, -0.25, -0.5, 1, 0, 0, 0.01, 0.02]))
    assert lines[:5] == [
        ["A:", first],
        ["B:", second],
        ["town", "A", "B", "B", "-", "A", "95", "%", "better", "worse", "equal"],
        ["easy", "-", "-", "-", "-", "0", "0", "0"],
        # Means of eight queries: 3.05 and 3.455 in all.
        ["medium", "38.12", "43.19", "+5.06", f"{low:+.2f}", "to", f"{high:+.2f}", "4", "2", "2"],
    ]
    assert lines[5:-1] == [
        ["house_4:", "0.00", "->", "100.00", "(+100.00)"],
        ["house_3:", "100.00", "->", "50.00", "(-50.00)"],
        ["house_1:", "25.00", "->", "0.00", "(-25.00)"],
        ["house_0:", "50.00", "->", "62.50", "(+12.50)"],
        ["house_8:", "20.00", "->", "22.00", "(+2.00)"],
    ]
    assert lines[-1] == ["hard", "100.00", "100.00", "+0.00", "+0.00", "to", "+0.00", *"009"]


def test_pairs_of_queries():
    comparison = compare(_report(FIRST), _report(CHANGED, (None,) * 9), "medium")
    assert comparison.names == tuple(name for name in NAMES if name != "house_2")
    np.testing.assert_allclose(
        comparison.differences, [0.125, -0.25, -0.5, 1, 0, 0, 0.01, 0.02], rtol=0, atol=1e-15
    )
    changes = comparison.largest_changes()
    assert len(changes) == CHANGES
    assert [comparison.names[place][-1] for place in changes] == list("43108")


def test_queries_without_names_are_called_by_their_numbers():
    unnamed = _report(FIRST, (None,) * 9)
    comparison = compare(unnamed, unnamed, "medium")
    assert comparison.names[:3] == ("query 0", "query 1", "query 3")
    assert comparison.largest_changes().size == 0


@pytest.mark.parametrize(
    ("names", "average_precisions", "message"),
    [
        (NAMES[:-1], FIRST[:-1], "A has 9 queries, B 8"),
        ((*NAMES[:-1], "tower"), FIRST, "query 8 is house_8 in A, tower in B"),
        (NAMES, np.nan_to_num(FIRST), "query 2 is scored in B only"),
        (NAMES, np.full(9, np.nan), "query 0 is scored in A only"),
    ],
)
def test_other_queries_are_not_comparable(
    write, run_command_here, names, average_precisions, message
):
    with pytest.raises(UserError, match=message):
        compare(_report(FIRST), _report(average_precisions, names), "medium")
    first = write("a.json", {"town": _scores(FIRST)})
    done = run_command_here(
        main, first, write("b.json", {"town": _scores(average_precisions, names)})
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: not comparable: town ")
    assert done.stderr.count("\n") == 1


def test_other_datasets_are_not_comparable(write, run_command_here):
    scores = _scores(FIRST)
    first = write("a.json", {"town": scores})
    for others in ({"village": scores}, {"village": scores, "port": scores}, {"run": {}}):
        done = run_command_here(main, first, write("b.json", others))
        assert (done.returncode, done.stdout) == (2, "")
        assert "error: no dataset is in both" in done.stderr
        assert done.stderr.count("\n") == 1
    several = write("b.json", {"village": scores, "port": scores})
    done = run_command_here(main, write("c.json", scores), several)
    assert "c.json has one without a name" in done.stderr


def test_only_the_datasets_of_both_are_compared(write, run_command_here):
    first = write("a.json", {"town": _scores(FIRST), "town+aqe": _scores(FIRST)})
    second = write("b.json", {"village": _scores(FIRST), "town": _scores(CHANGED), "run": {}})
    assert list(common_entries(read_side(first), read_side(second))) == ["town"]
    done = run_command_here(main, first, second)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"warning: town+aqe is in {first} only",
        f"warning: village is in {second} only",
    ]


RERANKED = {
    "town": _scores(FIRST),
    "town+dba,alpha_qe:blind": _scores(CHANGED),
    "town+dba,alpha_qe:protocol": _scores(np.nan_to_num(FIRST)),
    "port": _scores(FIRST),
    "run": {},
}


@pytest.mark.parametrize(
    ("arguments", "headings"),
    [
        (("a.json:town", "b.json:town"), ["town"]),
        (("a.json:town", "b.json"), ["town"]),
        (("a.json", "b.json:port"), ["port"]),
        (("a.json:town", "a.json:port"), ["town -> port"]),
        (
            ("a.json:town", "a.json:town+dba,alpha_qe:blind"),
            ["town -> town+dba,alpha_qe:blind"],
        ),
        (
            ("a.json:port", "b.json:town+dba,alpha_qe"),
            ["port -> town+dba,alpha_qe:blind", "port -> town+dba,alpha_qe:protocol"],
        ),
        (
            ("a.json:town+dba,alpha_qe", "b.json"),
            ["town+dba,alpha_qe:blind", "town+dba,alpha_qe:protocol"],
        ),
        # What `score --json` writes has no name.
        (("score.json", "a.json:town+dba,alpha_qe:blind"), ["A -> town+dba,alpha_qe:blind"]),
        (("a.json:port", "score.json"), ["port -> B"]),
        # A path may hold colons, as may the name.
        (("run:1/c.json:town", "run:1/c.json:town+x:blind"), ["town -> town+x:blind"]),
        (("a.json:town", "c.json:town"), ["town"]),
    ],
)
def test_any_two_entries(write, tmp_path, monkeypatch, run_command_here, arguments, headings):
    same = {name: _scores(FIRST) for name in RERANKED if name != "run"}
    (tmp_path / "run:1").mkdir()
    write("a.json", same)
    write("b.json", same | {"run": {}})
    write("score.json", _scores(CHANGED))
    write("run:1/c.json", {"town": _scores(FIRST), "town+x:blind": _scores(CHANGED)})
    write("c.json:town", {"town": _scores(FIRST)})
    monkeypatch.chdir(tmp_path)
    done = run_command_here(main, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"A: {arguments[0]}", f"B: {arguments[1]}"]
    assert [line.partition("   ")[0] for line in lines if line.endswith("equal")] == headings


def test_an_entry_is_compared_with_what_it_says(write, run_command_here):
    path = write("a.json", RERANKED)
    done = run_command_here(main, f"{path}:town", f"{path}:town+dba,alpha_qe:blind")
    lines = [line.split() for line in done.stdout.splitlines()]
    # As in the comparison of two files.
    assert lines[4][:4] == ["medium", "38.12", "43.19", "+5.06"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.json:village", "a.json:town"), "a.json has no entry 'village'; it has 'town', 'town+"),
        (("a.json:town", "village.json"), "village.json has no entry 'town'; it has 'village', 'h"),
        (
            ("score.json:town", "a.json"),
            "score.json has no entry 'town'; it has one without",
        ),
        (("missing.json:town", "a.json"), "cannot read missing.json:town: No such file"),
        (("a.json:" + "x" * 300, "a.json"), "a.json has no entry 'xxx"),
    ],
)
def test_an_entry_that_is_not_there(
    write, tmp_path, monkeypatch, run_command_here, arguments, message
):
    write("a.json", RERANKED)
    write("village.json", {"village": _scores(FIRST), "hill": _scores(FIRST)})
    write("score.json", _scores(FIRST))
    monkeypatch.chdir(tmp_path)
    done = run_command_here(main, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1


def test_other_images_and_scales_are_told(write):
    def report(name, lists, scales):
        run = {"lists_sha256": lists, "config": {"scales": scales}}
        return read_side(write(name, {"town": _scores(FIRST), "run": run}))

    first = report("a.json", {"town query": "0a", "town database": "1b"}, [1.0])
    same = report("b.json", {"town database": "1b", "port query": "3d"}, [1.0])
    other = report("c.json", {"town query": "0a", "town database": "2c"}, [0.7071, 1.0])
    assert list(warnings(first, same, ["town"])) == []
    assert list(warnings(first, other, ["town"])) == [
        "the images of town database are not the same in both (lists_sha256)",
        f"the scales are [1.0] in {first.path} and [0.7071, 1.0] in {other.path}",
    ]
    assert list(warnings(first, read_side(write("d.json", _scores(FIRST))), ["town"])) == []


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"town": 3},
        {"town": {"easy": {}}},
        {"town": _scores(FIRST) | {"hard": {"per_query": [{"query": 0}]}}},
        {"town": _scores(FIRST) | {"hard": {"per_query": [{"query": 0, "ap": "high"}]}}},
        {"town": _scores(FIRST), "run": []},
    ],
)
def test_what_is_no_report(write, value):
    path = write("a.json", value)
    with pytest.raises(UserError, match=f"{path} is no report of scores"):
        read_side(path)


def test_as_a_command(write):
    command = [sys.executable, "-m", "senet_jax.score.compare", write("a.json", _scores(FIRST))]
    done = subprocess.run([*command, write("b.json", _scores(CHANGED))], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    refused = subprocess.run([*command, "missing.json"], capture_output=True)
    assert refused.returncode == 2
    assert (
        refused.stderr
        == b"error: cannot read missing.json: No such file or directory; check the path\n"
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda report: [report],
        lambda report: report | {"easy": report},
        lambda report: report | {"easy": {"per_query": "queries"}},
        lambda report: report | {"easy": {"per_query": [{"name": "a", "ap": "0.5"}]}},
        lambda report: report | {"easy": {"per_query": [{"name": "a", "ap": True}]}},
        lambda report: report | {"easy": {"per_query": [{"name": "a", "ap": 1.5}]}},
        lambda report: report | {"easy": {"per_query": [{"name": "a", "ap": [0.5]}]}},
        lambda report: report | {"easy": {"per_query": [{"name": 1, "ap": 0.5}]}},
        lambda report: {"town": report, "run": []},
        lambda report: {"town": report, "run": {"config": {"scales": ["\x1b[2J"]}}},
        lambda report: {"town": report, "run": {"config": {"scales": 1}}},
    ],
)
def test_a_report_of_other_values_is_one_line(write, damage):
    path = write("a.json", damage(_scores(FIRST)))
    with pytest.raises(UserError, match="is no report of scores") as raised:
        read_side(path)
    assert str(raised.value).isprintable()


def test_names_are_printed_with_control_characters_escaped(write, run_command_here):
    names = ("house\x1b[2J\udc80", *NAMES[1:])
    first, second = (
        write(f"{name}.json", {"town\x07": _scores(scores, names)})
        for name, scores in (("a", FIRST), ("b", CHANGED))
    )
    done = run_command_here(main, first, second)
    assert done.returncode == 0
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "town\\x07" in done.stdout and "house\\x1b[2J\\udc80" in done.stdout
