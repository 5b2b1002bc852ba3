"""Shortlists refined by each other: the arrays of `refinement`."""

import functools

import jax
import jax.numpy as jnp

from senet_jax.search.scores import products_with_own


@functools.partial(jax.jit, static_argnames=("neighbours", "merged"))
def refined_scores(
    queries: jax.Array,
    descriptors: jax.Array,
    are_ranked: jax.Array,
    *,
    neighbours: int,
    weight: jax.Array,
    merged: int,
) -> jax.Array:
    """The scores of shortlists; see `Refinement`, also for the settings.

    Args:
        queries: float32[b d].
        descriptors: float32[b m d].
        are_ranked: bool[b m].
        neighbours: a setting.
        weight: float32[], a setting.
        merged: a setting.

    Returns:
        float32[b m], -inf where nothing is ranked.
    """
    refined = _refined(descriptors, are_ranked, neighbours, weight)
    first = jnp.where(are_ranked, products_with_own(queries, refined), -jnp.inf)
    best, slots = jax.lax.top_k(first, min(merged, first.shape[1]))
    candidates = jnp.take_along_axis(refined, slots[:, :, None], axis=1)
    merged_query = jnp.max(
        candidates, axis=1, where=jnp.isfinite(best)[:, :, None], initial=-jnp.inf
    )
    second = products_with_own(merged_query, refined)
    return jnp.where(are_ranked, (first + second) / 2, -jnp.inf)


def _refined(descriptors, are_ranked, neighbours, weight):
    """float32[b m d], bool[b m] -> float32[b m d]."""
    precise = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    products = precise("bmd,bnd->bmn", descriptors, descriptors)
    slots = jnp.arange(products.shape[1])
    is_neighbour = are_ranked[:, None, :] & (slots[:, None] != slots)
    products = jnp.where(is_neighbour, products, -jnp.inf)
    nearest, others = jax.lax.top_k(products, min(neighbours, len(slots)))
    # A matrix of weights, mostly zero: the neighbours' descriptors would be many times as large.
    query = jnp.arange(len(products))[:, None, None]
    weights = (
        jnp.zeros_like(products)
        .at[query, slots[:, None], others]
        .set(weight * jnp.maximum(nearest, 0))
    )
    sums = descriptors + precise("bmn,bnd->bmd", weights, descriptors)
    return sums / (1 + weights.sum(axis=-1, keepdims=True))
