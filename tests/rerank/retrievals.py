"""Small random retrievals that the tests of re-ranking share."""

import dataclasses
from typing import ClassVar

import numpy as np

from senet_jax.rerank.method import Resources
from senet_jax.rerank.pairs import Features
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import NO_MORE, RankedList


def clustered(rows, width=16, clusters=6, seed=0):
    """Unit descriptors float32[rows width] around a few centres, all similarities positive."""
    rng = np.random.default_rng(seed)
    centres = np.abs(rng.standard_normal((clusters, width)))
    near = centres[rng.integers(clusters, size=rows)] + 0.4 * rng.random((rows, width))
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


def retrieval(rows=60, queries=5, length=60, block_rows=32, **options) -> Retrieval:
    """What unit queries find among unit descriptors."""
    descriptors = clustered(rows + queries, **options)
    database = BlockedDatabase((descriptors[queries:],), block_rows=block_rows)
    return search(descriptors[:queries], database, length)


def shuffled(found: Retrieval, seed=1) -> tuple[Retrieval, np.ndarray]:
    """The same retrieval from a database in another order, and each new item's old index."""
    order = np.random.default_rng(seed).permutation(found.database.size)
    (rows,) = found.database.parts
    new_items = np.argsort(order)
    database = dataclasses.replace(
        found.database,
        parts=(rows[order],),
        unranked=new_items[list(found.database.unranked)].tolist(),
    )
    ranks = found.ranked.ranks
    ranks = np.where(ranks == NO_MORE, NO_MORE, new_items[ranks])
    return Retrieval(found.queries, database, RankedList(ranks, database.size)), order


def score_of(query, item):
    """Of any pair, between 0 and 1."""
    return np.random.default_rng([query, item]).random()


class Numbers(Features):
    """Features that are the indices themselves."""

    def query(self, index):
        return index

    def item(self, index):
        return index


@dataclasses.dataclass(frozen=True)
class ByNumbers(PairwiseMethod):
    """Scores a pair of indices by `score_of`."""

    needs: ClassVar[str] = "numbers"

    def score(self, query, item):
        return score_of(query, item)


def reranked_by_pairs(method, found, features=None, **resources):
    """What a pairwise method makes of what was found."""
    resources = Resources(features={method.needs: features or Numbers()}, **resources)
    return method.prepare(found.database, resources)(found)
