"""The training as a job, with a stand-in for the network's step that costs no time."""

import contextlib
import itertools
import json
import resource
import time

import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax import main as main_module
from senet_jax.data.builder import LABELS_FILE
from senet_jax.files import read_json
from senet_jax.kept import read_kept_json
from senet_jax.process import PREEMPTED_EXIT_CODE, locked_workdir
from senet_jax.retrieval.evaluation import evaluate_descriptors
from senet_jax.training import loop
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.export import CHECKPOINTS, CONFIG, setup_of
from senet_jax.training.metrics import read_metrics
from senet_jax.training.setup import Setup
from tests.training import landmarks
from tests.training.landmarks import named_leaves
from tests.training.training_command import TINY_CONFIG

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

STEPS = 6


def _add_one(state, batch):
    """A step that adds 1 to every parameter, on whatever device."""
    params = {
        "network": _each(lambda leaf: leaf + 1, state.params["network"]),
        "classes": state.params["classes"] + 1,
    }
    loss = jnp.sum(batch["labels"]).astype(jnp.float32)
    metrics = {"loss": loss, "gradient_norm": jnp.ones(())}
    return state.replace(step=state.step + 1, params=params), metrics


def _each(function, tree):
    return {
        key: _each(function, leaf) if isinstance(leaf, dict) else function(leaf)
        for key, leaf in tree.items()
    }


class Stops:
    """In place of `Preemption`: does something after each step, or asks to stop."""

    def __init__(self, after_step):
        self._after_step, self._steps = after_step, itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def requested(self):
        return bool(self._after_step(next(self._steps)))


@pytest.fixture
def train(tiny_world, tmp_path, monkeypatch, run_command_here):
    """Runs the command with the stand-in, or with another step, in this process."""
    flags = {
        "trunk": "",
        "batch_size": 16,
        "epochs": STEPS / 3,  # Of 48 images.
        "log_every_steps": 2,
        "data.folder": tiny_world / "landmarks_to_learn",
        "data.side": 32,
        "data.workers": 0,
        "optimizer.warmup_epochs": 1.0,
        "losses.contrastive_weight": 0.0,
        "evaluation.data_root": tiny_world,
        "checkpoint.every_steps": 3,
    }
    monkeypatch.setattr(loop, "use_compilation_cache", lambda: None)
    monkeypatch.setattr(
        Setup, "initial_variables", lambda setup, trunk: landmarks.initial(setup.architecture)
    )

    def run(step=_add_one, after_step=lambda step: False, workdir=tmp_path / "run", **changes):
        monkeypatch.setattr(loop, "make_step", lambda *_: step)
        monkeypatch.setattr(loop, "Preemption", lambda: Stops(after_step))
        given = flags | {key.replace("__", "."): value for key, value in changes.items()}
        arguments = [
            f"--config={TINY_CONFIG}",
            f"--workdir={workdir}",
            *(f"--config.{key}={value}" for key, value in given.items()),
        ]
        done = run_command_here(lambda: main_module.main(["main", *arguments]))
        done.workdir = workdir
        return done

    return run


def _assert_one_line(done, *parts):
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in done.stderr
    for part in parts:
        assert part in last


def _saved(workdir):
    """The steps of the checkpoints, and the leaves of the latest."""
    setup = setup_of(read_json(workdir / CONFIG))
    with Checkpoints(workdir / CHECKPOINTS) as checkpoints:
        restored = checkpoints.restore(setup.abstract_state())
    steps = sorted(int(path.name) for path in (workdir / CHECKPOINTS).iterdir())
    return steps, restored and named_leaves(restored[0])


def _stop_at(wanted):
    return lambda step: step == wanted


def test_what_a_training_leaves_in_its_workdir(train):
    done = train()
    assert done.returncode == 0, done.stderr
    assert {path.name for path in done.workdir.iterdir()} == {
        ".lock", "config.json", "checkpoints", "metrics.jsonl", "tensorboard", "weights",
        "report.json",
    }  # fmt: skip
    steps, leaves = _saved(done.workdir)
    assert steps == [3, 6]
    assert leaves["step"] == STEPS
    lines = read_metrics(done.workdir)
    assert [line["step"] for line in lines] == [2, 3, 4, 6]
    assert "step 6/6 (100.0 %), loss" in done.stderr
    run = read_json(done.workdir / "report.json")["run"]
    assert run["counts"] == {"steps": STEPS, "classes": 12}
    assert run["config"] == read_kept_json(done.workdir / CONFIG, "")


