import json
import pathlib
import zlib

import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.metrics.run_report import UNNAMED, Report, Run
from senet_jax.metrics.saved import (
    checksums_of_lists,
    has_lists,
    kept_files,
    load_lists,
    protocol_lists,
    read_report,
    save_lists,
    write_report,
)
from senet_jax.search.ranked_list import FoundLists, RankedList
from senet_jax.system.errors import UserError

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
FOUND = FoundLists(
    RankedList(np.array([[2, 0], [1, -1]], np.int64), 3),
    np.array([[0.5, 0.25], [1, np.nan]], np.float32),
)
NAMES = [
    "town",
    "town+dba(neighbours=10),alpha_qe(alpha=3):blind",
    "a/b",
    "a_b",
    "x" * 5000,
    "Ö" * 120,
    "\udcff \x00",
    "",
]


def test_lists_are_read_as_they_were_written(tmp_path):
    files = {}
    for name in NAMES:
        files |= save_lists(tmp_path, name, FOUND)
    assert len(files) == 2 * len(NAMES)
    for file, crc32 in files.items():
        assert zlib.crc32((tmp_path / file).read_bytes()) == crc32
    assert "ranks/town+dba(neighbours=10),alpha_qe(alpha=3):blind.npy" in files
    for name in NAMES:
        assert has_lists(name, files)
        found = load_lists(tmp_path, name, files, 3)
        np.testing.assert_array_equal(found.ranked.ranks, FOUND.ranked.ranks)
        np.testing.assert_array_equal(found.similarities, FOUND.similarities)
    ranks, scores = (np.load(tmp_path / f"{part}/town.npy") for part in ("ranks", "scores"))
    assert ranks.dtype == np.int32 and scores.dtype == np.float32
    assert checksums_of_lists(tmp_path, [*NAMES, "village"]) == files
    assert not has_lists("village", files)


def test_the_files_of_some_entries():
    names = ["town", "town+aqe:protocol", "town+aqe:protocol-easy", "town+aqe:protocol-x"]
    files = {f"{part}/{name}.npy": 1 for part in ("ranks", "scores") for name in names}
    assert protocol_lists("town+aqe:protocol", "easy") == names[2]
    kept = kept_files(files, ["town+aqe:protocol"])
    assert kept == {f"{part}/{n}.npy": 1 for part in ("ranks", "scores") for n in names[1:3]}


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_lists_of_no_queries_or_of_no_items(tmp_path, shape):
    nothing = FoundLists(RankedList(np.zeros(shape, int), 3), np.zeros(shape, np.float32))
    files = save_lists(tmp_path, "town", nothing)
    assert load_lists(tmp_path, "town", files, 3).ranked.ranks.shape == shape


def _gone(path):
    path.unlink()


def _changed(path):
    np.save(path, np.zeros((2, 2), np.int32))


@pytest.mark.parametrize(
    ("damage", "size", "message"),
    [
        (_gone, 3, "cannot read .*ranks/town.npy: No such file"),
        (_changed, 3, "ranks/town.npy does not match its checksum in report.json"),
        (lambda path: None, 2, "ranks/town.npy: query 0 lists the item 2, but the database has 2"),
    ],
)
def test_lists_that_are_not_those_of_the_run(tmp_path, damage, size, message):
    files = save_lists(tmp_path, "town", FOUND)
    damage(tmp_path / "ranks" / "town.npy")
    with pytest.raises(UserError, match=message):
        load_lists(tmp_path, "town", files, size)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00\x05\x00{1:2}"])
