"""The time from files to descriptors in every engine for CPUs, same images, weights and cores.

  python -m benchmarks.extraction --authors=CHECKOUT --weights=W --data_root=D --dataset=NAME
      [--every=K] [--rounds=N] [--sides=ours,theirs,compiled,openvino,onnxruntime]

Three scales, queries and database. Each run is a process of its own, and they take turns; starting
it and loading the weights is not counted, on any side. `theirs` is the authors' code as it is,
`compiled` the same under `torch.compile`, with the settings of malloc that ours takes; `openvino`
and `onnxruntime` run what `senet-jax export` writes, with our reader of photographs ahead of them.

Cold is a first job, for which nothing is compiled. Warm, in the median, is for ours a job of a new
process, which reads its programs from the cache; for those that keep nothing it is a second job of
the same process.
"""

import argparse
import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks.engines import EXPORTS, empty_caches, operations, write_exports
from benchmarks.roofline import instruction_set, machine, measured_peak
from benchmarks.sample import every_kth
from senet_jax.data.revisitop import Dataset, Photograph, load_dataset
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache
from senet_jax.weights import load_weights

SCALES = [0.7071, 1.0, 1.4142]
COUNTED_AT = 768, 1024
"""Height and width for which operations are counted; other sizes have them by their pixels."""


def main() -> None:
    arguments = _arguments()
    dataset = _dataset(arguments)
    if arguments.side:
        print(*_SIDES[arguments.side](arguments, dataset))
        return
    tune_for_inference()
    peaks = [measured_peak()]
    weights = load_weights(arguments.weights)
    work = _scale_pixels(dataset) / np.prod(COUNTED_AT) * operations(weights, COUNTED_AT)[0]
    images = len(dataset.queries) + len(dataset.images)
    cold: dict[str, float] = {}
    warm: dict[str, list[float]] = {side: [] for side in arguments.sides}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= empty_caches(pathlib.Path(folder))
        write_exports(weights, arguments.sides, pathlib.Path(folder))
        if "ours" in arguments.sides:
            [cold["ours"]] = _jobs("ours", folder)
        for _ in range(arguments.rounds):
            for side in arguments.sides:
                first, *rest = _jobs(side, folder)
                cold.setdefault(side, first)
                warm[side].append(rest[-1] if rest else first)
            peaks.append(measured_peak())
            print({side: round(times[-1], 1) for side, times in warm.items()}, flush=True)
    print(f"{machine(max(peaks))}; {images} images, {work:.0f} GFLOP")
    print("| | side | | cold, s | warm, s | an image, s | ours over it | GFLOP/s | share |")
    medians = {side: float(np.median(times)) for side, times in warm.items()}
    for side, seconds in medians.items():
        cells = (
            weights.architecture.name,
            side,
            instruction_set(),
            f"{cold[side]:.1f}",
            f"{seconds:.1f}",
            f"{seconds / images:.2f}",
            f"{medians['ours'] / seconds:.2f}" if "ours" in medians else "",
            f"{work / seconds:.0f}",
            f"{100 * work / seconds / max(peaks):.0f} %",
        )
        print(f"| {' | '.join(cells)} |")


def _arguments() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.extraction", description=__doc__)
    for flag in ("authors", "weights", "data_root", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--every", type=int, default=1, help="take every K-th image only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", type=lambda text: text.split(","), default=list(_SIDES))
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--exports", type=pathlib.Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _dataset(arguments: argparse.Namespace) -> Dataset:
    return every_kth(load_dataset(arguments.data_root, arguments.dataset), arguments.every)


def _scale_pixels(dataset: Dataset) -> int:
    """Of all photographs, cut to their boxes, at all scales together."""
    from senet_jax.features.reader import read_pyramid

    photographs = (*dataset.queries, *dataset.images)
    return sum(
        level.shape[0] * level.shape[1]
        for photograph in photographs
        for level in read_pyramid(photograph, SCALES).levels
    )


def _jobs(side: str, folder: str) -> list[float]:
    """Seconds of the jobs of one process, in their order."""
    command = [sys.executable, "-m", "benchmarks.extraction", *sys.argv[1:]]
    done = subprocess.run(
        [*command, f"--side={side}", f"--exports={folder}"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def _seconds(job: Callable[[], None]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _ours(arguments: argparse.Namespace, dataset: Dataset) -> list[float]:
    use_compilation_cache()
    tune_for_inference()
    from senet_jax.features.extract import extract
    from senet_jax.features.runner import Describer

    describer = Describer.of(load_weights(arguments.weights))

    def job() -> None:
        for photographs in (dataset.queries, dataset.images):
            extract(describer, photographs, SCALES, label="ours")

    return [_seconds(job)]


def _theirs(arguments: argparse.Namespace, dataset: Dataset, compiled: bool = False) -> list[float]:
    import torch

    from benchmarks import authors

    model = authors.load_model(arguments.authors, load_weights(arguments.weights))
    if compiled:
        tune_for_inference()
        model = torch.compile(model)
    with authors.under_their_name(dataset) as root:

        def job() -> None:
            for part in ("query", "db"):
                authors.extract(model, root, part, SCALES)

        return [_seconds(job) for _ in range(2 if compiled else 1)]


def _exported(arguments: argparse.Namespace, dataset: Dataset, engine: str) -> list[float]:
    from senet_jax.export.targets import TARGETS, Program
    from senet_jax.features.reader import Pyramid, read_pyramid
    from senet_jax.system.threads import in_order

    programs: list[Program] = []

    def read(photograph: Photograph) -> Pyramid:
        return read_pyramid(photograph, SCALES)

    def job() -> None:
        if not programs:
            programs.append(TARGETS[EXPORTS[engine]].load(arguments.exports / engine))
        for pyramid in in_order(read, (*dataset.queries, *dataset.images), threads=1):
            described = [
                programs[0](np.ascontiguousarray(level[None, ..., ::-1]))
                for level in pyramid.levels
            ]
            mean = np.mean(described, axis=0)
            mean /= np.linalg.norm(mean)

    return [_seconds(job) for _ in range(2)]


_SIDES: dict[str, Callable[[argparse.Namespace, Dataset], list[float]]] = {
    "ours": _ours,
    "theirs": _theirs,
    "compiled": functools.partial(_theirs, compiled=True),
    **{engine: functools.partial(_exported, engine=engine) for engine in EXPORTS},
}


if __name__ == "__main__":
    run_command(main)
