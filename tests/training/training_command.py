"""Small trainings by the command, in processes that can be ended at any moment."""

import contextlib
import json
import os
import sys
import time

from senet_jax.system.checksummed import read_sealed_json
from senet_jax.training.export import CHECKPOINTS, CONFIG, setup_of
from senet_jax.training.metrics import FILE, read_metrics
from senet_jax.training.stored_steps import StoredSteps
from tests.processes import ROOT, started

STEPS = 10
TINY_CONFIG = ROOT / "tests" / "training" / "tiny_config.py"
TIMINGS = {"images_per_second_per_device", "data_wait"}
# Two devices; and a program of a few steps takes longer to compile well than to run badly.
ENVIRONMENT = {
    "XLA_FLAGS": "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
}


class Command:
    """The command of a training, of one process or of several on this machine."""

    def __init__(self, world, workdir, processes=1, **changes):
        self.workdir, self._count = workdir, processes
        settings = {
            # The one that is traced and compiled in the least time.
            "model": "demo_baseline",
            "start": "",
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
        } | {key.replace("__", "."): value for key, value in changes.items()}
        self._flags = [f"--config={TINY_CONFIG}", f"--workdir={workdir}"]
        self._flags += [f"--config.{key}={value}" for key, value in settings.items()]

    def started(self):
        """All processes, killed at the end."""
        command = [sys.executable, "-m", "senet_jax.main", *self._flags]
        return started(command, self._count, os.environ | ENVIRONMENT)

    def finish(self):
        """Runs it to its end; what process 0 says."""
        with self.started() as processes:
            outputs = [process.communicate(timeout=300)[1] for process in processes]
        codes = [process.returncode for process in processes]
        assert codes == [0] * self._count, outputs
        return outputs[0]

    def kill_when(self, is_time):
        """Starts it, and kills all processes as soon as that is so."""
        with self.started() as processes:
            while not is_time():
                assert all(process.poll() is None for process in processes), "ended before"
                time.sleep(0.0005)

    def logged_step(self):
        """The last step of which there is a line."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            text = (self.workdir / FILE).read_text()
            return json.loads(text.splitlines()[-1])["step"]
        return 0

    def saving(self):
        """The names of the steps that are saved but half."""
        folder = self.workdir / CHECKPOINTS
        return [path.name for path in folder.glob("*tmp*")] if folder.exists() else []

    def saved(self, step):
        return (self.workdir / CHECKPOINTS / str(step)).exists()

    def last_state(self):
        setup = setup_of(read_sealed_json(self.workdir / CONFIG, ""), self.workdir / CONFIG)
        stored = StoredSteps(self.workdir / CHECKPOINTS)
        return stored.state(STEPS, stored.record(STEPS), setup.abstract_state())

    def metrics(self):
        return [
            {name: value for name, value in line.items() if name not in TIMINGS}
            for line in read_metrics(self.workdir)
        ]
