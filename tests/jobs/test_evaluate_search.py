import json
import pathlib

import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.main import main
from senet_jax.metrics.report import evaluate_ranks
from senet_jax.metrics.saved import read_report
from senet_jax.search.ranked_list import RankedList
from senet_jax.system import runtime
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.oracles.lively_twin import lively_weights

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

REPOSITORY = pathlib.Path(__file__).parents[2]
TWO_LISTS = "faiss(index=IVF2,Flat,probes=1)"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Weights, a dataset with an image that cannot be read, and what exact search makes of it."""
    root = tmp_path_factory.mktemp("search")
    write_dataset(root, "town", boxes=[(0, 0, 48, 40), (4, 4, 40, 36)])
    for seed, name in enumerate("acqr"):
        path = root / "town" / "jpg" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(40, 48, seed=seed)))
    (root / "town" / "jpg" / "b.jpg").write_bytes(b"this is no picture")
    save_weights(root / "weights", lively_weights("tiny_baseline"))
    return root


@pytest.fixture
def evaluate(places, run_command_here, monkeypatch):
    """Runs the job in one workdir for all tests, so that photographs are described once."""
    # The memory of this process stays as it is.
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)

    def run(*flags):
        arguments = [
            "main",
            f"--config={REPOSITORY}/configs/evaluate.py:tiny_baseline",
            f"--workdir={places / 'run'}",
            f"--config.weights={places / 'weights'}",
            f"--config.data_root={places}",
            "--config.datasets=town",
            "--config.scales=(1.0,)",
            *flags,
        ]
        return run_command_here(lambda: main(arguments))

    return run


def _lists(places, name="town"):
    return np.load(places / "run" / "ranks" / f"{name}.npy")


def test_what_an_index_finds_is_scored_and_compared_with_exact_search(evaluate, places):
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    assert evaluate().returncode == 0
    exact, exact_lists = json.loads((places / "run" / "report.json").read_text()), _lists(places)
    assert "search" not in exact["town"]

    done = evaluate(f"--config.search={TWO_LISTS}")
    assert done.returncode == 0, done.stderr
    assert f"town, tiny_baseline, searched by {TWO_LISTS}\n" in done.stdout
    assert f"searched by {TWO_LISTS}, recall@100 against exact search " in done.stdout
    report = json.loads((places / "run" / "report.json").read_text())
    record = report["town"].pop("search")
    assert record["settings"] == {"index": "IVF2,Flat", "probes": 1}
    ranks = _lists(places)
    # Of the two images that can be read each is alone in its list, and one list is searched.
    assert ((ranks >= 0).sum(axis=1) == 1).all() and record["recall@100"] == 0.5
    np.testing.assert_array_equal(ranks[:, 0], exact_lists[:, 0])
    truth = load_dataset(places, "town").ground_truth
    scored = evaluate_ranks(truth, RankedList(ranks, 3)).to_json()
    assert report["town"] == scored != exact["town"]
    assert read_report(places / "run" / "report.json").entries["town"].notes["search"] == record


def test_re_ranking_begins_with_what_was_found(evaluate, places):
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    done = evaluate(f"--config.search={TWO_LISTS}", "--config.rerank=refinement")
    assert done.returncode == 0, done.stderr
    report = json.loads((places / "run" / "report.json").read_text())
    assert report["town+refinement:blind"]["settings"]["search"] == TWO_LISTS
    # It only orders a shortlist, so it has no other items.
    found = _lists(places, "town+refinement:blind")
    np.testing.assert_array_equal(np.sort(found)[:, -1:], np.sort(_lists(places))[:, -1:])
    assert ((found >= 0).sum(axis=1) == 1).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("milvus", "no search backend 'milvus'; choose from exact, faiss"),
        ("faiss(probes=0)", "probes is 0; it has to be an integer from 1"),
        ("", "config.search is ''; it has to be a name that is not empty"),
    ],
)
def test_a_wrong_search_is_one_line_before_any_work(evaluate, value, message):
    done = evaluate(f"--config.search={value}", "--config.scales=(0.5,)")
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1]
    assert "images/s" not in done.stderr
