"""Images a second of a training step on one accelerator, and the share of its peak.

  python -m benchmarks.gpu_training --side=ours|theirs [--model=r50] [--side_pixels=512]

The recipe's SGD and 81,313 classes, with L_cls alone and with L_con; bfloat16, and float32 whose
products are in TF32, as both frameworks have it where nothing else is said. Images, labels and the
state are random and on the device. Batches of `--batch` images, and then the most that fit. Printed
is the median of `--rounds` runs of `--steps` steps; the share counts the products of the network,
three times the forward pass and once more for the keys of L_con, over the peak of the chip.

Theirs is an equal step in PyTorch: the twin of the network, channels last, autocast, a cosine
classifier without margins, and for L_con a second network that follows, and a queue.
"""

import argparse
import concurrent.futures
import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from senet_jax.data.gldv2 import CLASSES
from senet_jax.models.registry import find_architecture
from senet_jax.system.errors import CommandParser, run_command

# Dense products a second, of the H100's and the H200's tensor cores.
PEAKS = {"bfloat16": 989e12, "float32": 494e12}
QUEUE = 73_728
# The largest batch is tried at what the memory of the first suggests, then at so much of it.
_LESS = 0.85
_MULTIPLE = 6


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.gpu_training", description=__doc__)
    parser.add_argument("--side", required=True, choices=_SIDES)
    parser.add_argument("--model", default="r50")
    parser.add_argument("--side_pixels", type=int, default=512)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--batch", type=int, default=18)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only_batch", action="store_true", help="leave the largest batch out")
    arguments = parser.parse_args()
    _SIDES[arguments.side](arguments)


def forward_products(model: str, side: int) -> float:
    """Multiplications and additions of products in a forward pass of one image."""
    import jax
    import jax.numpy as jnp

    from senet_jax.models.registry import build_model, variable_shapes

    architecture = find_architecture(model)
    network = build_model(architecture)
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    traced = jax.make_jaxpr(lambda v, i: network.apply(v, i)[0])(
        variable_shapes(architecture), image
    )
    return _products(traced.jaxpr)


