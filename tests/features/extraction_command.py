"""Evaluations of many small images by the command, in processes that can be ended at any moment."""

import contextlib
import os
import sys
import time

from senet_jax.system.files import read_json, write_json
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture, with_broken_pixels
from tests.oracles.lively_twin import lively_weights
from tests.processes import ROOT, started

MODEL = "demo_baseline"
SHAPES = [(48, 64), (64, 48), (30, 40), (90, 33), (64, 64), (1, 1), (20, 128)]
IMAGES, BROKEN, CUT_SHORT = 200, 17, 150
# Batches of few images, shards of few batches, and files that are read as slowly as large ones;
# else all is as in the command.
CODE = """
import dataclasses
import time
from senet_jax.system.errors import run_command
from senet_jax.main import main
from senet_jax.data import revisitop
from senet_jax.features import device_memory as memory, shards

def read_slowly(path, read=revisitop.read_image):
    time.sleep(0.02)
    return read(path)

revisitop.read_image = read_slowly
memory.CPU_COSTS = dataclasses.replace(memory.CPU_COSTS, batch_pixels=3 * 64 * 96)
shards.SHARD_BATCHES = 4
run_command(main)
"""

# As where re-ranking takes hours; the others end, and wait for the first one.
LONG_REPORT = """
import time
from senet_jax.system import distributed
from senet_jax.jobs import saved_results
from senet_jax.system.errors import run_command
from senet_jax.main import main

def write_late(*content, write=saved_results.write_report):
    time.sleep(8)
    write(*content)

saved_results.write_report = write_late
distributed.SHUTDOWN_SECONDS = 2
run_command(main)
"""


def write_world(root):
    """Weights, and a dataset of which an image is unreadable and another one breaks off."""
    save_weights(root / "weights", lively_weights(MODEL))
    folder = root / "town" / "jpg"
    folder.mkdir(parents=True)
    for number in range(IMAGES):
        shape = SHAPES[number % len(SHAPES)]
        (folder / f"{number}.jpg").write_bytes(encoded(picture(*shape, seed=number)))
    (folder / f"{BROKEN}.jpg").write_bytes(b"this is no picture")
    content = (folder / f"{CUT_SHORT}.jpg").read_bytes()
    (folder / f"{CUT_SHORT}.jpg").write_bytes(with_broken_pixels(content))
    queries = [{"bbx": [0, 0, 40, 30], "easy": [i], "hard": [], "junk": []} for i in (0, 7)]
    truth = {
        "imlist": [str(number) for number in range(IMAGES)],
        "qimlist": ["0", "7"],
        "gnd": queries,
    }
    write_json(root / "town" / "gnd_town.json", truth)
    return root


class Command:
    """The command, of one process or of several on this machine."""

    def __init__(self, world, workdir, processes=1, code=CODE):
        self.shards = workdir / "descriptors" / "town" / "database.shards"
        self._descriptors, self._count = workdir / "descriptors" / "town", processes
        self._code = code
        self._flags = [
            f"--config={ROOT / 'configs' / 'evaluate.py'}:{MODEL}",
            f"--workdir={workdir}",
            f"--config.weights={world / 'weights'}",
            f"--config.data_root={world}",
            "--config.datasets=town",
            "--config.scales=(0.7071, 1.0)",
        ]

    def started(self):
        """All processes, killed at the end."""
        environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
        command = [sys.executable, "-c", self._code, *self._flags]
        return started(command, self._count, environment | {"JAX_PLATFORMS": "cpu"})

    def finish(self):
        """Runs it to its end; what the processes say."""
        with self.started() as processes:
            outputs = [process.communicate(timeout=200) for process in processes]
        assert [process.returncode for process in processes] == [0] * self._count, outputs
        return outputs

    def there(self):
        """How many shards there are."""
        return len(list(self.shards.glob("*.npz")))

    @contextlib.contextmanager
    def at_shards(self, count):
        """The processes, once there are so many shards."""
        with self.started() as processes:
            while self.there() < count:
                codes = [process.poll() for process in processes]
                assert codes == [None] * self._count, "ended before"
                time.sleep(0.0005)
            yield processes

    def report(self):
        """What was found, without how."""
        return read_json(self._descriptors.parents[1] / "report.json")["town"]

    def content(self):
        """All that is left of descriptors: file -> bytes."""
        return {path.name: path.read_bytes() for path in self._descriptors.iterdir()}