def test_a_file_that_is_no_array(tmp_path, content):
    files = save_lists(tmp_path, "town", FOUND)
    (tmp_path / "ranks/town.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"ranks/town.npy is not an array in a .npy file: .*"):
        load_lists(tmp_path, "town", files | {"ranks/town.npy": zlib.crc32(content)}, 3)


def _scores(value=0.5):
    return EvaluationReport(("q", "r"), {p.name: np.full((2, 4), value) for p in PROTOCOLS})


def test_a_report_is_read_as_it_was_written(tmp_path):
    run = Run(
        config={"job": "evaluate", "scales": [1.0]},
        weights_sha256="0f",
        random_weights=True,
        counts={"town": {"queries": 2}},
        skipped=3,
        seconds={"total": 1.5},
        files_crc32=save_lists(tmp_path, "town", FOUND),
    )
    for report in (
        Report({"town": _scores(), "town+aqe:blind": _scores(0.25)}, run),
        Report({"town": _scores()}),
        Report({UNNAMED: _scores()}),
    ):
        write_report(tmp_path / "report.json", report)
        again = read_report(tmp_path / "report.json")
        assert list(again.entries) == list(report.entries)
        assert again.to_json() == report.to_json()
    assert again.to_json() == _scores().to_json()


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("evaluated", ["town", "town+dba,alpha_qe:blind", "town+dba,alpha_qe:protocol"]),
        ("trained", ["landmarks", "landmarks_untrained"]),
        ("score", [UNNAMED]),
    ],
)
def test_reports_of_the_version_before_are_read(name, entries):
    """Each of its figures is the one that is made anew of the queries' scores."""
    path = FIXTURES / f"{name}.json"
    written, report = json.loads(path.read_text()), read_report(path)
    assert list(report.entries) == entries
    again = report.to_json()
    run, run_again = written.pop("run", None), again.pop("run", None)
    assert again == written
    if run is not None:
        assert {key: run_again[key] for key in run.keys() - {"results_crc32"}} == {
            key: value for key, value in run.items() if key != "results_crc32"
        }
        assert run.get("results_crc32") in (None, run_again["results_crc32"])
        assert report.run.files_crc32 == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: [], r"it is \[\]"),
        (lambda value: value | {"run": []}, r"the run is \[\]"),
        (lambda value: {"town": 3}, "no scores under easy, medium, hard in 3"),
        (lambda value: {"town": value["town"] | {"hard": 3}}, "no list per_query in 3"),
        (lambda value: _in_run(value, config=[]), r"the run's config are \[\]"),
        (lambda value: _in_run(value, skipped="3"), "the run's skipped is '3'"),
        (lambda value: _in_run(value, seconds={"total": None}), "the run's seconds are"),
        (lambda value: _in_run(value, versions={"jax": 1}), "the run's versions are"),
        (lambda value: _in_run(value, files_crc32={"../../x.npy": 1}), "lists are in a file"),
        (lambda value: _in_run(value, results_crc32=1), "do not match their checksum"),
        (lambda value: _of_query(value, ap=True), "ap of query 1 is True"),
        (lambda value: _of_query(value, ap=1.5), "ap of query 1 is 1.5"),
        (lambda value: _of_query(value, ap=None), "only some of a query's"),
        (lambda value: _of_query(value, name=1), "the name of query 1 is 1"),
        (lambda value: _of_query(value, name="x"), "the protocols are of other queries"),
        (lambda value: _of_query(value, query=0), "query 1 is {"),
    ],
)
def test_what_is_no_report_is_one_line(tmp_path, change, message):
    value = Report({"town": _scores()}, Run()).to_json()
    path = tmp_path / "report.json"
    path.write_text(json.dumps(change(value)))
    with pytest.raises(UserError, match=f"{path} is no report of scores: .*{message}.*; move it"):
        read_report(path, "move it")


def _in_run(value, **changes):
    return value | {"run": value["run"] | changes}


def _of_query(value, **changes):
    del value["run"]["results_crc32"]
    value["town"]["medium"]["per_query"][1] |= changes
    return value


def test_an_entry_that_would_be_taken_for_the_run():
    with pytest.raises(ValueError, match="an entry is called 'run'"):
        Report({"run": _scores()})


def test_notes_are_no_scores():
    with pytest.raises(ValueError, match="notes"):
        EvaluationReport(("q", "r"), _scores().scores, {"easy": 1})


def test_the_lists_of_an_evaluation_hold_as_many_items_as_are_asked_for():
    truth = GroundTruth(
        ("a", "b", "c"), ("q",), (np.array([0]),), (np.array([1]),), (np.zeros(0, np.int64),)
    )
    rows = np.array([[1.0], [3.0], [2.0], [9.0]])
    report = evaluate_descriptors(truth, np.ones((1, 1)), [rows[:3], rows[3:]], [1], listed=3)
    assert report.found.ranked.ranks.tolist() == [[3, 2, 0]]
    assert report.found.similarities.tolist() == [[9, 2, 1]]
    report = evaluate_descriptors(truth, np.ones((1, 1)), [rows[:3], rows[3:]], [1], listed=9)
    assert report.found.ranked.ranks.tolist() == [[3, 2, 0, 1]]
    assert evaluate_descriptors(truth, np.ones((1, 1)), [rows]).found is None
