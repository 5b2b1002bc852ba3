"""The first items of a list refined by each other, from global descriptors alone.

Source: Shao et al., "Global Features are All You Need for Image Retrieval and Reranking" (ICCV
2023), known as SuperGlobal, in the form of its public code.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.rerank.method import Method
from senet_jax.rerank.retrieval import Retrieval, reordered, shortlists, similarities
from senet_jax.system.progress import Progress
from senet_jax.system.settings import setting


@dataclasses.dataclass(frozen=True)
class Refinement(Method):
    """SuperGlobal's refinement of a shortlist.

    A refined descriptor is the weighted mean of an item (weight 1) and its nearest others in the
    shortlist (`weight` times similarity), not normalised again. The first score of an item is the
    query's product with it. The second is that of the element-wise maximum of the refined
    descriptors which the first score puts first. The mean of both is the order.

    Departure: a negative similarity counts as 0, so that the weights never cancel out; the
    authors' code has no rule for it.
    """

    top: int = setting(
        400, "how many items of a list are refined; of a shorter one, all", at_least=1
    )
    neighbours: int = setting(9, "how many others enter the mean", at_least=0)
    weight: float = setting(
        0.15, "of another in the mean, times its similarity", at_least=0, at_most=100
    )
    merged: int = setting(10, "over how many items the maximum is taken", at_least=1)

    def rerank(self, retrieval: Retrieval) -> Retrieval:
        """The same queries with other ranks."""
        progress = Progress("refining", len(retrieval.queries), "queries")
        scores = np.zeros((len(retrieval.queries), min(self.top, retrieval.length)), np.float32)
        for shortlist in shortlists(retrieval, self.top):
            scores[shortlist.rows] = _scores(
                shortlist.queries,
                shortlist.descriptors,
                shortlist.are_ranked,
                neighbours=self.neighbours,
                weight=self.weight,
                merged=self.merged,
            )
            progress.advance(len(shortlist.items))
        return reordered(retrieval, scores)


@functools.partial(jax.jit, static_argnames=("neighbours", "merged"))
def _scores(queries, descriptors, are_ranked, *, neighbours, weight, merged):
    """float32[b d], float32[b m d], bool[b m] -> float32[b m], -inf where nothing is ranked."""
    refined = _refined(descriptors, are_ranked, neighbours, weight)
    first = jnp.where(are_ranked, similarities(queries, refined), -jnp.inf)
    best, slots = jax.lax.top_k(first, min(merged, first.shape[1]))
    candidates = jnp.take_along_axis(refined, slots[:, :, None], axis=1)
    merged_query = jnp.max(
        candidates, axis=1, where=jnp.isfinite(best)[:, :, None], initial=-jnp.inf
    )
    second = similarities(merged_query, refined)
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
