"""What a device holds and sends for the classes of GLDv2-clean, spread over devices or not.

  python -m benchmarks.sharded_head

Compiles the classification loss with its gradients for 81,313 classes of 2048 numbers, a batch of
144 and 8 devices (no network, nothing is computed), once with the class matrix spread over the
devices by its rows and once with all of it on every device and its gradients averaged. Counts the
bytes of the matrix and of its momentum on a device, and what a device sends in a step, read off
the compiled program's collectives and counted as ring algorithms send it. Prints the ratios.
"""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from senet_jax.data import gldv2
from senet_jax.losses.classification import classification_loss
from senet_jax.losses.sharded_softmax import padded_rows
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.training.collectives import collectives
from senet_jax.training.parallel import AXIS

DEVICES = 8
BATCH = 144
WIDTH = 2048
ITEM_BYTES = 4
COPIES = 2  # The matrix and its momentum.

LOSS = functools.partial(
    classification_loss,
    class_count=gldv2.CLASSES,
    scale=30.0,
    margin_radians=0.15,
    kind="curricular",
)


def spread(rows, embeddings, labels):
    def loss(rows, embeddings):
        return LOSS(embeddings, labels, rows, jnp.zeros(()), axis_name=AXIS)[0]

    rows_gradient, embeddings_gradient = jax.grad(loss, (0, 1))(rows, embeddings)
    return rows_gradient / DEVICES, embeddings_gradient


def replicated(rows, embeddings, labels):
    def loss(rows, embeddings):
        return LOSS(embeddings, labels, rows, jnp.zeros(()))[0]

    rows_gradient, embeddings_gradient = jax.grad(loss, (0, 1))(rows, embeddings)
    return jax.lax.pmean(rows_gradient, AXIS), embeddings_gradient


def measured(function: Callable, own_rows: int, axis_of_rows: int | None) -> tuple[int, int]:
    """Bytes on a device and bytes that it sends."""
    own = BATCH // DEVICES
    rows = (own_rows, WIDTH) if axis_of_rows is None else (DEVICES, own_rows, WIDTH)
    program = (
        jax.pmap(function, AXIS, in_axes=(axis_of_rows, 0, 0), out_axes=(axis_of_rows, 0))
        .lower(
            jax.ShapeDtypeStruct(rows, jnp.float32),
            jax.ShapeDtypeStruct((DEVICES, own, WIDTH), jnp.float32),
            jax.ShapeDtypeStruct((DEVICES, own), jnp.int32),
        )
        .compile()
    )
    held = COPIES * own_rows * WIDTH * ITEM_BYTES
    return held, sum(sent for _, sent in collectives(program.as_text(), DEVICES))


def main() -> None:
    CommandParser(prog="python -m benchmarks.sharded_head", description=__doc__).parse_args()
    rows = padded_rows(gldv2.CLASSES)
    ours = measured(spread, rows // DEVICES, 0)
    theirs = measured(replicated, rows, None)
    for what, own, other in zip(
        ("held by a device", "sent by a device"), ours, theirs, strict=True
    ):
        print(
            f"{what}: {own / 2**20:.2f} MiB spread, {other / 2**20:.2f} MiB replicated, "
            f"ratio {own / other:.4f}"
        )


if __name__ == "__main__":
    run_command(main)
