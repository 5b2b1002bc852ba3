"""The job as its command, on the trunk of a network that has learned nothing."""

import json
import pathlib

import numpy as np
import pytest

from senet_jax import main as main_module
from senet_jax.models.families.reranker import RERANKER
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import ARCHITECTURES
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from senet_jax.training.metrics import read_metrics
from senet_jax.training.pairs import job, kept_maps
from senet_jax.weights import TENSORS, Weights, flatten, load_weights, save_weights
from tests.processes import ROOT
from tests.training import landmarks
from tests.training.stand_in import Stops, stop_at

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
TINY = ARCHITECTURES["tiny"]
STEPS = 5  # Of 8 triples each, of 48 images.


@pytest.fixture
def train_pairs(tiny_world, tmp_path, monkeypatch, run_command_here):
    """Runs the command with the shipped config, made small, in this process."""
    tensors = dict(flatten(landmarks.lively(TINY)))
    weights = Weights(TINY, Preprocessing(), tensors, {}, {"file": "lively"})
    save_weights(tmp_path / "weights", weights)
    flags = {
        "model": TINY.name,
        "start": tmp_path / "weights",
        "batch_size": 8,
        "epochs": STEPS / 6,
        "log_every_steps": 1,
        "data.folder": tiny_world / "landmarks_to_learn",
        "data.side": 32,
        "optimizer.warmup_epochs": 0.1,
        "checkpoint.every_steps": 2,
    }
    monkeypatch.setattr(job, "use_compilation_cache", lambda: None)

    def run(workdir="run", after_step=lambda step: False, **changes):
        monkeypatch.setattr(job, "Preemption", lambda: Stops(after_step))
        given = flags | {key.replace("__", "."): value for key, value in changes.items()}
        arguments = [
            f"--config={ROOT / 'configs' / 'demo_reranker.py'}",
            f"--workdir={tmp_path / workdir}",
            *(f"--config.{key}={value}" for key, value in given.items()),
        ]
        done = run_command_here(lambda: main_module.main(["main", *arguments]))
        done.workdir = tmp_path / workdir
        return done

    return run


def _weights(done):
    return (done.workdir / "weights" / TENSORS).read_bytes()


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_with_the_same_bits(train_pairs, monkeypatch):
    whole = train_pairs("whole")
    assert whole.returncode == 0, whole.stderr
    assert "starting from" in whole.stderr and "re-ranker fresh" in whole.stderr
    lines = read_metrics(whole.workdir)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert all(0 < line["train/loss"] < 2 for line in lines)
    trained = load_weights(whole.workdir / "weights")
    assert trained.variables([RERANKER])["params"][RERANKER]["mlp_1"]["kernel"].shape == (128, 2)

    maps = whole.workdir / "maps" / "maps.npy"
    before, weights = maps.read_bytes(), _weights(whole)
    maps.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    again = train_pairs("whole")
    assert again.returncode == 0, again.stderr
    assert maps.read_bytes() == before and _weights(again) == weights

    # Once for each batch of maps, and then for each step.
    stopped = train_pairs("stopped", stop_at(3))
    assert stopped.returncode == PREEMPTED_EXIT_CODE, stopped.stderr
    monkeypatch.setattr(kept_maps, "_make", lambda *_: pytest.fail("maps that are kept"))
    resumed = train_pairs("stopped")
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming from step" in resumed.stderr
    assert _weights(resumed) == _weights(whole)

    other = train_pairs("stopped", pairs__hard_share=0.75)
    assert other.returncode == 2
    assert "config.pairs.hard_share" in other.stderr


def test_weights_of_another_network_are_one_line(train_pairs):
    done = train_pairs(model="tiny_baseline")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: config.model is 'tiny_baseline', and config.start holds weights of tiny; name "
        "that, or other weights"
    )


@pytest.mark.slow
def test_what_was_trained_reranks(train_pairs, tiny_world, tmp_path, run_command_here):
    """By the command, with the weights as their own network."""
    weights = train_pairs(epochs=1 / 6).workdir / "weights"
    arguments = [
        f"--config={ROOT / 'configs' / 'evaluate.py'}:tiny",
        f"--workdir={tmp_path / 'evaluated'}",
        f"--config.weights={weights}",
        f"--config.cvnet_weights={weights}",
        f"--config.data_root={tiny_world}",
        "--config.datasets=landmarks",
        "--config.rerank=cvnet",
        "--config.scales=(1.0,)",
    ]
    done = run_command_here(lambda: main_module.main(["main", *arguments]))
    assert done.returncode == 0, done.stderr
    report = json.loads(pathlib.Path(tmp_path / "evaluated" / "report.json").read_text())
    assert {"landmarks+cvnet:blind", "landmarks+cvnet:protocol"} <= report.keys()
    scores = np.loadtxt(
        tmp_path / "evaluated" / "rerank" / "landmarks" / "cvnet.csv", delimiter=",", skiprows=1
    )[:, 3]
    assert np.ptp(scores) > 0 and (scores >= 0).all() and (scores <= 1).all()
