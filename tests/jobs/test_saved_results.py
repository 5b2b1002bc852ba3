"""What an evaluation and its re-rankings keep of the lists that they scored."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.main import main
from senet_jax.metrics.report import evaluate_ranks
from senet_jax.metrics.saved import has_lists, read_report
from senet_jax.score.__main__ import main as score
from senet_jax.search.ranked_list import RankedList
from senet_jax.system import runtime
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.oracles.lively_twin import lively_weights

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

REPOSITORY = pathlib.Path(__file__).parents[2]
PROTOCOLS = ("easy", "medium", "hard")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A dataset of which one photograph is broken, and the workdir of a re-ranked evaluation."""
    root = tmp_path_factory.mktemp("results")
    write_dataset(root, "town", boxes=[(0, 0, 48, 40), (4, 4, 40, 36)])
    for seed, name in enumerate("abcqr"):
        (root / "town" / "jpg" / f"{name}.jpg").write_bytes(encoded(picture(40, 48, seed=seed)))
    (root / "town" / "jpg" / "b.jpg").write_bytes(b"no picture")
    save_weights(root / "weights", lively_weights("tiny_baseline"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runtime, "tune_for_inference", lambda: None)
        main(_arguments(root, "dba,alpha_qe"))
    return root


@pytest.fixture
def root(finished, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(finished, tmp_path / "root")


@pytest.fixture
def evaluate(root, run_command_here, monkeypatch):
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)

    def run(method):
        done = run_command_here(lambda: main(_arguments(root, method)))
        assert done.returncode == 0, done.stderr

    return run


def _arguments(root, method):
    return [
        "main",
        f"--config={REPOSITORY}/configs/evaluate.py:tiny_baseline",
        f"--workdir={root / 'run'}",
        f"--config.weights={root / 'weights'}",
        f"--config.data_root={root}",
        "--config.datasets=town",
        "--config.scales=(1.0,)",
        f"--config.rerank={method}",
    ]


def _files(workdir):
    return {
        f"{folder}/{path.name}"
        for folder in ("ranks", "scores")
        for path in (workdir / folder).iterdir()
    }


def _names(*entries):
    kinds = ["blind", *(f"protocol-{protocol}" for protocol in PROTOCOLS)]
    names = ["town", *(f"town+{method}:{kind}" for method in entries for kind in kinds)]
    return {f"{folder}/{name}.npy" for folder in ("ranks", "scores") for name in names}


def test_the_run_knows_every_list_by_its_checksum(finished):
    files = read_report(finished / "run" / "report.json").run.files_crc32
    assert set(files) == _files(finished / "run") == _names("dba,alpha_qe")
    assert has_lists("town+dba,alpha_qe:protocol-hard", files)


def test_the_lists_are_those_of_the_search_with_what_cannot_be_read_last(finished):
    workdir = finished / "run"
    queries, database = (
        np.load(workdir / "descriptors" / "town" / f"{part}.npy") for part in ("query", "database")
    )
    ranks, scores = (np.load(workdir / part / "town.npy") for part in ("ranks", "scores"))
    assert ranks.dtype == np.int32 and scores.dtype == np.float32
    for query, row in enumerate(queries @ database.T):
        order = sorted((0, 2), key=lambda item: -row[item])
        assert ranks[query].tolist() == [*order, 1]
        np.testing.assert_allclose(scores[query, :2], row[order], rtol=0, atol=1e-6)
        assert np.isnan(scores[query, 2])


@pytest.mark.parametrize(
    ("entry", "flags"),
    [
        ("town", ["--ranks=town.npy"]),
        ("town+dba,alpha_qe:blind", ["--ranks=town+dba,alpha_qe:blind.npy"]),
        (
            "town+dba,alpha_qe:protocol",
            [f"--ranks-{p}=town+dba,alpha_qe:protocol-{p}.npy" for p in PROTOCOLS],
        ),
    ],
)
def test_scored_again_they_have_the_scores_of_the_report(
    finished, tmp_path, monkeypatch, run_command_here, entry, flags
):
    monkeypatch.chdir(finished / "run" / "ranks")
    out = tmp_path / "scores.json"
    truth = finished / "town" / "gnd_town.pkl"
    done = run_command_here(score, truth, *flags, f"--json={out}")
    assert done.returncode == 0, done.stderr
    report = json.loads((finished / "run" / "report.json").read_text())[entry]
    assert json.loads(out.read_text()) == {p: report[p] for p in PROTOCOLS}


@pytest.mark.parametrize("kind", ["blind", *(f"protocol-{protocol}" for protocol in PROTOCOLS)])
def test_a_re_ranked_list_has_the_similarities_of_the_descriptors(finished, kind):
    workdir, name = finished / "run", f"town+dba,alpha_qe:{kind}.npy"
    queries, database = (
        np.load(workdir / "descriptors" / "town" / f"{part}.npy") for part in ("query", "database")
    )
    ranks, scores = (np.load(workdir / part / name) for part in ("ranks", "scores"))
    assert ranks.shape == scores.shape
    expected = np.take_along_axis(queries @ database.T, ranks, axis=1)
    expected[(ranks == -1) | (ranks == 1)] = np.nan
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


def test_lists_stay_and_go_with_the_re_rankings_of_the_report(evaluate, root):
    kept = root / "run" / "ranks" / "town+dba,alpha_qe:blind.npy"
    before = kept.stat().st_mtime_ns
    evaluate("aqe")
    assert kept.stat().st_mtime_ns == before
    files = read_report(root / "run" / "report.json").run.files_crc32
    assert set(files) == _files(root / "run") == _names("dba,alpha_qe", "aqe")
    (root / "town" / "jpg" / "b.jpg").write_bytes(encoded(picture(40, 48, seed=77)))
    evaluate("")
    report = read_report(root / "run" / "report.json")
    assert list(report.entries) == ["town"]
    assert set(report.run.files_crc32) == _files(root / "run") == _names()
    ranks = RankedList(np.load(root / "run" / "ranks" / "town.npy"), 3)
    again = evaluate_ranks(load_dataset(root, "town").ground_truth, ranks)
    assert again.to_json() == report.entries["town"].to_json()


def test_a_report_of_the_version_before_keeps_its_re_rankings(evaluate, root):
    """It has no lists; those that are made anew are added."""
    path = root / "run" / "report.json"
    report = json.loads(path.read_text())
    del report["run"]["files_crc32"]
    path.write_text(json.dumps(report))
    evaluate("aqe")
    again = json.loads(path.read_text())
    entry = "town+dba,alpha_qe:blind"
    assert again[entry] == report[entry] and "town+aqe:blind" in again
    assert set(again["run"]["files_crc32"]) == _names("aqe")
