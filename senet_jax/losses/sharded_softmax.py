"""A softmax over the rows of a matrix that is spread over devices: classes and queue alike.

Device i of a mapped axis holds the i-th block of the matrix's rows and its own shard of the
batch. Queries travel and the matrix stays: every device meets the queries of all devices with its
own rows, and what it finds of a query (a cosine, a partial sum) returns to the query's device.

Each function takes the name of the mapped axis, or None on one device, where it moves nothing.
Letters in shapes: b queries of one device, B of all devices; r rows of one device; D devices.

Gradients under `jax.pmap`: a loss built of these is the mean over a device's *own* queries. Its
value is the `pmean` over the devices. Differentiate it on each device as it is; then, as in all
data-parallel training, `pmean` the gradients of replicated parameters, and divide the gradients of
a device's rows by the number of devices. Both are then those of the mean over the global batch.
"""

import jax
import jax.numpy as jnp
from jax import lax

# Matrices are padded to a multiple of this, and not of the number of devices, so that a saved
# matrix does not depend on the machine.
ROW_MULTIPLE = 512

# The logit of what takes no part: finite, so that its gradient is 0 and not a NaN.
NO_LOGIT = -1e9


def padded_rows(count: int) -> int:
    """How many rows a matrix of `count` true rows has."""
    return -(-count // ROW_MULTIPLE) * ROW_MULTIPLE


def cosines_of(queries: jax.Array, rows: jax.Array) -> jax.Array:
    """float32[B r] of unit vectors, in full float32 where a device's default is less."""
    return jnp.einsum("bd,rd->br", queries, rows, precision=lax.Precision.HIGHEST)


def axis_size(axis_name: str | None) -> int:
    """D, the number of devices."""
    return 1 if axis_name is None else lax.axis_size(axis_name)


def row_numbers(count: int, axis_name: str | None) -> jax.Array:
    """int32[r]: the places of this device's `count` rows in the whole matrix."""
    first = 0 if axis_name is None else lax.axis_index(axis_name) * count
    return first + jnp.arange(count)


def gather(own: jax.Array, axis_name: str | None) -> jax.Array:
    """[b ...] -> [B ...]: what every device has of its own queries, for all devices."""
    return own if axis_name is None else lax.all_gather(own, axis_name, tiled=True)


def send_home(found: jax.Array, axis_name: str | None) -> jax.Array:
    """[B ...] -> [D b ...]: what every device found of all queries, at each query's device."""
    found = found.reshape(axis_size(axis_name), -1, *found.shape[1:])
    return found if axis_name is None else lax.all_to_all(found, axis_name, 0, 0)


def peak(logits: jax.Array, axis_name: str | None) -> jax.Array:
    """[B r] -> [b]: the largest logit of each query over all rows, without gradient.

    Exponents count from it, lest they overflow. It also keeps their sums the same on any number of
    devices: of a logit of 30, float32 has 2e-6 at best.
    """
    found = lax.stop_gradient(jnp.max(logits, axis=1))
    return jnp.max(send_home(found, axis_name), axis=0)


def log_of_sums(sums: jax.Array, axis_name: str | None) -> jax.Array:
    """[B ...] -> [b ...]: the logarithm of sums over one device's rows, now over all rows.

    A sum that float32 cannot tell from 0 counts as e^-87 and has no gradient.
    """
    total = jnp.sum(send_home(sums, axis_name), axis=0)
    return jnp.log(jnp.maximum(total, jnp.finfo(jnp.float32).tiny))


def mean(own: jax.Array, axis_name: str | None) -> jax.Array:
    """The mean over all devices' queries, for what is reported or carried to the next step."""
    return jnp.mean(own) if axis_name is None else lax.pmean(jnp.mean(own), axis_name)
