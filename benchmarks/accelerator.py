"""What the forms of the network take on an accelerator, beside the authors' model on the same one.

  python -m benchmarks.accelerator --authors=CHECKOUT --weights=W [--image=HxW] [--batch=8]

The network alone at three scales, all pixels random, float32. Theirs gets an image at a time, as
their loop does, and also computes as PyTorch does by default, with convolutions in TF32. Printed
are the time an image, what compiling took, the temporaries of a program by XLA's own figure, and
the distance of the unit descriptors at scale 1 from their model in float64.
"""

import argparse
import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.forward import random_images
from senet_jax.system.errors import CommandParser, run_command

REPEATS = 7
# What a way changes of the form that describes on these devices.
_FORMS: dict[str, dict[str, int | None]] = {
    "as it is used": {},
    "all positions at once": {"positions_per_part": None},
    "folded": {"folded": True},
    "folded, with Winograd": {"folded": True, "fast_blocks": True, "fast_offsets": True},
}


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.accelerator", description=__doc__)
    parser.add_argument("--authors", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--image", default="768x1024")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        _SIDES[arguments.side](arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        # Only one of the two frameworks may have the accelerator's memory.
        for side, platform in (("theirs", {"JAX_PLATFORMS": "cpu"}), ("ours", {})):
            subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.accelerator", *sys.argv[1:]),
                    *(f"--side={side}", f"--folder={folder}"),
                ],
                env=os.environ | platform,
                check=True,
            )


def _theirs(arguments: argparse.Namespace) -> None:
    import torch

    from benchmarks import authors
    from senet_jax.models.preprocessing import normalise
    from senet_jax.weights import load_weights

    weights = load_weights(arguments.weights)
    model = authors.load_model(arguments.authors, weights)
    device = next(model.parameters()).device
    scales = [
        torch.from_numpy(np.array(normalise(images, weights.preprocessing)))
        .permute(0, 3, 1, 2)
        .contiguous()
        .to(device)
        for images in random_images(arguments.image, arguments.batch)
    ]

    def describe(images: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            rows = torch.cat([model(image[None]).reshape(1, -1) for image in images])
        return rows.double().cpu().numpy()

    found = {}
    for kind, tf32 in (("TF32", True), ("float32", False)):
        torch.backends.cudnn.allow_tf32 = tf32
        found[kind] = _unit(describe(scales[1]))
        seconds = _seconds(lambda: [describe(images) for images in scales]) / arguments.batch
        print(f"theirs, {kind}, one by one: {1000 * seconds:.2f} ms an image", flush=True)
    model.double()
    wide = _unit(describe(scales[1].double()))
    np.save(arguments.folder / "wide.npy", wide)
    for kind, rows in found.items():
        print(f"theirs, {kind}: {_distance(rows, wide):.1e} from float64", flush=True)


def _ours(arguments: argparse.Namespace) -> None:
    from senet_jax.system.runtime import tune_for_inference

    tune_for_inference()
    import jax

    from senet_jax.features.networks import fast_form, from_pixels
    from senet_jax.models.inference import fold_batch_norms
    from senet_jax.models.registry import build_model
    from senet_jax.models.valid_region import ValidRegion
    from senet_jax.weights import load_weights

    weights = load_weights(arguments.weights)
    wide = np.load(arguments.folder / "wide.npy")
    print(f"on {jax.devices()[0].device_kind}, jax {jax.__version__}", flush=True)
    for batch, forms in ((arguments.batch, _FORMS), (1, tuple(_FORMS)[:1])):
        scales = [
            (images[:batch], np.tile(np.int32(images.shape[1:3]), (batch, 1)))
            for images in random_images(arguments.image, arguments.batch)
        ]
        scales = [(jax.device_put(images), ValidRegion(sizes)) for images, sizes in scales]
        for form in forms:
            options = fast_form() | _FORMS[form]
            model = build_model(weights.architecture, **options)
            variables = weights.variables()
            variables = fold_batch_norms(variables) if options["folded"] else variables
            variables = jax.device_put(variables)
            network = jax.jit(from_pixels(_apply(model), weights.preprocessing))
            start = time.perf_counter()
            programs = [network.lower(variables, *scale).compile() for scale in scales]
            compiling = time.perf_counter() - start
            temporaries = max(
                program.memory_analysis().temp_size_in_bytes / images[..., 0].size
                for program, (images, _) in zip(programs, scales, strict=True)
            )
            describe = functools.partial(_describe, programs, variables, scales)
            rows = describe()[1]
            print(
                f"ours, {form}, batches of {batch}: {1000 * _seconds(describe) / batch:.2f} ms an "
                f"image, compiled in {compiling:.0f} s, {temporaries:.0f} bytes a pixel, "
                f"{_distance(_unit(rows), wide[:batch]):.1e} from float64",
                flush=True,
            )


def _apply(model: Any) -> Callable:
    return lambda *inputs: model.apply(*inputs)[0]


def _describe(
    programs: Sequence[Callable], variables: Any, scales: Sequence[tuple]
) -> list[np.ndarray]:
    return [
        np.asarray(program(variables, *scale))
        for program, scale in zip(programs, scales, strict=True)
    ]


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _distance(rows: np.ndarray, wide: np.ndarray) -> float:
    """The largest over the images."""
    return np.linalg.norm(rows - wide, axis=1).max()


_SIDES = {"theirs": _theirs, "ours": _ours}


if __name__ == "__main__":
    run_command(main)
