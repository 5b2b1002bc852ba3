import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from senet_jax.data.ground_truth import load_ground_truth
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.score.__main__ import main
from senet_jax.search.storage import quantise
from senet_jax.system.errors import run_command
from tests.oracles.delg_files import delg_global

IMAGES, QUERIES, WIDTH = 6, 2, 3
GROUND_TRUTH = {
    "imlist": [f"image{i}" for i in range(IMAGES)],
    "qimlist": ["query0", "query1"],
    "gnd": [
        {"easy": [1, 4], "hard": [0], "junk": [3]},
        {"easy": [], "hard": [5, 2], "junk": [1]},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ground truth, good arrays, and every wrong one that the command must refuse."""
    folder = tmp_path_factory.mktemp("score")
    rng = np.random.default_rng(0)
    (folder / "gnd_x.json").write_text(json.dumps(GROUND_TRUTH))
    database = rng.standard_normal((IMAGES, WIDTH))
    not_finite = database.copy()
    not_finite[4, 1] = np.nan
    query = rng.standard_normal((QUERIES, WIDTH))
    ranks = np.array([[4, 1, 0, 3], [2, 0, 5, -1]])
    arrays = {
        "query": query,
        "query_short": query[:1],
        "query_narrow": query[:, :2],
        "query_infinite": np.full_like(query, np.inf),
        "query_complex": query.astype(complex),
        "database": database,
        "database16": database.astype(np.float16),
        "database_short": database[:-1],
        "database_long": np.tile(database, (2, 1)),
        "database_narrow": database[:, :2],
        "database_flat": database.ravel(),
        "database_nan": not_finite,
        "database_text": database.astype(str),
        "distractors": rng.standard_normal((5, WIDTH)).astype(np.float32),
        "distractors_none": np.zeros((0, WIDTH), np.float32),
        "distractors_narrow": np.ones((5, 2)),
        "query_of_nothing": np.zeros((QUERIES, 0), np.float32),
        "database_of_nothing": np.zeros((IMAGES, 0), np.float32),
        "quantised_of_nothing": quantise(np.zeros((IMAGES, 0), np.float32), "int8"),
        "query_alike": np.ones((QUERIES, WIDTH), np.float32),
        "database_alike": np.ones((IMAGES, WIDTH), np.float32),
        "scalar": np.array(0.5),
        "ranks": ranks,
        "ranks_other": np.array([[2, 5, 0], [0, 4, 3]]),
        "ranks_short": ranks[:1],
        "ranks_float": ranks.astype(float),
        "ranks_outside": np.array([[0], [IMAGES]]),
        "ranks_negative": np.array([[0], [-2]]),
        "ranks_repeated": np.array([[0, 1], [3, 3]]),
        "ranks_gap": np.array([[0, -1, 1], [1, 2, 3]]),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "pickled.npy", np.array([{}, None]), allow_pickle=True)
    np.savez(folder / "archive.npz", database=database)
    (folder / "text.npy").write_text("0.5 0.5\n")
    (folder / "empty.npy").write_bytes(b"")
    whole = (folder / "database.npy").read_bytes()
    (folder / "truncated.npy").write_bytes(whole[:-20])
    return folder


def _run(monkeypatch, folder, *flags):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["score", *flags])
    run_command(main)


def test_descriptors(folder, monkeypatch, capsys):
    flags = ["--query=query.npy", "--database=database16.npy"]
    distractors = "--distractors=distractors.npy,distractors_none.npy,distractors.npy"
    _run(monkeypatch, folder, "gnd_x.json", *flags, distractors, "--json=out/report.json")
    arrays = {
        name: np.load(folder / f"{name}.npy") for name in ("query", "database16", "distractors")
    }
    expected = evaluate_descriptors(
        load_ground_truth(folder / "gnd_x.json"),
        arrays["query"],
        [arrays["database16"], arrays["distractors"], arrays["distractors"]],
    )
    assert capsys.readouterr().out == expected.table() + "\nwrote out/report.json\n"
    assert json.loads((folder / "out/report.json").read_text()) == expected.to_json()


def test_folders_of_delgs_files_score_as_arrays_do(folder, tmp_path, monkeypatch, capsys):
    """Of an encoder of their own, through the command."""
    names = {"query": GROUND_TRUTH["qimlist"], "database": GROUND_TRUTH["imlist"]}
    names["distractors"] = [f"far/{i}" for i in range(5)]
    flags = []
    for kind, of_kind in names.items():
        rows = np.load(folder / f"{kind}.npy").astype(np.float32)
        for name, row in zip(of_kind, rows, strict=True):
            path = tmp_path / kind / f"{name}.delg_global"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(delg_global(row))
        flags.append(f"--{kind}={tmp_path / kind}")
    _run(monkeypatch, folder, "gnd_x.json", *flags)
    found = capsys.readouterr().out
    arrays = _descriptors("query", "database", "--distractors=distractors.npy")
    _run(monkeypatch, folder, "gnd_x.json", *arrays)
    assert found == capsys.readouterr().out and "mAP" in found


def test_descriptors_that_are_all_alike_are_told(folder, monkeypatch, capsys):
    _run(monkeypatch, folder, "gnd_x.json", *_descriptors("query_alike", "database_alike"))
    output = capsys.readouterr()
    assert "mAP" in output.out
    assert output.err.startswith("warning: 5 of 5 images to find have the very score of an image")
    assert output.err.count("\n") == 1


def test_ranks(folder, monkeypatch):
    _run(monkeypatch, folder, "gnd_x.json", "--ranks=ranks.npy", "--json=report.json")
    report = json.loads((folder / "report.json").read_text())
    # Easy leaves out 0 and 3: 4, 1 are both right. Query 1 has no easy image.
    assert report["easy"]["map"] == 1
    assert report["easy"]["queries"] == 1
    assert report["easy"]["per_query"][1]["ap"] is None
    # Query 1 finds 2 at once and 5 at rank 2: ((1 + 1) + (1/2 + 2/3)) / 4.
    assert report["hard"]["per_query"][1]["ap"] == pytest.approx(19 / 24, abs=1e-15)


def test_ranks_of_each_protocol(folder, monkeypatch):
    flags = ["--ranks-easy=ranks.npy", "--ranks-medium=ranks_other.npy", "--ranks-hard=ranks.npy"]
    _run(monkeypatch, folder, "gnd_x.json", *flags, "--json=each.json")
    _run(monkeypatch, folder, "gnd_x.json", "--ranks=ranks.npy", "--json=one.json")
    _run(monkeypatch, folder, "gnd_x.json", "--ranks=ranks_other.npy", "--json=other.json")
    each, one, other = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("each", "one", "other")
    )
    assert each == {**one, "medium": other["medium"]}
    assert one["medium"] != other["medium"]


def _descriptors(query="query", database="database", *more):
    return [f"--query={query}.npy", f"--database={database}.npy", *more]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "seen: none of them"),
        (["--query=query.npy"], "seen: --query"),
        (["--database=database.npy"], "seen: --database"),
        (["--distractors=distractors.npy"], "seen: --distractors"),
        ([*_descriptors(), "--ranks=ranks.npy"], "seen: --database --query --ranks"),
        (["--ranks=ranks.npy", "--distractors=distractors.npy"], "seen: --distractors --ranks"),
        (["--ranks=ranks.npy", "--ranks-easy=ranks.npy"], "seen: --ranks --ranks-easy"),
        (["--ranks-easy=ranks.npy", "--ranks-hard=ranks.npy"], "seen: --ranks-easy --ranks-hard"),
        (["--rank=ranks.npy"], "unrecognized arguments: --rank=ranks.npy"),
        (_descriptors("query", "no"), "cannot read no.npy: No such file"),
        (_descriptors("query", "text"), "text.npy is not an array in a .npy file"),
        (_descriptors("query", "empty"), "empty.npy is not an array in a .npy file"),
        (_descriptors("query", "truncated"), "truncated.npy is not an array in a .npy file"),
        (_descriptors("query", "pickled"), "pickled.npy is not an array in a .npy file"),
        (["--query=query.npy", "--database=archive.npz"], "archive.npz is not an array"),
        (["--query=query.npy", "--database=."], r"image0.delg_global: No such file"),
        (_descriptors("query_short"), "query_short.npy has 1 rows for 2 queries"),
        (_descriptors("query_narrow"), "query_narrow.npy has 2 columns, the database 3"),
        (_descriptors("query_infinite"), "row 0 of .*query_infinite.npy is not finite"),
        (_descriptors("query_complex"), "query_complex.npy is complex128"),
        (
            _descriptors("query", "database_short"),
            r"database_short.npy has the shape \(5, 3\) for 6",
        ),
        (
            _descriptors("query", "database_long"),
            r"database_long.npy has the shape \(12, 3\) for 6",
        ),
        (
            _descriptors("query_of_nothing", "database"),
            r"query_of_nothing.npy has the shape \(2, 0\)",
        ),
        (
            _descriptors("query", "database_of_nothing"),
            "database_of_nothing.npy .* without a number",
        ),
        (
            _descriptors("query", "quantised_of_nothing"),
            "quantised_of_nothing.npy .* without a number",
        ),
        (_descriptors("query", "database_flat"), r"database_flat.npy has the shape \(18,\)"),
        (_descriptors("query", "database_narrow"), "query.npy has 3 columns, the database 2"),
        (_descriptors("query", "database_nan"), "row 4 of .*database_nan.npy is not finite"),
        (_descriptors("query", "database_text"), "database_text.npy is <U"),
        (
            _descriptors("query", "database", "--distractors=distractors_narrow.npy"),
            "distractors_narrow.npy has 2 columns, .*database.npy has 3",
        ),
        (
            _descriptors("query", "database", "--distractors=distractors.npy,"),
            "the path is ''; name a file or a folder",
        ),
        (["--query=", "--database=database.npy"], "the path is ''; name a file or a folder"),
        (_descriptors("query", "scalar"), r"scalar.npy has the shape \(\)"),
        (_descriptors("scalar"), "scalar.npy is float64 of shape"),
        (_descriptors("query", "database", "--distractors=scalar.npy"), "scalar.npy is float64"),
        (["--ranks="], "the path is ''; name a file or a folder"),
        (["--ranks=scalar.npy"], "scalar.npy: ranks are float64 of shape"),
        (["--ranks=no.npy"], "cannot read no.npy"),
        (["--ranks=pickled.npy"], "pickled.npy is not an array"),
        (["--ranks=ranks_short.npy"], "ranks_short.npy: .* 1 rows for 2 queries"),
        (["--ranks=ranks_float.npy"], "ranks_float.npy: ranks are float64"),
        (["--ranks=ranks_outside.npy"], "ranks_outside.npy: query 1 lists the item 6"),
        (["--ranks=ranks_negative.npy"], "ranks_negative.npy: query 1 lists the item -2"),
        (["--ranks=ranks_repeated.npy"], "query 1 lists the item 3 more than once"),
        (["--ranks=ranks_gap.npy"], "ranks_gap.npy: query 0 lists the item 1 after a -1"),
        (["--ranks=ranks.npy", "--json=gnd_x.json/report.json"], "cannot write"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, monkeypatch, capsys, flags, message):
    with pytest.raises(SystemExit) as caught:
        _run(monkeypatch, folder, "gnd_x.json", *flags)
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert re.search(message, output.err)


def test_missing_ground_truth(folder, monkeypatch, capsys):
    with pytest.raises(SystemExit) as caught:
        _run(monkeypatch, folder, "gnd_y.json", "--ranks=ranks.npy")
    assert caught.value.code == 2
    assert "cannot read gnd_y.json" in capsys.readouterr().err


def test_as_a_command(folder, tmp_path):
    command = [sys.executable, "-m", "senet_jax.score", str(folder / "gnd_x.json")]
    files = [f"--query={folder / 'query.npy'}", f"--database={folder / 'database.npy'}"]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    for _ in range(2):  # The second one finds its programs compiled.
        done = subprocess.run([*command, *files], capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert any(tmp_path.iterdir())
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "mAP",
        "easy",
        "medium",
        "hard",
    ]
    refused = subprocess.run([*command, files[0]], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
