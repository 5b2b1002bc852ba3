"""Trainings by the command, ended at any moment and started again."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

from senet_jax.files import read_json
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.export import CHECKPOINTS, CONFIG, setup_of
from senet_jax.training.metrics import read_metrics
from senet_jax.training.process import PREEMPTED_EXIT_CODE
from senet_jax.weights import TENSORS
from tests.training.landmarks import named_leaves
from tests.training.training_process import ROOT, content

STEPS = 10
TIMINGS = {"images_per_second_per_device", "data_wait"}

pytestmark = pytest.mark.slow


class Command:
    """The command of a training, of one process or of several on this machine."""

    def __init__(self, world, workdir, processes):
        self.workdir, self._count = workdir, processes
        settings = {
            "trunk": "",
            "batch_size": 16,
            "epochs": STEPS / 3,  # Of 48 images.
            "log_every_steps": 1,
            "data.folder": world / "landmarks_to_learn",
            "data.side": 32,
            "data.workers": 0,
            "optimizer.learning_rate": 1e-3,
            "optimizer.warmup_epochs": 1.0,
            "losses.queue_length": 64,
            "checkpoint.every_steps": 5,
        }
        self._flags = [f"--config={ROOT / 'tests' / 'training' / 'tiny_config.py'}"]
        self._flags += [f"--workdir={workdir}"]
        self._flags += [f"--config.{key}={value}" for key, value in settings.items()]

    @contextlib.contextmanager
    def started(self):
        """All processes, killed at the end."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "senet_jax.main", *self._flags]
                + [f"--distributed={address},{self._count},{index}"] * (self._count > 1),
                cwd=ROOT,
                env=os.environ
                | {
                    "XLA_FLAGS": "--xla_force_host_platform_device_count=2"
                    " --xla_backend_optimization_level=0"
                },
                text=True,
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
            for index in range(self._count)
        ]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.communicate()

    def finish(self):
        with self.started() as processes:
            outputs = [process.communicate(timeout=300)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * self._count, outputs
        return outputs[0]

    def kill_when(self, is_time, waiting=0.0):
        """Starts it, and kills all processes a while after that is so."""
        with self.started() as processes:
            while not is_time():
                assert all(process.poll() is None for process in processes), "ended before"
                time.sleep(0.0005)
            time.sleep(waiting)

    def logged_step(self):
        """The last step of which there is a line."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            text = (self.workdir / "metrics.jsonl").read_text()
            return json.loads(text.splitlines()[-1])["step"]
        return 0

    def saving(self):
        """The names of the steps that are saved but half."""
        folder = self.workdir / CHECKPOINTS
        return [path.name for path in folder.glob("*tmp*")] if folder.exists() else []

    def saved(self, step):
        return (self.workdir / CHECKPOINTS / str(step)).exists()

    def last_state(self):
        setup = setup_of(read_json(self.workdir / CONFIG))
        with Checkpoints(self.workdir / CHECKPOINTS) as checkpoints:
            state, _ = checkpoints.restore(setup.abstract_state())
        assert state.step == STEPS
        return state

    def metrics(self):
        return [
            {name: value for name, value in line.items() if name not in TIMINGS}
            for line in read_metrics(self.workdir)
        ]


@pytest.fixture(params=[1, 2], ids=["one_process", "two_processes"], scope="module")
def processes(request):
    return request.param


@pytest.fixture(scope="module")
def undisturbed(tiny_world, tmp_path_factory, processes):
    command = Command(tiny_world, tmp_path_factory.mktemp("undisturbed") / "run", processes)
    command.finish()
    return command


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    undisturbed, tiny_world, tmp_path, processes
):
    command, moments = Command(tiny_world, tmp_path / "run", processes), random.Random(processes)
    # Before the first checkpoint, in the middle of it, after it, and in the middle of the last.
    command.kill_when(lambda: command.logged_step() >= 1, moments.uniform(0, 0.05))
    assert not command.saved(5)
    command.kill_when(command.saving)
    assert command.saving() and not command.saved(5)
    command.kill_when(lambda: command.saved(5), moments.uniform(0, 0.1))
    assert command.saved(5)
    command.kill_when(lambda: any(name.startswith("10") for name in command.saving()))
    assert command.saving() and not command.saved(10)
    assert "going on from step 5\n" in command.finish()

    assert command.metrics() == undisturbed.metrics()
    assert [line["step"] for line in command.metrics()] == list(range(1, STEPS + 1))
    assert content(command.last_state()) == content(undisturbed.last_state())
    found, expected = (run.workdir / "weights" / TENSORS for run in (command, undisturbed))
    assert found.read_bytes() == expected.read_bytes()


def test_told_to_stop_it_saves_and_goes_on_later(undisturbed, tiny_world, tmp_path, processes):
    command = Command(tiny_world, tmp_path / "run", processes)
    with command.started() as started:
        while command.logged_step() < 2:
            assert all(process.poll() is None for process in started)
            time.sleep(0.001)
        started[-1].send_signal(signal.SIGTERM)
        outputs = [process.communicate(timeout=100)[1] for process in started]
    assert [process.returncode for process in started] == [PREEMPTED_EXIT_CODE] * processes
    stopped = read_metrics(command.workdir)[-1]["step"]
    assert 2 <= stopped < STEPS
    assert f"stopped at step {stopped}, its state is saved\n" in outputs[0]
    assert command.saved(stopped)
    assert f"going on from step {stopped}\n" in command.finish()
    assert command.metrics() == undisturbed.metrics()
    assert content(command.last_state()) == content(undisturbed.last_state())


def test_ten_steps_move_every_parameter(undisturbed):
    """So the comparisons above are of something."""
    assert len({line["train/loss"] for line in undisturbed.metrics()}) == STEPS
    last = named_leaves(undisturbed.last_state().params)
    setup = setup_of(read_json(undisturbed.workdir / CONFIG))
    for path, before in named_leaves(setup.initial_state().params).items():
        assert (last[path] != before).any(), path
