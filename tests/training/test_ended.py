"""Trainings by the command whose process groups, or workers, are told to end."""

import os
import pathlib
import signal
import time

import pytest

from senet_jax.training.metrics import FILE, read_metrics
from tests.processes import workers_of
from tests.training.training_command import STEPS, Command

pytestmark = pytest.mark.slow


def _wait(running, is_time):
    while not is_time():
        if any(process.poll() is not None for process in running):
            pytest.fail(f"ended before: {_ended(running)}")
        time.sleep(0.001)


def _ended(running):
    """The exit codes of processes, and what process 0 says."""
    outputs = [process.communicate(timeout=100)[1] for process in running]
    return [process.returncode for process in running], outputs[0]


def test_ctrl_c_for_all_groups_saves_one_step(tiny_world, tmp_path):
    """As Slurm and terminals send it: to the workers, too, which have to go on."""
    command = Command(tiny_world, tmp_path / "run", 2, data__workers=2)
    with command.started() as running:
        _wait(running, lambda: command.logged_step() >= 2)
        for process in running:
            os.killpg(process.pid, signal.SIGINT)
        codes, said = _ended(running)
    assert codes == [130, 130], said
    step = read_metrics(command.workdir)[-1]["step"]
    assert 2 <= step < STEPS and command.saved(step)
    assert said.splitlines()[-1] == (
        f"interrupted: step {step} is saved in {command.workdir}; the same command resumes from "
        "there"
    )
    assert "Traceback" not in said and "worker" not in said


def test_a_worker_that_is_killed_ends_the_training_with_its_reason(tiny_world, tmp_path):
    command = Command(
        tiny_world, tmp_path / "run", data__workers=2, checkpoint__every_steps=1, epochs=1000
    )
    with command.started() as running:
        _wait(running, lambda: command.saved(2))
        (training,) = running
        workers = workers_of(training.pid)
        assert len(workers) == 2
        os.kill(workers[1], signal.SIGKILL)
        codes, said = _ended(running)
    assert codes == [2], said
    assert said.splitlines()[-1].startswith(
        "error: worker 2 of 2 that makes batches was ended by SIGKILL, as happens where memory "
    )
    assert "Traceback" not in said
    assert not any(pathlib.Path(f"/proc/{worker}").exists() for worker in workers)


def test_two_processes_are_stopped_in_an_evaluation_which_is_done_later(tiny_world, tmp_path):
    changes = {
        "model": "tiny",
        "evaluation__data_root": tiny_world,
        "evaluation__datasets": "landmarks",
        # Compiled at each, and for longer than JAX takes to pass a signal on.
        "evaluation__scales": (1.0, 1.2),
    }
    command = Command(tiny_world, tmp_path / "run", 2, **changes)
    with command.started() as running:
        _wait(running, (command.workdir / FILE).exists)  # The evaluation of step 0 is next.
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
        codes, said = _ended(running)
    assert codes == [75, 75], said
    assert f"stopped by SIGTERM: step 0 is saved in {command.workdir}" in said
    assert (command.workdir / FILE).read_text() == ""
    with command.started() as running:
        _wait(running, lambda: (command.workdir / FILE).read_text().endswith("\n"))
    assert "eval/landmarks/medium/map" in read_metrics(command.workdir)[0]
