"""The job `evaluate` with whitened descriptors."""

import json
import pathlib

import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.jobs.descriptions import Searchable
from senet_jax.jobs.whitened import whitened
from senet_jax.main import main
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.metrics.saved import read_report
from senet_jax.search.database import BlockedDatabase, as_float32
from senet_jax.search.storage import quantise
from senet_jax.search.whitening import fit_shrunk_whitening
from senet_jax.system import runtime
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.oracles.lively_twin import lively_weights

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_it_is_learned_on_all_that_is_searched_and_kept(tmp_path, storage, monkeypatch):
    rows = np.random.default_rng(0).standard_normal((33, 8)).astype(np.float32) + 1
    rows[5] = 0  # It could not be read.
    parts = [rows[:20], quantise(rows[20:30], "float32")]
    given = Searchable(rows[30:], parts, [5])
    found = whitened(given, storage, tmp_path)
    whitening = fit_shrunk_whitening(BlockedDatabase(tuple(parts), [5]))
    np.testing.assert_array_equal(found.queries, whitening(rows[30:]))
    [database] = found.database_parts
    np.testing.assert_allclose(as_float32(database), whitening(rows[:30]), atol=0.01)
    assert not as_float32(database)[5].any() and found.skipped_rows == [5]
    monkeypatch.setattr("senet_jax.jobs.whitened.fit_shrunk_whitening", None)
    again = whitened(given, storage, tmp_path)
    assert again.queries.tobytes() == found.queries.tobytes()


def test_a_report_of_whitened_descriptors(tmp_path, run_command_here, monkeypatch):
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    write_dataset(tmp_path, "roxford5k", boxes=[(0, 0, 48, 40), (4, 4, 40, 36)])
    for seed, name in enumerate("abcqr"):
        path = tmp_path / "roxford5k" / "jpg" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(40, 48, seed=seed)))
    weights = lively_weights("tiny_baseline")
    weights.source["training_set"] = "GLDv2-clean"
    save_weights(tmp_path / "weights", weights)

    def run(*flags):
        arguments = [
            "main",
            f"--config={REPOSITORY}/configs/evaluate.py:tiny_baseline",
            f"--workdir={tmp_path / 'run'}",
            f"--config.weights={tmp_path / 'weights'}",
            f"--config.data_root={tmp_path}",
            "--config.datasets=roxford5k",
            "--config.scales=(1.0,)",
            *flags,
        ]
        done = run_command_here(lambda: main(arguments))
        assert done.returncode == 0, done.stderr
        return done.stdout, read_report(tmp_path / "run" / "report.json", "")

    printed, plain = run("--config.rerank=alpha_qe")
    assert "descriptors whitened" not in printed
    assert "TRAINED ON THE LANDMARKS OF 36 of its queries" in printed
    assert plain.run.overlaps == {"roxford5k": 36}
    printed, report = run("--config.whiten=True")
    assert "roxford5k, tiny_baseline, descriptors whitened" in printed
    # What was re-ranked of other descriptors does not stay beside them.
    assert list(report.entries) == ["roxford5k"]
    folder = tmp_path / "run" / "descriptors" / "roxford5k"
    queries, database = (np.load(folder / f"{part}.npy") for part in ("query", "database"))
    whitening = fit_shrunk_whitening(BlockedDatabase((database,)))
    truth = load_dataset(tmp_path, "roxford5k").ground_truth
    expected = evaluate_descriptors(truth, whitening(queries), [whitening(database)])
    assert report.entries["roxford5k"].to_json() == expected.to_json()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "All descriptors are whitened" in page
    assert "trained on GLDv2-clean, and so on the landmarks of 36 of the queries" in page
    assert json.loads((tmp_path / "run" / "report.json").read_text())["run"]["config"]["whiten"]
