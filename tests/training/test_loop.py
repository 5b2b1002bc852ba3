"""The training as a job, with a stand-in for the network's step that costs no time."""

import resource
import time

import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.data.builder import LABELS_FILE
from senet_jax.system.checksummed import read_sealed_json
from senet_jax.system.files import read_json
from senet_jax.system.process import locked_workdir
from senet_jax.system.signals import INTERRUPTED_EXIT_CODE, PREEMPTED_EXIT_CODE
from senet_jax.training import course
from senet_jax.training.export import CHECKPOINTS, CONFIG
from senet_jax.training.metrics import read_metrics
from tests.training.stand_in import CTRL_C, STEPS, add_one, assert_one_line, saved, stop_at

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def test_what_a_training_leaves_in_its_workdir(train):
    done = train()
    assert done.returncode == 0, done.stderr
    assert {path.name for path in done.workdir.iterdir()} == {
        ".lock", "config.json", "checkpoints", "metrics.jsonl", "tensorboard", "weights",
        "report.html", "report.json",
    }  # fmt: skip
    steps, leaves = saved(done.workdir)
    assert steps == [3, 6]
    assert leaves["step"] == STEPS
    lines = read_metrics(done.workdir)
    assert [line["step"] for line in lines] == [2, 3, 4, 6]
    assert "step 6/6 (100.0 %), loss" in done.stderr
    run = read_json(done.workdir / "report.json")["run"]
    assert run["counts"] == {"steps": STEPS, "classes": 12}
    assert run["config"] == read_sealed_json(done.workdir / CONFIG, "")


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
    assert f"resuming from step {STEPS}" in again.stderr
    assert (first.workdir / "weights" / "weights.safetensors").read_bytes() == weights


@pytest.mark.slow
def test_what_saved_nothing_may_begin_with_other_settings(train):
    def no_second(step):
        if step == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(after_step=no_second)
    done = train(log_every_steps=1, seed=1)
    assert done.returncode == 0, done.stderr
    assert read_sealed_json(done.workdir / CONFIG, "")["seed"] == 1
    assert [line["step"] for line in read_metrics(done.workdir)] == list(range(1, STEPS + 1))


def test_a_batch_that_devices_do_not_divide_is_one_line(train):
    assert_one_line(train(batch_size=12), "a batch of 12 cannot be shared by 8 devices")
    done = train()  # In the same workdir, mended.
    assert done.returncode == 0, done.stderr


def test_a_workdir_in_use_is_one_line(train, tmp_path):
    with locked_workdir(tmp_path / "run"):
        assert_one_line(train(), "is used by another run", "name another workdir")


