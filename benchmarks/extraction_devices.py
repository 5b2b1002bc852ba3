"""What more devices bring extraction: equal descriptors, and the work that they do not share.

  python -m benchmarks.extraction_devices --data_root=D --dataset=NAME [--every=K]
      [--weights=random:tiny:0] [--devices=1,2,4,8] [--rounds=N]

Queries and images are described as one list, at three scales, into files. The devices are fake ones
of the CPU, so their time tells nothing; each number of them has a process of its own. The first
table tells how far descriptors are from those of one device, where all numbers of devices take as
many threads and where each takes those that XLA gives it: how many share a product of matrices
decides over its last bits. A call gives one batch to each device; `filled` is the share of the
calls' places that have one.

The second table is a profile of the job on one device, medians of runs with compiled programs:
processor seconds by the clocks of the threads, or of the process where no device computes.

  plan        reading the sizes of all photographs, and planning their batches
  read        reading and decoding photographs, and resizing them to the scales (threads that read)
  pad         copying them into their batches (a thread for each batch in flight)
  transfer    giving those to the device, and starting the programs (the same)
  collect     taking descriptors from the device (the same)
  write       what is left while no batch is under way: the states of files, shards, the result
  network     everything else

All but the network's is serial: it stays when there are more devices. So there are two shares of
serial work, that of processor seconds, and that of the time in which no device computed, where the
rest was hidden behind the device. Amdahl's law says from each how many times as fast more devices
make it at most, if all of their places were filled, and with the places that this list fills.
OpenCV is kept to the thread that calls it, whose clock would miss others.
"""

import argparse
import collections
import contextlib
import dataclasses
import os
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import cv2
import jax
import numpy as np

from benchmarks.memory import in_own_process
from benchmarks.roofline import instruction_set, machine, measured_peak
from benchmarks.sample import every_kth
from senet_jax.convert.sources import source_name, weights_folder
from senet_jax.data.revisitop import Photograph, load_dataset
from senet_jax.features import described_list
from senet_jax.features import extract as engine
from senet_jax.features.runner import Describer, Runner
from senet_jax.features.scales import SCALES
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache
from senet_jax.weights import load_weights

SERIAL = ("plan", "read", "pad", "transfer", "collect", "write")
_WATCHED_AT_ONCE = 16
"""Calls of programs whose end is waited for: more than there are in flight."""


@dataclasses.dataclass(frozen=True, eq=False)
class Described:
    """What a number of devices made of a list.

    Attributes:
        descriptors: float32[n d].
        programs: how many were compiled.
        batches: how many the list was planned in.
        calls: how often they were given to the devices.
    """

    descriptors: np.ndarray
    programs: int
    batches: int
    calls: int