@pytest.mark.slow
def test_lines_are_means_over_their_steps(train):
    done = train(log_every_steps=1)
    each = [line["train/loss"] for line in read_metrics(done.workdir)]
    lines = read_metrics(train(workdir=done.workdir.with_name("other")).workdir)
    assert [line["train/loss"] for line in lines] == [
        np.mean(each[:2]), each[2], each[3], np.mean(each[4:])
    ]  # fmt: skip


@pytest.mark.slow
def test_started_again_when_done_it_trains_no_further(train):
    first = train()
    weights = (first.workdir / "weights" / "weights.safetensors").read_bytes()
    again = train(step=lambda *_: pytest.fail("a step"))
    assert again.returncode == 0, again.stderr
    assert f"going on from step {STEPS}" in again.stderr
    assert (first.workdir / "weights" / "weights.safetensors").read_bytes() == weights


def test_other_settings_than_those_of_the_checkpoint_are_one_line(train):
    assert train(after_step=_stop_at(3)).returncode == PREEMPTED_EXIT_CODE
    for changes, part in (
        ({"seed": 1}, "config.seed 0, now it is 1"),
        ({"model": "tiny_dot"}, "config.model 'tiny', now it is 'tiny_dot'"),
        (
            {"optimizer.learning_rate": 0.5},
            "config.optimizer.learning_rate 0.005625, now it is 0.5",
        ),
    ):
        done = train(**{key.replace(".", "__"): value for key, value in changes.items()})
        _assert_one_line(done, "was begun with", part, "use another workdir or the same settings")


@pytest.mark.slow
def test_a_checkpoint_of_another_network_is_one_line(train):
    done = train(after_step=_stop_at(3))
    # As by hand: what the settings say is not what was saved.
    settings = read_kept_json(done.workdir / CONFIG, "")
    (done.workdir / CONFIG).write_text(json.dumps(settings | {"model": "tiny_baseline"}))
    _assert_one_line(
        train(model="tiny_baseline"), "the checkpoint of step 3", "go on with the config"
    )


@pytest.mark.slow
def test_what_saved_nothing_may_begin_with_other_settings(train):
    def no_second(step):
        if step == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(after_step=no_second)
    done = train(log_every_steps=1, seed=1)
    assert done.returncode == 0, done.stderr
    assert read_json(done.workdir / CONFIG)["seed"] == 1
    assert [line["step"] for line in read_metrics(done.workdir)] == list(range(1, STEPS + 1))


def test_a_batch_that_devices_do_not_divide_is_one_line(train):
    _assert_one_line(train(batch_size=12), "a batch of 12 cannot be shared by 8 devices")
    done = train()  # In the same workdir, mended.
    assert done.returncode == 0, done.stderr


def test_a_workdir_in_use_is_one_line(train, tmp_path):
    with locked_workdir(tmp_path / "run"):
        _assert_one_line(train(), "is used by another run", "name another workdir")