def test_a_label_out_of_range_is_one_line(train, tiny_world, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for path in (tiny_world / "landmarks_to_learn").iterdir():
        (data / path.name).symlink_to(path)
    labels = np.load(data / LABELS_FILE)
    labels[7] = 12
    (data / LABELS_FILE).unlink()
    np.save(data / LABELS_FILE, labels)
    assert_one_line(train(data__folder=data), "the label 12 at image 7, but 12 classes")


@pytest.mark.parametrize(
    ("checkpoint_every", "good"),
    [
        (3, "the last good checkpoint is step 3"),
        pytest.param(100, "no step was saved", marks=pytest.mark.slow),
    ],
)
def test_a_loss_that_is_not_finite_stops(train, checkpoint_every, good):
    def step(state, batch):
        after, metrics = add_one(state, batch)
        return after, metrics | {"loss": jnp.where(state.step == 4, jnp.nan, metrics["loss"])}

    done = train(step, checkpoint__every_steps=checkpoint_every)
    assert_one_line(
        done, "loss is not finite between the steps 4 and 6", good,
        "in another workdir with a config.optimizer.learning_rate below 0.005625",
    )  # fmt: skip
    steps, _ = saved(done.workdir)
    assert steps == ([3] if checkpoint_every == 3 else [])
    assert max(line["step"] for line in read_metrics(done.workdir)) == 4


def test_a_state_that_is_not_finite_is_not_saved(train):
    """The loss of a step is that of the parameters before it."""

    def step(state, batch):
        after, metrics = add_one(state, batch)
        classes = jnp.where(state.step == 5, jnp.inf, after.params["classes"])
        return after.replace(params=after.params | {"classes": classes}), metrics

    done = train(step)
    assert_one_line(
        done, "params/classes is not finite after step 6; the last good checkpoint is step 3"
    )
    steps, leaves = saved(done.workdir)
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
    assert_one_line(done, "cannot save step 6", "File too large; the last good step is 3")
    time.sleep(2)  # What was being written goes on in threads of this process for a moment.
    again = train()
    assert "resuming from step 3" in again.stderr
    assert again.returncode == 0, again.stderr


def test_a_step_is_compiled_with_a_line_and_lines_come_by_time(train, monkeypatch):
    done = train(log_every_steps=100, checkpoint__every_steps=100)
    lines = done.stderr.splitlines()
    start = lines.index("compiling the training step")
    assert lines[start + 1].startswith("compiling the training step took ")
    first, last = lines[start + 2 :][0], lines[start + 3 :][0]
    assert first.startswith("step 1/6 (16.7 %), loss ")
    assert "images/s" not in first and "ETA" not in first
    assert last.startswith("step 6/6 (100.0 %), loss ") and last.endswith("ETA 0s")
    assert [line["step"] for line in read_metrics(done.workdir)] == [STEPS]

    monkeypatch.setattr(course, "LINE_SECONDS", 0.0)
    done = train(
        log_every_steps=100, checkpoint__every_steps=100, workdir=done.workdir.with_name("other")
    )
    steps = [line.split("/")[0] for line in done.stderr.splitlines() if line.startswith("step ")]
    assert steps == [f"step {step}" for step in range(1, STEPS + 1)]
    assert [line["step"] for line in read_metrics(done.workdir)] == [STEPS]


def test_the_time_of_compiling_is_in_no_rate(train):
    """A compilation of a second, and steps that take next to nothing."""

    def slow_to_compile(state, batch):
        time.sleep(1)
        return add_one(state, batch)

    done = train(slow_to_compile, log_every_steps=1)
    lines = read_metrics(done.workdir)
    assert "images_per_second_per_device" not in lines[0]
    # 16 images on 8 devices.
    assert all(line["images_per_second_per_device"] > 2 for line in lines[1:])
    assert read_json(done.workdir / "report.json")["run"]["seconds"]["training"] > 1
    assert "compiling the training step took" in done.stderr


@pytest.mark.parametrize("stopped", [0, 4])
def test_told_to_stop_it_says_what_is_saved_and_how_to_go_on(train, stopped):
    done = train(after_step=stop_at(stopped))
    assert done.returncode == PREEMPTED_EXIT_CODE
    assert done.stderr.splitlines()[-1] == (
        f"stopped by SIGTERM: step {stopped} is saved in {done.workdir}; "
        "the same command resumes from there"
    )
    assert saved(done.workdir)[0][-1] == stopped
    again = train()
    assert (again.returncode, saved(again.workdir)[0][-1]) == (0, STEPS)


def test_ctrl_c_saves_and_is_one_line(train):
    done = train(after_step=lambda step: step == 4 and CTRL_C)
    assert done.returncode == INTERRUPTED_EXIT_CODE
    assert done.stderr.splitlines()[-1] == (
        f"interrupted: step 4 is saved in {done.workdir}; the same command resumes from there"
    )
    assert saved(done.workdir)[0] == [3, 4]


@pytest.mark.parametrize(
    ("at", "left"),
    [(2, "no step is saved yet; the same command begins again"), (5, "step 3 is saved in ")],
)
def test_a_second_ctrl_c_ends_at_once(train, at, left):
    def interrupt(step):
        if step == at:
            raise KeyboardInterrupt

    done = train(after_step=interrupt)
    assert done.returncode == INTERRUPTED_EXIT_CODE
    assert done.stderr.splitlines()[-1].startswith(f"interrupted: {left}")


def test_the_rate_of_the_recipe_is_said_where_the_batch_is_another(train, tmp_path):
    line = "learning_rate 0.005625 is the recipe's, for a batch of 144; for config.batch_size 16"
    assert line in train().stderr
    other = train(optimizer__learning_rate=0.001, after_step=stop_at(0), workdir=tmp_path / "other")
    assert "the recipe's" not in other.stderr
