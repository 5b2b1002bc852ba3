"""Images a second on an accelerator, from files to descriptors, in each precision.

  python -m benchmarks.gpu_extraction --side=SIDE --weights=W --photographs=FOLDER --folder=DIR

A side has a process of its own, for only one framework may have the device's memory: `theirs` is
the project's twin of the network in PyTorch, channels last; the others are ours, in the precision
that they are named after. Both sides take the photographs of a folder `--copies` times, at three
scales, read and resized by the same code in as many threads as there are cores. Ours plans its
batches over sizes of all kinds; theirs takes up to `--batch` images of one size together. A run
before the timed ones compiles and warms up. `theirs` also writes, in `--folder`, the descriptors of
each photograph in float64, and ours then prints how far its own are from them.

With `--cold` ours first describes the photographs once with no compiled program at hand.
"""

import argparse
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.data.sizes import photograph_sizes
from senet_jax.data.transforms import MOST_PIXELS
from senet_jax.features.precision import PRECISIONS
from senet_jax.features.reader import Pyramid, read_pyramid
from senet_jax.features.scales import SCALES
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.threads import in_order
from senet_jax.weights import load_weights

WIDE = "float64.npy"


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.gpu_extraction", description=__doc__)
    parser.add_argument("--side", required=True, choices=("theirs", *PRECISIONS))
    parser.add_argument("--weights", required=True)
    parser.add_argument("--photographs", required=True, type=pathlib.Path)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--cold", action="store_true")
    arguments = parser.parse_args()
    names = sorted(path.name for path in arguments.photographs.iterdir())
    photographs = [Photograph(arguments.photographs, name) for name in names]
    if not photographs:
        raise UserError(f"{arguments.photographs} holds no photographs")
    (_theirs if arguments.side == "theirs" else _ours)(arguments, photographs)


def _ours(arguments: argparse.Namespace, photographs: Sequence[Photograph]) -> None:
    cache = arguments.folder / f"cache_{arguments.side}"
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

    tune_for_inference()
    use_compilation_cache()
    import jax

    from senet_jax.features import extract as engine
    from senet_jax.features.runner import Describer
    from senet_jax.system.progress import COMPILING

    precision = arguments.side
    describer = Describer.of(load_weights(arguments.weights), precision=precision)

    def describe(some: Sequence[Photograph]) -> np.ndarray:
        return engine.extract(describer, some, SCALES, label=precision)[0]

    device = jax.devices()[0].device_kind
    if arguments.cold:
        seconds = _seconds(lambda: describe(photographs))
        print(
            f"| ours, {precision}, {device} | {len(photographs)} images, empty cache | "
            f"{seconds:.1f} s, compilers at work {COMPILING.seconds:.1f} s |",
            flush=True,
        )
    many = [*photographs] * arguments.copies
    compiling = -COMPILING.seconds
    warming = _seconds(lambda: describe(many))
    compiling += COMPILING.seconds
    print(f"first run {warming:.1f} s, compilers at work {compiling:.1f} s", flush=True)
    rows = describe(many)[: len(photographs)]
    for in_flight in (engine.BATCHES_IN_FLIGHT, 4):
        engine.BATCHES_IN_FLIGHT = in_flight
        rates = [len(many) / _seconds(lambda: describe(many)) for _ in range(arguments.rounds)]
        _print_rate(f"ours, {precision}, {device}, {in_flight} in flight", rates)
    if (wide := arguments.folder / WIDE).exists():
        _print_distance(f"ours, {precision}", rows, np.load(wide))


def _theirs(arguments: argparse.Namespace, photographs: Sequence[Photograph]) -> None:
    import torch

    from benchmarks.torch_twin import DEVICE, DEVICE_NAME, ON_GPU, multiply_in, twin_of
    from senet_jax.convert.translate import state_from_weights

    weights = load_weights(arguments.weights)
    twin = twin_of(weights.architecture).eval()
    state = {key: torch.tensor(value) for key, value in state_from_weights(weights).items()}
    twin.load_state_dict(state, strict=False)

    def describe(some: Sequence[Photograph], dtype: torch.dtype = torch.float32) -> np.ndarray:
        rows = np.zeros((len(some), weights.architecture.outputs))
        for places, pyramids in _of_one_size(some, arguments.batch):
            scales = []
            for level in range(len(SCALES)):
                images = np.stack([pyramid.levels[level] for pyramid in pyramids])
                pixels = _normalised(torch.from_numpy(images).to(DEVICE), weights.preprocessing)
                scales.append(torch.nn.functional.normalize(twin(pixels.to(dtype))["descriptor"]))
            mean = torch.stack([scale.to(dtype) for scale in scales]).mean(dim=0)
            rows[places] = torch.nn.functional.normalize(mean).double().cpu().numpy()
        return rows

    many = [*photographs] * arguments.copies
    with torch.inference_mode():
        found = {}
        for precision in PRECISIONS:
            if precision == "tf32" and not ON_GPU:
                continue
            with multiply_in(precision):
                found[precision] = describe(photographs)
                rates = [
                    len(many) / _seconds(lambda: describe(many)) for _ in range(arguments.rounds)
                ]
            _print_rate(f"theirs, {precision}, {DEVICE_NAME}, torch {torch.__version__}", rates)
        twin.double()
        with multiply_in("float64"):
            wide = describe(photographs, torch.float64)
    np.save(arguments.folder / WIDE, wide)
    for precision, rows in found.items():
        _print_distance(f"theirs, {precision}", rows, wide)


def _normalised(images, preprocessing: Preprocessing):
    """uint8[b h w 3] BGR of PyTorch -> float32[b 3 h w], channels last in memory."""
    import torch

    if preprocessing.channel_order == "RGB":
        images = images.flip(-1)
    mean, std = (
        torch.tensor(values, device=images.device)
        for values in (preprocessing.mean, preprocessing.std)
    )
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def _of_one_size(
    photographs: Sequence[Photograph], batch: int
) -> Iterator[tuple[list[int], list[Pyramid]]]:
    """Photographs with equal sizes, up to a batch, read ahead; and where they stand in the list."""
    places: dict[tuple[int, int], list[int]] = {}
    sizes, _ = photograph_sizes(
        photographs, label="theirs", skip_unreadable=False, most_pixels=MOST_PIXELS
    )
    for place, (height, width) in enumerate(sizes.tolist()):
        places.setdefault((height, width), []).append(place)
    groups = [
        alike[start : start + batch]
        for alike in places.values()
        for start in range(0, len(alike), batch)
    ]
    order = (photographs[place] for group in groups for place in group)
    pyramids = in_order(lambda photograph: read_pyramid(photograph, SCALES), order, _cores(), 64)
    for group in groups:
        yield group, [next(pyramids) for _ in group]


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _print_rate(what: str, rates: Sequence[float]) -> None:
    runs = ", ".join(f"{rate:.1f}" for rate in rates)
    print(f"| {what} | {np.median(rates):.1f} images/s | runs {runs} |", flush=True)


def _print_distance(what: str, rows: np.ndarray, wide: np.ndarray) -> None:
    distances = np.linalg.norm(rows - wide, axis=1)
    cosines = np.sum(rows * wide, axis=1) / np.linalg.norm(rows, axis=1)
    print(
        f"| {what} | {distances.max():.1e} from float64 at most | "
        f"least cosine {cosines.min():.6f} |",
        flush=True,
    )


if __name__ == "__main__":
    run_command(main)
