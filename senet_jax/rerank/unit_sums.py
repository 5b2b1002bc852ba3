"""Descriptors of unit length, made of one or of several: the arrays of `query_expansion`."""

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.models.layers import l2_normalise
from senet_jax.search.scores import products_with_own


@jax.jit
def unit_sums(queries: jax.Array, neighbours: jax.Array, alpha: jax.Array) -> jax.Array:
    """Sums of each query and its neighbours, weighted by similarity^alpha; see `expanded_queries`.

    Args:
        queries: float32[b d].
        neighbours: float32[b n d], zeros where there is none.
        alpha: float32[].

    Returns:
        float32[b d].
    """
    weights = jnp.maximum(products_with_own(queries, neighbours), 0) ** alpha  # 0 ** 0 is 1.
    sums = jnp.einsum("bn,bnd->bd", weights, neighbours, precision=jax.lax.Precision.HIGHEST)
    return l2_normalise(queries + sums)


def unit(descriptor: np.ndarray) -> jax.Array:
    """float[d] -> float32[d] of unit length."""
    return l2_normalise(jnp.asarray(descriptor, jnp.float32))