def main() -> None:
    flags = _flags()
    dataset = every_kth(load_dataset(flags.data_root, flags.dataset), flags.every)
    photographs = [*dataset.queries, *dataset.images]
    weights = weights_folder(flags.weights)
    print(machine(measured_peak()))
    print(f"{len(photographs)} photographs of {flags.dataset} at {len(SCALES)} scales")
    print(
        "| devices | programs | batches | calls | filled | MB | as many threads | XLA's threads |"
    )
    known: list[Described] = []
    for count in flags.devices:
        both = [
            in_own_process(describe_on, weights, photographs, count, threads)
            for threads in (max(flags.devices), None)
        ]
        known = known or [run.value for run in both]
        here: Described = both[0].value
        cells = (
            f"{count} | {here.programs} | {here.batches} | {here.calls}",
            f"{100 * here.batches / (count * here.calls):.0f} %",
            f"{both[0].peak_bytes / 1e6:.0f}",
            *(_difference(run.value, one) for run, one in zip(both, known, strict=True)),
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    runs = in_own_process(profile, weights, photographs, flags.rounds).value
    _print_profile(runs, len(photographs))
    _print_forecast(runs, flags.devices[-1], here.batches / here.calls)


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.extraction_devices", description=__doc__)
    parser.add_argument("--data_root", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--every", type=int, default=1, help="take every K-th photograph only")
    parser.add_argument("--weights", type=source_name, default="random:tiny:0")
    parser.add_argument(
        "--devices",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[1, 2, 4, 8],
        help="how many, the first of which the others are compared with",
    )
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _difference(found: Described, expected: Described) -> str:
    if found is expected:
        return ""
    if found.descriptors.tobytes() == expected.descriptors.tobytes():
        return "equal to the byte"
    distances = np.linalg.norm(found.descriptors - expected.descriptors, axis=1)
    return f"at most {distances.max():.1e} away"


def describe_on(
    weights: pathlib.Path, photographs: Sequence[Photograph], devices: int, threads: int | None
) -> Described:
    """Describes a list on fake devices; on how many threads XLA says where that is None."""
    if threads is not None:
        os.environ["NPROC"] = str(threads)
    describer = _describer(weights, devices)
    plan = engine.plan_job(describer, photographs, SCALES, label="plan", skip_unreadable=False).plan
    with mock.patch.object(Runner, "values", autospec=True, side_effect=Runner.values) as values:
        descriptors = _describe(describer, photographs)
    return Described(descriptors, len(plan.programs), len(plan.batches), values.call_count)


def _describer(weights: pathlib.Path, devices: int) -> Describer:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    use_compilation_cache()
    tune_for_inference()
    return Describer.of(load_weights(weights))


def _describe(describer: Describer, photographs: Sequence[Photograph]) -> np.ndarray:
    """Descriptors float32[n d], by way of files that go again; the summary is not printed."""
    wanted = described_list.PhotographList("photographs", photographs, SCALES)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        store = described_list.describe_list(describer, wanted, folder, "database", {})
        return np.array(store.descriptors)


class Clocks:
    """What the parts of a job took, in whichever threads they ran.

    Attributes:
        seconds: of processors, by the name of the part.
        computing: when a program was started and when it was done, by the clock.
    """

    def __init__(self):
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self.computing: list[tuple[float, float]] = []
        self._lock = threading.Lock()
        self._watchers = ThreadPoolExecutor(_WATCHED_AT_ONCE, "watch")

    @contextlib.contextmanager
    def _timing(self, part: str, clock: Callable[[], float]) -> Iterator[None]:
        start = clock()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[part] += clock() - start

    def timed(
        self, part: str, function: Callable, clock: Callable[[], float] = time.thread_time
    ) -> Callable:
        """The function, which adds what it takes of a clock to a part."""

        def call(*arguments: Any, **options: Any) -> Any:
            with self._timing(part, clock):
                return function(*arguments, **options)

        return call

    def timed_generator(self, part: str, function: Callable) -> Callable:
        """The same for what yields, by the clock of the process from its first value to its end."""

        def call(*arguments: Any) -> Iterator[Any]:
            with self._timing(part, time.process_time):
                yield from function(*arguments)

        return call

    def watched(self, function: Callable) -> Callable:
        """A function that starts a program, which notes from when to when that runs."""

        def call(*arguments: Any, **options: Any) -> Any:
            arrays = function(*arguments, **options)
            self._watchers.submit(self._note_end, arrays, time.perf_counter())
            return arrays

        return call

    def _note_end(self, arrays: Any, start: float) -> None:
        jax.block_until_ready(arrays)
        self.computing.append((start, time.perf_counter()))

    def finish(self) -> float:
        """The seconds in which a program ran; none is started any more."""
        self._watchers.shutdown()
        total, end = 0.0, float("-inf")
        for start, stop in sorted(self.computing):
            total += max(0.0, stop - max(start, end))
            end = max(end, stop)
        return total


def profile(
    weights: pathlib.Path, photographs: Sequence[Photograph], rounds: int
) -> list[dict[str, float]]:
    """For each run the processor seconds of each part, and by the clock `all` and `computing`."""
    cv2.setNumThreads(1)
    describer = _describer(weights, 1)
    _describe(describer, photographs)  # Compiles.
    return [_profiled(describer, photographs) for _ in range(rounds)]


def _profiled(describer: Describer, photographs: Sequence[Photograph]) -> dict[str, float]:
    clocks = Clocks()
    call, values = Runner.__call__, Runner.values
    wrapped = [
        (described_list, "plan_job", clocks.timed("plan", engine.plan_job, time.process_time)),
        (
            described_list,
            "extract_batches",
            clocks.timed_generator("batches", engine.extract_batches),
        ),
        (engine, "read_pyramid", clocks.timed("read", engine.read_pyramid)),
        (engine, "_extract", clocks.timed("extract", engine._extract)),
        (Runner, "__call__", clocks.timed("transfer", clocks.watched(call))),
        (Runner, "values", clocks.timed("collect", values)),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name, function in wrapped:
            stack.enter_context(mock.patch.object(owner, name, function))
        begun, begun_busy = time.perf_counter(), time.process_time()
        _describe(describer, photographs)
        seconds, busy = time.perf_counter() - begun, time.process_time() - begun_busy
    computing = clocks.finish()
    taken = clocks.seconds
    taken["pad"] = taken["extract"] - taken["transfer"] - taken["collect"]
    taken["write"] = busy - taken["plan"] - taken["batches"]
    parts = {part: taken[part] for part in SERIAL}
    network = busy - sum(parts.values())
    return parts | {"network": network, "all": seconds, "computing": computing}


def _median(runs: Sequence[dict[str, float]], part: str) -> float:
    return float(np.median([run[part] for run in runs]))


def _print_profile(runs: Sequence[dict[str, float]], images: int) -> None:
    print("| part | vectors | processor seconds | ms an image | share |")
    total = sum(_median(runs, part) for part in (*SERIAL, "network"))
    for part in (*SERIAL, "network"):
        seconds = _median(runs, part)
        cells = (
            part,
            instruction_set(),
            f"{seconds:.3f}",
            f"{1e3 * seconds / images:.2f}",
            f"{100 * seconds / total:.1f} %",
        )
        print(f"| {' | '.join(cells)} |")
    serial = sum(_median(runs, part) for part in SERIAL)
    print(
        f"by the clock {_median(runs, 'all'):.2f} s, in {_median(runs, 'computing'):.2f} of which "
        f"the device computed; a core prepares {images / serial:.0f} images a second"
    )


def _print_forecast(runs: Sequence[dict[str, float]], devices: int, at_once: float) -> None:
    """What Amdahl's law says.

    Args:
        runs: profiles.
        devices: how many there may be.
        at_once: how many batches a call has in the mean.
    """
    serial = sum(_median(runs, part) for part in SERIAL)
    shares = {
        "processor seconds": serial / (serial + _median(runs, "network")),
        "the clock": 1 - _median(runs, "computing") / _median(runs, "all"),
    }
    for what, share in shares.items():
        most, filled = (1 / (share + (1 - share) / count) for count in (devices, at_once))
        print(
            f"serial by {what} {100 * share:.1f} %: {devices} devices are {most:.1f} times as fast "
            f"as one at most, {filled:.1f} with this list's batches, {at_once:.1f} a call"
        )


if __name__ == "__main__":
    run_command(main)
