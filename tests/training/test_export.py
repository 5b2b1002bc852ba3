import contextlib
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from configs import common
from senet_jax.convert.__main__ import main as convert
from senet_jax.system.errors import UserError
from senet_jax.system.files import read_json
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.export import CHECKPOINTS, load_trained, setup_of
from senet_jax.training.stored_steps import StoredSteps
from senet_jax.weights import TENSORS
from tests.training.training_command import ENVIRONMENT, STEPS, Command
from tests.training.training_process import ROOT, largest_file


@pytest.fixture(scope="module")
def trained(tiny_world, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    changes = {
        "evaluation__data_root": tiny_world,
        "evaluation__datasets": "landmarks",
        "evaluation__scales": (1.0,),
        "descriptor_norm": True,
    }
    command = Command(tiny_world, workdir, **changes)
    command.finish()
    return workdir


def _evaluated(world, weights, workdir):
    settings = {"weights": weights, "data_root": world, "datasets": "landmarks", "scales": (1.0,)}
    flags = ["--config=configs/evaluate.py:demo_baseline", f"--workdir={workdir}"]
    flags += [f"--config.{key}={value}" for key, value in settings.items()]
    subprocess.run(
        [sys.executable, "-m", "senet_jax.main", *flags],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    return read_json(workdir / "report.json")["landmarks"]


@pytest.mark.slow
def test_a_training_becomes_weights_by_one_command_and_evaluates_the_same(
    trained, tiny_world, tmp_path, run_command_here
):
    expected = read_json(trained / "report.json")["landmarks"]
    there, back = tmp_path / "weights.pth", tmp_path / "back"
    for source, target in ((trained, tmp_path / "weights"), (trained, there), (there, back)):
        done = run_command_here(convert, source, target)
        assert done.returncode == 0, done.stderr
    for folder in (tmp_path / "weights", back):
        assert (folder / TENSORS).read_bytes() == (trained / "weights" / TENSORS).read_bytes()
    assert _evaluated(tiny_world, tmp_path / "weights", tmp_path / "report") == expected
    source = read_json(tmp_path / "weights" / "model.json")["source"]["training"]
    assert source["step"] == STEPS


@pytest.mark.slow
def test_exports_do_not_disturb_the_training_that_they_are_made_of(tiny_world, tmp_path):
    often = {"checkpoint__every_steps": 1, "checkpoint__keep": 1, "epochs": 1000.0}
    command = Command(tiny_world, tmp_path / "run", losses__contrastive_weight=0.0, **often)
    exported, met_a_save = set(), False
    with command.started() as (process,):
        while len(exported) < 3 or not met_a_save:
            assert process.poll() is None, process.communicate()[1]
            met_a_save = met_a_save or bool(command.saving())
            with contextlib.suppress(UserError):  # Before the first checkpoint.
                exported.add(load_trained(command.workdir).source["training"]["step"])
            time.sleep(0.05)
        process.terminate()
        said = process.communicate()[1]
        assert process.returncode == PREEMPTED_EXIT_CODE, said
    assert "is saved in" in said.splitlines()[-1]


SETTINGS = json.loads(common.classification_only(common.train("demo")).to_json_best_effort()) | {
    "data_found": {"sha256": "0", "classes": 12, "steps_per_epoch": 3.0},
    "start_found": {"sha256": None},
    "rate_changes": [],
}


def _trained(workdir, scores, settings=SETTINGS):
    """A workdir with a checkpoint for each score; the biases of the head tell which step it is."""
    setup = setup_of(SETTINGS, workdir)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), setup.abstract_state())
    with Checkpoints(workdir / CHECKPOINTS, keep_latest=9) as checkpoints:
        for step, score in enumerate(scores, start=1):
            zeros.params["network"]["fc"]["bias"][...] = step
            checkpoints.save(step, zeros, {"step": step, "settings": settings})
            checkpoints.note_evaluated(step, score, {})
    return workdir


def _exported_step(weights):
    step = weights.source["training"]["step"]
    assert (weights.tensors["params/fc/bias"] == step).all()
    return step


