"""The network alone in every engine for CPUs that reads it: ours, PyTorch, OpenVINO, onnxruntime.

  python -m benchmarks.engines --authors=CHECKOUT --weights=W [--image=HxW] [--rounds=N]
      [--engines=ours,theirs,compiled,openvino,onnxruntime]

One image of random pixels, in memory, at its own scale. Each engine has a process of its own, as
many threads as it takes by itself, and the same weights; they wait for each other and take turns.
`theirs` is the authors' model in PyTorch, `compiled` the same under `torch.compile` with our
settings of malloc; of a network that the authors do not have, the project's twin in PyTorch. The
others run what `senet-jax export` writes. Prints, as rows of a table: the first call, in which
everything is compiled and nothing is cached; the median of the others; how many processor seconds
went into one of these; operations a second by the network's own count, and by the engine's where
it is ours (Winograd's algorithm saves some), as a share of the machine's measured peak; and how far
descriptors are from those of the first engine that is named.
"""

import argparse
import functools
import multiprocessing
import os
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.roofline import counted, instruction_set, machine, measured_peak
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache
from senet_jax.weights import Weights, load_weights

CALLS = 3
"""Of each engine in a row, in its turn."""
EXPORTS = {"openvino": "openvino", "onnxruntime": "onnx"}
"""Which export an engine runs."""
Run = Callable[[], np.ndarray]
"""Gives the descriptor of the image, float32[1 d] of unit length."""
Start = Callable[[], Run]
"""What an engine does before it runs, besides reading the weights."""


def main() -> None:
    flags = _flags()
    tune_for_inference()
    peaks = [measured_peak()]
    weights = load_weights(flags.weights)
    height, width = map(int, flags.image.split("x"))
    own, ours = operations(weights, (height, width))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        os.environ |= empty_caches(folder)
        write_exports(weights, flags.engines, folder)
        image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
        turns = [_Turns(engine, flags, folder, image) for engine in flags.engines]
        for _ in range(flags.rounds):
            for engine in turns:
                engine.take()
            peaks.append(measured_peak())
    print(machine(max(peaks)))
    print(f"{weights.architecture.name}, {flags.image}: {own:.1f} GFLOP, ours {ours:.1f}")
    print("| | engine | | first, s | then, s | busy, s | GFLOP/s | its own | share | distance |")
    reference = turns[0].descriptor
    for engine in turns:
        engine.end()
        first, seconds, busy = engine.figures()
        done = ours if engine.name == "ours" else own
        cells = (
            weights.architecture.name,
            engine.name,
            instruction_set(),
            f"{first:.1f}",
            f"{seconds:.3f}",
            f"{busy:.3f}",
            f"{own / seconds:.0f}",
            f"{done / seconds:.0f}",
            f"{100 * done / seconds / max(peaks):.0f} %",
            f"{np.linalg.norm(engine.descriptor - reference):.1e}",
        )
        print(f"| {' | '.join(cells)} |")


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.engines", description=__doc__)
    for flag in ("authors", "weights"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--image", default="768x1024")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", type=lambda text: text.split(","), default=list(_MAKERS))
    return parser.parse_args()


def operations(weights: Weights, size: tuple[int, int]) -> tuple[float, float]:
    """GFLOP of a network for one image, as it is defined, and in the form that describes here."""
    import jax

    from senet_jax.features.networks import GlobalNetwork
    from senet_jax.models.valid_region import ValidRegion

    pixels = jax.ShapeDtypeStruct((1, *size, 3), np.uint8)
    sizes: Any = np.array([size], np.int32)
    networks = [
        GlobalNetwork(weights.architecture, weights.preprocessing, mode)
        for mode in ("exact", "auto")
    ]
    own, ours = (
        counted(
            lambda images, network=network: network.function()(
                network.prepared(weights.variables()), images, ValidRegion(sizes), ()
            ),
            pixels,
        )
        for network in networks
    )
    return own, ours


def empty_caches(folder: pathlib.Path) -> dict[str, str]:
    """The environment of processes that find nothing compiled but what they leave each other."""
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    return {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
    }


def write_exports(weights: Weights, engines: list[str], folder: pathlib.Path) -> None:
    """Writes what the engines among these run, each into a folder of its name."""
    from senet_jax.export.targets import TARGETS

    for engine in set(engines) & set(EXPORTS):
        (folder / engine).mkdir()
        TARGETS[EXPORTS[engine]].write(folder / engine, weights, "")


class _Turns:
    """A process that runs an engine whenever it is asked to."""

    def __init__(
        self, name: str, flags: argparse.Namespace, folder: pathlib.Path, image: np.ndarray
    ):
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._pipe, other = context.Pipe()
        arguments = other, name, flags.weights, flags.authors, folder, image
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        other.close()
        self._first, self.descriptor = self._pipe.recv()
        self._times: list[tuple[float, float]] = []

    def take(self) -> None:
        self._pipe.send(CALLS)
        self._times += self._pipe.recv()

    def end(self) -> None:
        self._pipe.close()
        self._process.join()

    def figures(self) -> tuple[float, float, float]:
        """Seconds of the first call, and medians of the others and of their processor time."""
        seconds, busy = np.median(self._times, axis=0)
        return self._first, float(seconds), float(busy)


def _serve(
    pipe: Any,
    name: str,
    weights: str,
    checkout: str,
    folder: pathlib.Path,
    image: np.ndarray,
) -> None:
    start_engine = _MAKERS[name](load_weights(weights), checkout, folder / name, image)
    start = time.perf_counter()
    run = start_engine()
    descriptor = run()
    pipe.send((time.perf_counter() - start, descriptor))
    while True:
        try:
            calls = pipe.recv()
        except EOFError:
            return
        times = []
        for _ in range(calls):
            start, busy = time.perf_counter(), time.process_time()
            run()
            times.append((time.perf_counter() - start, time.process_time() - busy))
        pipe.send(times)


def _ours(weights: Weights, _: Any, __: Any, image: np.ndarray) -> Start:
    from senet_jax.features.runner import Describer

    use_compilation_cache()
    tune_for_inference()
    describer = Describer.of(weights)
    sizes = np.array([image.shape[1:3]], np.int32)
    return lambda: lambda: np.asarray(describer(image, sizes))


def _pytorch(
    weights: Weights, checkout: str, _: Any, image: np.ndarray, compiled: bool = False
) -> Start:
    import torch

    from benchmarks import authors
    from senet_jax.models.preprocessing import normalise

    model = authors.load_model(checkout, weights)
    if compiled:
        tune_for_inference()
        model = torch.compile(model, dynamic=False)
    pixels = np.asarray(normalise(image, weights.preprocessing)).transpose(0, 3, 1, 2)
    given = torch.from_numpy(np.ascontiguousarray(pixels))

    def run() -> np.ndarray:
        with torch.no_grad():
            return torch.nn.functional.normalize(model(given), dim=1).numpy()

    return lambda: run


def _exported(weights: Weights, _: Any, folder: pathlib.Path, image: np.ndarray) -> Start:
    from senet_jax.export.targets import TARGETS

    rgb = np.ascontiguousarray(image[..., ::-1])

    def start() -> Run:
        program = TARGETS[EXPORTS[folder.name]].load(folder)
        return lambda: program(rgb)

    return start


_MAKERS: dict[str, Callable[..., Start]] = {
    "ours": _ours,
    "theirs": _pytorch,
    "compiled": functools.partial(_pytorch, compiled=True),
    "openvino": _exported,
    "onnxruntime": _exported,
}


if __name__ == "__main__":
    run_command(main)
