"""Where the time of a network goes, stage by stage, beside PyTorch's: a roofline.

  python -m benchmarks.stages [--network=r101] [--image=HxW] [--rounds=N]

One image of random pixels, random weights: ours in its fast form, by programs that end after one
stage, two, and so on, and what each takes more than the one before; the twin in PyTorch as it is,
by the clock at the ends of its parts. They take turns in one process. Prints for each stage
milliseconds, GFLOP in convolutions and products of matrices (ours after what Winograd's algorithm
saves), GFLOP/s, and the share of the machine's measured peak: ours, PyTorch's, and the ratio of the
times.
"""

import argparse
import time
from collections.abc import Callable

import jax
import numpy as np
import torch

from benchmarks.roofline import counted, machine, measured_peak
from senet_jax.convert.twin import Twin
from senet_jax.features.networks import fast_form
from senet_jax.models.registry import build_model, find_architecture, variable_shapes
from senet_jax.models.valid_region import ValidRegion
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

CALLS = 3
"""Of each program in a row, in its turn."""
PARTS = {
    **{name: name for name in ("stem", "s1", "s2", "s3", "s4")},
    "fused": "SSM",
    "descriptor": "head",
}
"""The map after each stage, and the twin's part that gives it."""
Clock = Callable[[], list[float]]
"""Runs a network and gives the seconds from its start to the end of each part."""


def main() -> None:
    flags = _flags()
    use_compilation_cache()
    tune_for_inference()
    peaks = [measured_peak()]
    height, width = map(int, flags.image.split("x"))
    image = np.random.default_rng(0).standard_normal((1, height, width, 3)).astype(np.float32)
    networks = [network(flags.network, image) for network in (_ours, _theirs)]
    times: list[list[list[float]]] = [[], []]
    for _ in range(flags.rounds):
        for (clock, _), of_network in zip(networks, times, strict=True):
            of_network += [clock() for _ in range(CALLS)]
        peaks.append(measured_peak())
    peak = max(peaks)
    print(f"{flags.network}, {flags.image}; {machine(peak)}")
    columns = []
    for (_, operations), of_network in zip(networks, times, strict=True):
        for ends in (np.median(of_network, axis=0), operations):
            columns.append([*np.diff(ends, prepend=0), ends[-1]])
    for name, *row in zip((*PARTS, "all"), *columns, strict=True):
        ours, theirs = (_cells(first, second, peak) for first, second in (row[:2], row[2:]))
        print(f"| {flags.network} | {name} | {ours} | {theirs} | {row[0] / row[2]:.2f} |")


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--network", default="r50")
    parser.add_argument("--image", default="768x1024")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _cells(seconds: float, operations: float, peak: float) -> str:
    rate = operations / seconds
    return f"{1e3 * seconds:.1f} | {operations:.1f} | {rate:.0f} | {100 * rate / peak:.0f} %"


def _ours(name: str, image: np.ndarray) -> tuple[Clock, list[float]]:
    """And the GFLOP up to the end of each part."""
    form, rng = fast_form(), np.random.default_rng(0)
    model = build_model(find_architecture(name), **form)
    # Of any values: a kernel's decide over nothing here but whether numbers stay in range.
    variables = jax.tree.map(
        lambda leaf: rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(np.float32),
        variable_shapes(model.architecture, **form),
    )
    region = ValidRegion(np.array([image.shape[1:3]], np.int32))
    functions = [
        lambda variables, image, part=part: model.apply(variables, image, region)[1][part]
        for part in PARTS
    ]
    inputs = jax.device_put((variables, image))
    programs = [jax.jit(function) for function in functions]

    def clock() -> list[float]:
        return [_seconds(program, *inputs) for program in programs]

    clock()
    return clock, [counted(function, variables, image) for function in functions]


def _theirs(name: str, image: np.ndarray) -> tuple[Clock, list[float]]:
    """As `_ours`; the GFLOP are those of the network as it is defined."""
    architecture = find_architecture(name)
    twin = Twin(architecture).eval()
    given = torch.from_numpy(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
    ends: list[float] = []
    for part in PARTS.values():
        twin.get_submodule(part).register_forward_hook(lambda *_: ends.append(time.perf_counter()))

    def clock() -> list[float]:
        ends.clear()
        start = time.perf_counter()
        with torch.no_grad():
            twin(given)
        return [end - start for end in ends]

    clock()
    model, variables = build_model(architecture), variable_shapes(architecture)
    return clock, [
        counted(lambda *inputs, part=part: model.apply(*inputs)[1][part], variables, image)
        for part in PARTS
    ]


def _seconds(program: Callable[..., jax.Array], *inputs: object) -> float:
    start = time.perf_counter()
    program(*inputs).block_until_ready()
    return time.perf_counter() - start


if __name__ == "__main__":
    run_command(main)