@pytest.mark.parametrize(
    ("scores", "broken", "step"),
    [
        ([None, None, None], [], 3),
        ([0.1, 0.3, 0.2], [], 2),
        ([None, 0.3, None], [], 2),
        ([0.1, 0.3, 0.2], [2], 3),
        ([None, None], [2], 1),
    ],
)
def test_the_best_step_that_is_whole_is_exported(tmp_path, capfd, scores, broken, step):
    workdir = _trained(tmp_path / "run", scores)
    for number in broken:
        largest_file(workdir / CHECKPOINTS / str(number)).write_bytes(b"")
    (workdir / CHECKPOINTS / "9.orbax-checkpoint-tmp").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert _exported_step(load_trained(workdir)) == step
    assert sorted(tmp_path.rglob("*")) == before
    said = capfd.readouterr().err
    assert re.findall(r"^warning: .*: step (\d) is broken: ", said, re.M) == list(map(str, broken))
    assert said.count("\n") == len(broken)


def test_settings_of_before_a_key_came_are_those_of_its_default():
    before = copy.deepcopy(SETTINGS)
    del before["data"]["reduced_decoding"], before["losses"]["margin_kind"]
    assert setup_of(before, "settings") == setup_of(SETTINGS, "settings")
    assert "reduced_decoding" not in before["data"]
    del before["model"]  # Which has no default.
    with pytest.raises(UserError, match=r"config\.model is missing"):
        setup_of(before, "settings")


def test_scores_of_an_earlier_evaluation_do_not_choose(tmp_path):
    workdir = _trained(tmp_path / "run", [0.9])
    state = setup_of(SETTINGS, "settings").abstract_state()
    state = jax.tree.map(lambda leaf: np.full(leaf.shape, 2, leaf.dtype), state)
    with Checkpoints(workdir / CHECKPOINTS, keep_latest=9, score_of="town") as checkpoints:
        checkpoints.save(2, state, {"settings": SETTINGS})
        checkpoints.note_evaluated(2, 0.1, {})
    assert _exported_step(load_trained(workdir)) == 2


def test_a_step_that_a_training_removes_meanwhile_is_not_called_broken(
    tmp_path, capfd, monkeypatch
):
    workdir = _trained(tmp_path / "run", [None, None])
    read = StoredSteps.state

    def removed_before(stored, step, *arguments):
        if step == 2:
            shutil.rmtree(stored.folder / "2")
            monkeypatch.setattr(StoredSteps, "state", read)
        return read(stored, step, *arguments)

    monkeypatch.setattr(StoredSteps, "state", removed_before)
    assert _exported_step(load_trained(workdir)) == 1
    assert capfd.readouterr().err == ""


def _refused(run_command_here, workdir, target):
    done = run_command_here(convert, workdir, target)
    assert (done.returncode, done.stdout) == (2, "")
    assert not target.exists()
    return done.stderr.splitlines()


def test_no_checkpoint_yet_is_one_line(run_command_here, tmp_path):
    workdir = tmp_path / "run"
    (workdir / CHECKPOINTS / "5.orbax-checkpoint-tmp").mkdir(parents=True)
    (line,) = _refused(run_command_here, workdir, tmp_path / "weights")
    assert line.startswith(f"error: {workdir} has no checkpoint yet, so there is nothing to export")


def test_no_whole_checkpoint_is_one_line(run_command_here, tmp_path):
    workdir = _trained(tmp_path / "run", [None, None])
    for step in ("1", "2"):
        largest_file(workdir / CHECKPOINTS / step).write_bytes(b"")
    *warnings, line = _refused(run_command_here, workdir, tmp_path / "weights")
    assert len(warnings) == 2
    assert f"none of the steps [1, 2] in {workdir / CHECKPOINTS} is whole" in line


def test_settings_of_another_version_are_one_line(run_command_here, tmp_path):
    workdir = _trained(tmp_path / "run", [None], SETTINGS | {"trunk": ""})
    (line,) = _refused(run_command_here, workdir, tmp_path / "weights")
    assert "holds no settings of a training by this version of senet_jax" in line


@pytest.mark.parametrize(
    "settings",
    [
        *(None, 3, [], {}, {"job": "train"}),
        SETTINGS | {"data_found": None},
        SETTINGS | {"data_found": {"classes": "3", "steps_per_epoch": 1.0}},
        SETTINGS | {"data_found": {"classes": 10, "steps_per_epoch": -1.0}},
        SETTINGS | {"data_found": {"classes": 10, "steps_per_epoch": "1"}},
    ],
)
def test_what_is_no_settings_is_one_line(settings):
    with pytest.raises(UserError, match=r"config\.json holds no settings of a training") as refusal:
        setup_of(settings, "config.json")
    assert "\n" not in str(refusal.value)
