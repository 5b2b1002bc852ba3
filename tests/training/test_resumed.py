"""A training that is resumed with other settings, with a stand-in for the network's step."""

import shutil

import numpy as np
import pytest

from configs import common
from senet_jax.convert.__main__ import main as convert
from senet_jax.data.check import main as check
from senet_jax.forecast.training import forecast_training
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import ARCHITECTURES
from senet_jax.report.__main__ import main as report
from senet_jax.system.checksummed import read_sealed_json
from senet_jax.system.files import read_json
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.export import CHECKPOINTS, CONFIG, setup_of
from senet_jax.training.metrics import read_metrics
from senet_jax.training.stored_steps import StoredSteps
from senet_jax.weights import Weights, save_weights, tensor_shapes
from tests.training.stand_in import stop_at

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def _line(done):
    return done.stderr.splitlines()[-1]


@pytest.fixture
def stopped(train):
    """A training that was stopped after step 3."""
    done = train(after_step=stop_at(3))
    assert done.returncode == PREEMPTED_EXIT_CODE, done.stderr
    return done.workdir


def test_other_settings_are_one_line(train, stopped):
    for changes, part in (
        ({"seed": 1}, "config.seed 0, now it is 1; set it back, or use another workdir"),
        ({"model": "demo_dot"}, "config.model 'demo', now it is 'demo_dot'"),
        (
            {"optimizer__learning_rate": 0.5},
            "0.005625, now it is 0.5; allow it by --config.allow_changes=optimizer.learning_rate",
        ),
    ):
        done = train(**changes)
        assert done.returncode == 2
        assert _line(done).startswith(f"error: {stopped}: it was begun with ")
        assert part in _line(done)
    assert read_sealed_json(stopped / CONFIG, "")["seed"] == 0


def test_keys_that_have_come_since_are_as_they_are_by_default(train, stopped):
    setup = setup_of(read_sealed_json(stopped / CONFIG, ""), stopped)
    with Checkpoints(stopped / CHECKPOINTS) as checkpoints:
        state, meta = checkpoints.restore(setup.abstract_state())
        del meta["settings"]["data"]["reduced_decoding"], meta["settings"]["losses"]["margin_kind"]
        checkpoints.save(4, state.replace(step=state.step + 1), meta | {"step": 4})
    done = train(data__reduced_decoding=True)
    assert done.returncode == 2
    assert "it was begun with config.data.reduced_decoding False, now it is True" in _line(done)
    done = train()
    assert done.returncode == 0, done.stderr
    assert "resuming from step 4\n" in done.stderr


def test_it_goes_on_with_what_does_not_change_the_result(train, stopped, tiny_world, tmp_path):
    moved = shutil.copytree(tiny_world / "landmarks_to_learn", tmp_path / "moved")
    changes = {"log_every_steps": 1, "remat": True, "checkpoint__keep": 1, "data__folder": moved}
    done = train(**changes)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("resuming")]
    assert line.startswith("resuming from step 3, changed: ")
    for part in ("log_every_steps 2 -> 1", "remat False -> True", f"-> '{moved}'"):
        assert part in line
    assert [entry["step"] for entry in read_metrics(stopped)] == [2, 3, 4, 5, 6]
    settings = read_sealed_json(stopped / CONFIG, "")
    assert (settings["remat"], settings["data"]["folder"]) == (True, str(moved))
    assert settings == read_json(stopped / "report.json")["run"]["config"]


def test_the_settings_are_those_of_the_state_whatever_was_interrupted(train, stopped):
    """What ran for a while with another rate, but saved nothing, did not train with it."""

    def killed(step):
        raise ZeroDivisionError

    other = {"optimizer__learning_rate": 0.5, "allow_changes": "optimizer.learning_rate"}
    with pytest.raises(ZeroDivisionError):
        train(after_step=killed, **other)
    change = {"step": 3, "key": "optimizer.learning_rate", "before": 0.005625, "now": 0.5}
    settings = read_sealed_json(stopped / CONFIG, "")
    assert (settings["optimizer"]["learning_rate"], settings["rate_changes"]) == (0.5, [change])
    # Not even if its settings are lost.
    (stopped / CONFIG).unlink()
    assert train(seed=1).returncode == 2
    done = train()
    assert (done.returncode, read_sealed_json(stopped / CONFIG, "")["rate_changes"]) == (0, []), (
        done.stderr
    )


def test_a_rate_that_changed_stays_written_down(train, stopped):
    other = {"optimizer__learning_rate": 0.5, "allow_changes": "optimizer.learning_rate"}
    done = train(after_step=stop_at(1), **other)
    assert "changed: config.optimizer.learning_rate 0.005625 -> 0.5\n" in done.stderr
    done = train(optimizer__learning_rate=0.5)
    assert done.returncode == 0, done.stderr
    for settings in (
        read_sealed_json(stopped / CONFIG, ""),
        read_json(stopped / "weights" / "model.json")["source"]["training"],
        StoredSteps(stopped / CHECKPOINTS).record(6).meta["settings"],
    ):
        assert [change["step"] for change in settings["rate_changes"]] == [3]


def test_it_goes_on_from_weights_at_another_place(train, tmp_path):
    architecture = ARCHITECTURES["demo_baseline"]

    def make(folder, value):
        tensors = {
            path: np.full(shape, value, np.float32)
            for path, shape in tensor_shapes(architecture).items()
        }
        save_weights(folder, Weights(architecture, Preprocessing(), tensors, {}, {}))
        return folder

    weights = make(tmp_path / "weights", 1.0)
    done = train(start=weights, after_step=stop_at(3))
    assert (
        f"starting from {weights}: trunk taken (45 tensors), head taken (2 tensors), "
        "self_similarity fresh, classes fresh\n"
    ) in done.stderr
    refused = train(start=make(tmp_path / "other", 2.0))
    assert refused.returncode == 2
    assert "does not hold what the training was begun with" in _line(refused)
    moved = weights.rename(tmp_path / "moved")
    done = train(start=moved)
    assert done.returncode == 0, done.stderr
    assert "starting from" not in done.stderr and f"-> '{moved}'" in done.stderr


def test_commands_that_read_change_nothing(train, stopped, tiny_world, tmp_path, run_command_here):
    """A training could be at work there: its lock, its half-saved step and its lines stay."""
    (stopped / CHECKPOINTS / "4.orbax-checkpoint-tmp").mkdir()
    config = common.train("tiny")
    config.data.folder = str(tiny_world / "landmarks_to_learn")

    def everything():
        paths = (path for folder in (stopped, tiny_world) for path in folder.rglob("*"))
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    before = everything()
    for target in (tmp_path / "weights", tmp_path / "weights.pth"):
        assert run_command_here(convert, stopped, target).returncode == 0
    assert run_command_here(report, stopped).returncode == 2  # It has not ended.
    assert run_command_here(check, tiny_world, "landmarks").returncode == 0
    assert next(forecast_training(config))[0] == "images"
    assert everything() == before


@pytest.mark.slow
def test_another_evaluation_counts_from_there_on(evaluated):
    done = evaluated(after_step=stop_at(4))
    assert done.returncode == PREEMPTED_EXIT_CODE
    done = evaluated("worse", evaluation__scales="(1.0,)", checkpoint__keep=1)
    assert done.returncode == 0, done.stderr
    assert "scores so far do not count any more" in done.stderr
    report = read_json(done.workdir / "report.json")
    assert set(report) == {"landmarks", "run"}
    assert StoredSteps(done.workdir / CHECKPOINTS).steps() == [6]
