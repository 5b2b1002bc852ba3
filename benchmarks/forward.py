"""What each technique of the inference path is worth, and `torch.compile` beside it.

  python -m benchmarks.forward --authors=CHECKOUT --weights=W [--image=HxW] [--rounds=N]

The network alone on an image at three scales, all pixels random: one image at a time, or two in
threads of their own as in an extraction. Each way is a process of its own, and they take turns.
Printed is the time an image of each over that of the authors' model in PyTorch, as it is.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from senet_jax.system.errors import CommandParser, run_command

SCALES = [0.7071, 1.0, 1.4142]
REPEATS = 5
# Environment variables by which the user takes the settings of `tune_for_inference` away.
NO_FLAGS, NO_MALLOC = {"XLA_FLAGS": ""}, {"MALLOC_ARENA_TEST": "2"}

_TWO_AT_ONCE = "ours, two at once"
# What a way changes of ours: the environment, the form of the network, and whether it is padded.
_OURS: dict[str, tuple[dict[str, str], dict, bool]] = {
    "ours": ({}, {}, True),
    _TWO_AT_ONCE: ({}, {}, True),
    "without masks": ({}, {}, False),
    "without folding": ({}, {"folded": False}, True),
    "without separate blocks": ({}, {"separate_blocks": False}, True),
    "without Winograd in the blocks": ({}, {"fast_blocks": False}, True),
    "without Winograd in the SSM": ({}, {"fast_offsets": False}, True),
    "without malloc settings": (NO_MALLOC, {}, True),
    "without the XLA flag": (NO_FLAGS, {}, True),
    "readable form, default flags": (
        NO_FLAGS | NO_MALLOC,
        dict.fromkeys(("folded", "separate_blocks", "fast_blocks", "fast_offsets"), False),
        False,
    ),
}
_THEIRS = ("theirs", "theirs under torch.compile, malloc")


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.forward", description=__doc__)
    parser.add_argument("--authors", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--image", default="768x1024")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(_seconds(arguments))
        return
    times: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for way in (*_THEIRS, *_OURS):
            environment = os.environ | (_OURS[way][0] if way in _OURS else {})
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.forward", *sys.argv[1:], f"--way={way}"],
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            times.setdefault(way, []).append(float(done.stdout.split()[-1]))
    theirs = np.median(times["theirs"])
    for way, seconds in times.items():
        print(
            f"{way:36} {np.median(seconds):.3f} s, over theirs {np.median(seconds) / theirs:.2f}"
            f" (from {min(seconds) / theirs:.2f} to {max(seconds) / theirs:.2f})"
        )


def random_images(size: str, batch: int) -> list[np.ndarray]:
    """A batch for each scale of images `HxW`: uint8[b h w 3]."""
    sides = [int(side) for side in size.split("x")]
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (batch, *(round(side * scale) for side in sides), 3), np.uint8)
        for scale in SCALES
    ]


def _seconds(arguments: argparse.Namespace) -> float:
    """The median time an image."""
    images = random_images(arguments.image, 1)
    make = _make_ours if arguments.way in _OURS else _make_theirs
    run = make(arguments, images)
    run()
    times = []
    at_once = 2 if arguments.way == _TWO_AT_ONCE else 1
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for _ in range(REPEATS):
            start = time.perf_counter()
            list(pool.map(lambda _: run(), range(2)))
            times.append((time.perf_counter() - start) / 2)
    return float(np.median(times))


def _make_ours(arguments: argparse.Namespace, images: list[np.ndarray]) -> Callable[[], None]:
    from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

    use_compilation_cache()
    tune_for_inference()
    import jax

    from senet_jax.features.networks import fast_form
    from senet_jax.models.inference import fold_batch_norms
    from senet_jax.models.registry import build_model
    from senet_jax.models.valid_region import WHOLE, ValidRegion
    from senet_jax.weights import load_weights

    _, changes, masked = _OURS[arguments.way]
    form = fast_form() | changes
    weights = load_weights(arguments.weights)
    model = build_model(weights.architecture, **form)
    variables = weights.variables()
    variables = jax.device_put(fold_batch_norms(variables) if form["folded"] else variables)
    network = jax.jit(lambda variables, *inputs: model.apply(variables, *inputs)[0])
    inputs = [
        (image.astype(np.float32), ValidRegion(np.array([image.shape[1:3]], np.int32)))
        if masked
        else (image.astype(np.float32), WHOLE)
        for image in images
    ]

    def run() -> None:
        for scale in inputs:
            network(variables, *scale).block_until_ready()

    return run


def _make_theirs(arguments: argparse.Namespace, images: list[np.ndarray]) -> Callable[[], None]:
    import torch

    from benchmarks import authors
    from senet_jax.system.runtime import tune_for_inference
    from senet_jax.weights import load_weights

    model = authors.load_model(arguments.authors, load_weights(arguments.weights))
    if arguments.way != "theirs":
        tune_for_inference()
        model = torch.compile(model, dynamic=False)
    inputs = [torch.from_numpy(image).float().permute(0, 3, 1, 2).contiguous() for image in images]

    def run() -> None:
        with torch.no_grad():
            for image in inputs:
                model(image)

    return run


if __name__ == "__main__":
    run_command(main)