def _products(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        outputs = math.prod(equation.outvars[0].aval.shape)
        if equation.primitive.name == "conv_general_dilated":
            shape = equation.invars[1].aval.shape
            kernel = [shape[axis] for axis in equation.params["dimension_numbers"].rhs_spec]
            total += 2.0 * outputs * math.prod(kernel[1:])
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            summed = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            total += 2.0 * outputs * summed
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                total += _products(inner)
    return total


def _print_row(
    arguments: argparse.Namespace, what: str, way: tuple[str, bool], batch: int, seconds: float
) -> None:
    precision, contrast = way
    products = forward_products(arguments.model, arguments.side_pixels) * (4 if contrast else 3)
    share = products * batch / seconds / PEAKS[precision]
    shown = {"float32": "float32, products in TF32"}.get(precision, precision)
    losses = "L_cls + L_con" if contrast else "L_cls"
    print(
        f"| {what}, {shown}, {losses} | batch {batch} | {1000 * seconds:.1f} ms a step | "
        f"{batch / seconds:.1f} images/s | {100 * share:.1f} % of peak |",
        flush=True,
    )


WAYS: tuple[tuple[str, bool], ...] = (
    ("bfloat16", False),
    ("float32", False),
    ("bfloat16", True),
    ("float32", True),
)
"""Precision, and whether with L_con."""


def _ours(arguments: argparse.Namespace) -> None:
    import jax

    ours = f"ours, {jax.devices()[0].device_kind}, jax {jax.__version__}"
    states = {
        contrast: _random(_setup(arguments, "float32", contrast)) for contrast in (False, True)
    }

    def compiled(way: tuple[str, bool], batch: int) -> Any:
        precision, contrast = way
        setup = _setup(arguments, precision, contrast)
        step = jax.jit(setup.make_step(), donate_argnums=0)
        shapes = setup.abstract_state(), _batch(arguments, batch, contrast, jax.ShapeDtypeStruct)
        return step.lower(*shapes).compile()

    def run(way: tuple[str, bool], batch: int, program: Any) -> None:
        images = _batch(arguments, batch, way[1], _random_array)
        images = jax.device_put(images)

        def steps(count: int) -> None:
            for _ in range(count):
                states[way[1]], metrics = program(states[way[1]], images)
            jax.block_until_ready(metrics)

        _print_row(arguments, ours, way, batch, _seconds_a_step(arguments, steps))

    def compiled_together(batches: dict[tuple[str, bool], int]) -> dict[tuple[str, bool], Any]:
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            found = pool.map(lambda way: compiled(way, batches[way]), batches)
            programs = dict(zip(batches, found, strict=True))
        print(f"{len(batches)} programs in {time.perf_counter() - start:.1f} s", flush=True)
        return programs

    largest = {}
    for way, program in compiled_together(dict.fromkeys(WAYS, arguments.batch)).items():
        memory = program.memory_analysis()
        gib = (memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 2**30
        print(f"{way[0]}, L_con {way[1]}: {gib:.1f} GiB", flush=True)
        run(way, arguments.batch, program)
        an_image = memory.temp_size_in_bytes / arguments.batch
        fitting = (_limit() - memory.argument_size_in_bytes) / an_image
        largest[way] = int(fitting) // _MULTIPLE * _MULTIPLE
    if arguments.only_batch:
        return
    largest.pop(WAYS[-1])
    for way, program in compiled_together(largest).items():
        batch = largest[way]
        while batch:
            try:
                run(way, batch, program or compiled(way, batch))
                break
            except jax.errors.JaxRuntimeError as error:
                print(f"batch {batch}: {str(error).splitlines()[0][:80]}", flush=True)
                # The state is used up by a step that fails.
                states[way[1]] = _random(_setup(arguments, "float32", way[1]))
                batch, program = int(_LESS * batch) // _MULTIPLE * _MULTIPLE, None


def _limit() -> float:
    import jax

    statistics = jax.local_devices()[0].memory_stats() or {}
    # Both losses' states are there, and what the allocator cannot use.
    return 0.9 * statistics.get("bytes_limit", 2**32) - 2**32 * ("bytes_limit" in statistics)


def _setup(arguments: argparse.Namespace, precision: str, contrast: bool) -> Any:
    from configs import r50_cls, r50_cls_con
    from senet_jax.config import read
    from senet_jax.training.settings import TrainingSettings
    from senet_jax.training.setup import make_setup

    config = (r50_cls_con if contrast else r50_cls).get_config()
    config.model, config.precision = arguments.model, precision
    return make_setup(read(TrainingSettings, config), arguments.classes, steps_per_epoch=10_000)


def _random(setup: Any) -> Any:
    import jax

    return jax.tree.map(lambda leaf: _random_array(leaf.shape, leaf.dtype), setup.abstract_state())


def _random_array(shape: Sequence[int], dtype: Any) -> Any:
    """Small positive numbers, also fit for variances; labels and counters are 0."""
    import jax.numpy as jnp

    if not np.issubdtype(dtype, np.floating):
        return jnp.zeros(shape, dtype)
    rng = np.random.default_rng(0)
    return jnp.asarray(0.05 * rng.random(shape, np.float32))


def _batch(
    arguments: argparse.Namespace, batch: int, contrast: bool, make: Callable[..., Any]
) -> dict[str, Any]:
    from senet_jax.data.loader import spec_of_examples

    spec = spec_of_examples(arguments.side_pixels, contrast)
    return {name: make((batch, *shape), np.dtype(dtype)) for name, (shape, dtype) in spec.items()}


def _seconds_a_step(arguments: argparse.Namespace, steps: Callable[[int], None]) -> float:
    steps(3)
    times = []
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        steps(arguments.steps)
        times.append((time.perf_counter() - start) / arguments.steps)
    return float(np.median(times))


def _theirs(arguments: argparse.Namespace) -> None:
    import torch

    from benchmarks.torch_twin import DEVICE_NAME, ON_GPU

    theirs = f"theirs, {DEVICE_NAME}, torch {torch.__version__}"
    torch.backends.cudnn.benchmark = True

    def run(way: tuple[str, bool], batch: int) -> float:
        step = _torch_step(arguments, *way, batch)

        def steps(count: int) -> None:
            for _ in range(count):
                step()
            if ON_GPU:
                torch.cuda.synchronize()

        seconds = _seconds_a_step(arguments, steps)
        _print_row(arguments, theirs, way, batch, seconds)
        return torch.cuda.max_memory_allocated() / batch if ON_GPU else 2**32 / batch

    for way in WAYS:
        an_image = run(way, arguments.batch)
        if arguments.only_batch or way == WAYS[-1] or not ON_GPU:
            continue
        total = torch.cuda.get_device_properties(0).total_memory
        batch = int(0.9 * total / an_image) // _MULTIPLE * _MULTIPLE
        while batch:
            try:
                run(way, batch)
                break
            except torch.cuda.OutOfMemoryError as error:
                print(f"batch {batch}: {str(error)[:80]}", flush=True)
                torch.cuda.empty_cache()
                batch = int(_LESS * batch) // _MULTIPLE * _MULTIPLE
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _torch_step(
    arguments: argparse.Namespace, precision: str, contrast: bool, batch: int
) -> Callable[[], None]:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    from benchmarks.torch_twin import DEVICE, multiply_in, twin_of

    architecture = find_architecture(arguments.model)
    twin, follower = twin_of(architecture), twin_of(architecture)
    width, side = architecture.outputs, arguments.side_pixels
    classes = torch.nn.Parameter(torch.randn(arguments.classes, width, device=DEVICE))
    queue = normalize(torch.randn(QUEUE, width, device=DEVICE))
    images, positives = (torch.rand(batch, side, side, 3, device=DEVICE) for _ in range(2))
    images, positives = (pixels.permute(0, 3, 1, 2) for pixels in (images, positives))
    labels = torch.zeros(batch, dtype=torch.long, device=DEVICE)
    parameters = [*twin.parameters(), classes]
    optimizer = torch.optim.SGD(parameters, 1e-4, momentum=0.9, weight_decay=1e-4)
    places = itertools.cycle(range(0, QUEUE - batch, batch))
    context = multiply_in("tf32" if precision == "float32" else precision)

    def step() -> None:
        with context:
            descriptors = twin(images)["descriptor"]
        descriptors = normalize(descriptors.float())
        loss = cross_entropy(30 * descriptors @ normalize(classes).T, labels)
        if contrast:
            with torch.no_grad(), context:
                keys = normalize(follower(positives)["descriptor"].float())
            own = (descriptors * keys).sum(dim=1, keepdim=True)
            logits = 30 * torch.cat([own, descriptors @ queue.T], dim=1)
            loss = 0.5 * loss + 0.5 * cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if contrast:
            with torch.no_grad():
                torch._foreach_lerp_([*follower.parameters()], [*twin.parameters()], 0.001)
                place = next(places)
                queue[place : place + batch] = keys

    return step


_SIDES = {"ours": _ours, "theirs": _theirs}


if __name__ == "__main__":
    run_command(main)
