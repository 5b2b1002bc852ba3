"""Diffusion: similarity that flows along the neighbours of neighbours.

Source: Iscen et al., "Efficient Diffusion on Region Manifolds" (CVPR 2017), sections 3 and 4, with
the constants of the public code fyang93/diffusion. The affinity A of two items that are joined in
the mutual nearest-neighbour graph is a power of their similarity; S is `D^-1/2 A D^-1/2` with the
degrees D. A query from outside starts with y, the same power of its similarity to its nearest
items, and each item's score f solves `(I - alpha S) f = y`.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from senet_jax.rerank.graph import mutual_graph
from senet_jax.rerank.retrieval import Retrieval, shortlists, similarities
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import NO_MORE
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress


@dataclasses.dataclass(frozen=True)
class Diffusion:
    """Ranks by the score that reaches an item, exactly over the whole database or truncated.

    Truncated, only the graph among a query's shortlist is solved, with the degrees of the whole,
    and what follows keeps its place. Exactly, an item that no score reaches keeps its order behind
    those that one does.

    Attributes:
        top: the length of the shortlist, None for the whole database.
        graph_of: gives the graph of a database, see `mutual_graph`.
        graph_neighbours: of an item in the graph.
        query_neighbours: how many of the first items of its list a query starts from.
        alpha: how much flows on, in [0, 1).
        power: of similarities.
        tolerance: the residual at which the solver stops, relative to y.
        iterations: the number at which it stops in any case.

    Raises:
        UserError: the shortlist is empty, or alpha is out of range.
    """

    top: int | None = None
    graph_of: Callable[[BlockedDatabase, int], scipy.sparse.csr_array] = mutual_graph
    graph_neighbours: int = 50
    query_neighbours: int = 10
    alpha: float = 0.99
    power: float = 3.0
    tolerance: float = 1e-6
    iterations: int = 20

    def __post_init__(self):
        if self.top is not None and self.top < 1:
            raise UserError(f"a shortlist of {self.top} items to diffuse in; take one at least")
        if not 0 <= self.alpha < 1:
            raise UserError(f"alpha is {self.alpha}; give a number from 0 to below 1")

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """The same queries with other ranks."""
        graph = self.graph_of(retrieval.database, self.graph_neighbours)
        identity = scipy.sparse.eye_array(*graph.shape, format="csr")
        system = identity - self.alpha * _normalised(graph, self.power)
        ranks = np.full(retrieval.ranked.ranks.shape, NO_MORE, np.int32)
        progress = Progress("diffusing", len(ranks), "queries")
        for shortlist in shortlists(retrieval, self.query_neighbours):
            products = np.asarray(similarities(shortlist.queries, shortlist.descriptors), float)
            starts = np.maximum(products, 0) ** self.power
            for query, start in zip(range(len(ranks))[shortlist.rows], starts, strict=True):
                items = self._sorted(retrieval, query, system, start)[: ranks.shape[1]]
                ranks[query, : len(items)] = items
                progress.advance()
        return retrieval.with_ranks(ranks)

    def _sorted(self, retrieval, query, system, start):
        """A query's items, best first; `start` is y at the first of its list."""
        items = retrieval.ranked.items(query)
        start = start[: len(items)]
        if self.top is None:
            y = np.zeros(len(system.indptr) - 1)
            y[items[: len(start)]] = start
            items = _with_others(items, retrieval.database)
            return items[np.argsort(-self._solution(system, y)[items], kind="stable")]
        items, behind = items[: self.top], items[self.top :]
        y = np.zeros(len(items))
        y[: len(start)] = start[: self.top]
        scores = self._solution(system[items][:, items], y)
        return np.concatenate([items[np.argsort(-scores, kind="stable")], behind])

    def _solution(self, system, y):
        """Solves for f, in float64. Before it converges it may be a little below 0."""
        f, _ = scipy.sparse.linalg.cg(
            system, y, rtol=self.tolerance, atol=0.0, maxiter=self.iterations
        )
        return np.maximum(f, 0)


def _with_others(items: np.ndarray, database: BlockedDatabase) -> np.ndarray:
    """A list and then all other items by index; those without a rank by score at the end."""
    items = np.concatenate([items, np.delete(np.arange(database.size), items)])
    return items[np.argsort(np.isin(items, list(database.unranked)), kind="stable")]


def _normalised(graph: scipy.sparse.csr_array, power: float) -> scipy.sparse.csr_array:
    """S of the module: float64[n n]; an item without neighbours has a row of zeros."""
    affinity = graph.astype(np.float64)
    affinity.data **= power
    degrees = affinity.sum(axis=1)
    scales = np.divide(1, np.sqrt(degrees), out=np.zeros_like(degrees), where=degrees > 0)
    diagonal = scipy.sparse.diags_array(scales)
    return (diagonal @ affinity @ diagonal).tocsr()