def test_a_label_out_of_range_is_one_line(train, tiny_world, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for path in (tiny_world / "landmarks_to_learn").iterdir():
        (data / path.name).symlink_to(path)
    labels = np.load(data / LABELS_FILE)
    labels[7] = 12
    (data / LABELS_FILE).unlink()
    np.save(data / LABELS_FILE, labels)
    _assert_one_line(train(data__folder=data), "the label 12 at image 7, but 12 classes")


@pytest.mark.parametrize(
    ("checkpoint_every", "good"),
    [
        (3, "the last good checkpoint is step 3"),
        pytest.param(100, "no step was saved", marks=pytest.mark.slow),
    ],
)
def test_a_loss_that_is_not_finite_stops(train, checkpoint_every, good):
    def step(state, batch):
        after, metrics = _add_one(state, batch)
        return after, metrics | {"loss": jnp.where(state.step == 4, jnp.nan, metrics["loss"])}

    done = train(step, checkpoint__every_steps=checkpoint_every)
    _assert_one_line(
        done, "loss is not finite between the steps 4 and 6", good,
        "in another workdir with a config.optimizer.learning_rate below 0.005625",
    )  # fmt: skip
    steps, _ = _saved(done.workdir)
    assert steps == ([3] if checkpoint_every == 3 else [])
    assert max(line["step"] for line in read_metrics(done.workdir)) == 4


def test_a_state_that_is_not_finite_is_not_saved(train):
    """The loss of a step is that of the parameters before it."""

    def step(state, batch):
        after, metrics = _add_one(state, batch)
        classes = jnp.where(state.step == 5, jnp.inf, after.params["classes"])
        return after.replace(params=after.params | {"classes": classes}), metrics

    done = train(step)
    _assert_one_line(
        done, "params/classes is not finite after step 6; the last good checkpoint is step 3"
    )
    steps, leaves = _saved(done.workdir)
    assert steps == [3]
    assert all(np.isfinite(leaf).all() for leaf in leaves.values())
    assert not (done.workdir / "weights").exists()


@pytest.mark.slow
def test_a_disk_that_is_full_while_a_step_is_saved_is_one_line(train, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(step):
        if step == 5:
            while not (tmp_path / "run" / CHECKPOINTS / "3").exists():
                time.sleep(0.01)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))

    try:
        done = train(after_step=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    _assert_one_line(done, "cannot save step 6", "File too large; the last good step is 3")
    again = train()
    assert "going on from step 3" in again.stderr
    assert again.returncode == 0, again.stderr


class Evaluations:
    """In place of `Evaluator`: scores that are better at every evaluation, or worse."""

    def __init__(self, order):
        self._order, self.steps = order, 0

    def __call__(self, architecture, datasets, scales):
        self._dataset = datasets[0]
        return self

    def run(self, variables):
        self.steps += 1
        truth = self._dataset.ground_truth
        rng = np.random.default_rng(0)
        descriptors = rng.normal(size=(len(truth.image_names), 8)).astype(np.float32)
        descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
        first_positives = [easy[0] for easy in truth.easy]
        noise = {"better": 1 / self.steps, "worse": self.steps}[self._order]
        queries = descriptors[first_positives]
        queries = queries + np.float32(noise) * rng.normal(size=queries.shape).astype(np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        return {self._dataset.name: evaluate_descriptors(truth, queries, [descriptors])}


@pytest.fixture
def evaluated(train, monkeypatch):
    def run(order="better", **options):
        monkeypatch.setattr(loop, "Evaluator", Evaluations(order))
        return train(evaluation__datasets="landmarks", evaluation__every_steps=3, **options)

    return run


def _evaluated_steps(workdir):
    return [line["step"] for line in read_metrics(workdir) if "eval/landmarks/medium/map" in line]


def test_it_is_evaluated_before_and_after_and_the_report_has_both(evaluated):
    done = evaluated()
    assert done.returncode == 0, done.stderr
    assert _evaluated_steps(done.workdir) == [0, 3, 6]
    report = read_json(done.workdir / "report.json")
    first, last = report["landmarks_untrained"], report["landmarks"]
    by_step = {line["step"]: line for line in read_metrics(done.workdir) if len(line) < 6}
    assert first["medium"]["map"] == by_step[0]["eval/landmarks/medium/map"]
    assert last["medium"]["map"] == by_step[6]["eval/landmarks/medium/map"]
    assert first["medium"]["map"] < last["medium"]["map"]


@pytest.mark.slow
def test_the_best_checkpoint_stays(evaluated):
    done = evaluated("worse", checkpoint__keep=1)
    assert _saved(done.workdir)[0] == [3, 6]


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [3, 6])
def test_what_a_stop_left_out_is_evaluated_when_it_goes_on(evaluated, stopped):
    done = evaluated(after_step=_stop_at(stopped))
    assert done.returncode == PREEMPTED_EXIT_CODE
    assert f"stopped at step {stopped}, its state is saved" in done.stderr
    assert _evaluated_steps(done.workdir) == [0, 3][: stopped // 3]
    again = evaluated()
    assert again.returncode == 0, again.stderr
    assert _evaluated_steps(again.workdir) == [0, 3, 6]
    assert read_json(again.workdir / "report.json")["landmarks"]["medium"]["map"] is not None


@pytest.mark.slow
def test_what_ended_before_its_first_checkpoint_leaves_no_line_twice(evaluated):
    def no_second(step):
        if step == 2:
            raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        evaluated(after_step=no_second)
    assert _evaluated_steps(evaluated().workdir) == [0, 3, 6]
