"""Diffusion: similarity that flows along the neighbours of neighbours.

Source: Iscen et al., "Efficient Diffusion on Region Manifolds" (CVPR 2017), sections 3 and 4, with
the constants of the public code fyang93/diffusion. The affinity A of two items that are joined in
the mutual nearest-neighbour graph is a power of their similarity; S is `D^-1/2 A D^-1/2` with the
degrees D. A query from outside starts with y, the same power of its similarity to its nearest
items, and each item's score f solves `(I - alpha S) f = y`.
"""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from senet_jax.rerank.graph import mutual_graph
from senet_jax.rerank.method import DatabaseStage, Keep, Method, Prepared, Resources
from senet_jax.rerank.retrieval import Retrieval, shortlists, similarities
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import NO_MORE
from senet_jax.system.progress import Progress
from senet_jax.system.settings import setting


@dataclasses.dataclass(frozen=True)
class Diffusion(Method):
    """Diffusion on the mutual nearest-neighbour graph of the whole database.

    The order is that of the score that reaches an item, in an exact solution. An item that no score
    reaches keeps its order behind those that one does.
    """

    graph_neighbours: int = setting(
        50, "of an item in the graph, itself among them", at_least=1, at_most=10_000
    )
    query_neighbours: int = setting(
        10, "how many of the first items of its list a query starts from", at_least=0
    )
    alpha: float = setting(0.99, "how much flows on", at_least=0, below=1)
    power: float = setting(3.0, "of similarities", at_least=0, at_most=100)
    tolerance: float = setting(
        1e-6, "the residual at which the solver stops, relative to the start", at_least=0
    )
    iterations: int = setting(20, "the number at which it stops in any case", at_least=1)

    def prepare(self, database: BlockedDatabase, resources: Resources) -> Prepared:
        """Builds the graph."""
        graph = _kept_graph(database, self.graph_neighbours, resources.keep)
        identity = scipy.sparse.eye_array(database.size, format="csr")
        system = identity - self.alpha * _normalised(graph, self.power)
        return Prepared(database, database, functools.partial(self._diffused, system))

    def _diffused(self, system: scipy.sparse.csr_array, retrieval: Retrieval) -> Retrieval:
        """The same queries with other ranks."""
        ranks = np.full(retrieval.ranked.ranks.shape, NO_MORE, np.int32)
        progress = Progress("diffusing", len(ranks), "queries")
        for shortlist in shortlists(retrieval, self.query_neighbours):
            products = np.asarray(similarities(shortlist.queries, shortlist.descriptors), float)
            starts = np.maximum(products, 0) ** self.power
            for query, start in zip(range(len(ranks))[shortlist.rows], starts, strict=True):
                items = retrieval.ranked.items(query)
                items = self._sorted(items, retrieval.database, system, start[: len(items)])
                ranks[query, : len(items)] = items[: retrieval.length]
                progress.advance()
        return retrieval.with_ranks(ranks)

    def _sorted(
        self,
        items: np.ndarray,
        database: BlockedDatabase,
        system: scipy.sparse.csr_array,
        start: np.ndarray,
    ) -> np.ndarray:
        """A query's list in another order; `start` is y at the first of its items."""
        y = np.zeros(database.size)
        y[items[: len(start)]] = start
        items = _with_others(items, database)
        return items[np.argsort(-self._solution(system, y)[items], kind="stable")]

    def _solution(self, system: scipy.sparse.csr_array, y: np.ndarray) -> np.ndarray:
        """Solves for f, in float64. Before it converges it may be a little below 0."""
        f, _ = scipy.sparse.linalg.cg(
            system, y, rtol=self.tolerance, atol=0.0, maxiter=self.iterations
        )
        return np.maximum(f, 0)


@dataclasses.dataclass(frozen=True)
class TruncatedDiffusion(Diffusion):
    """Diffusion on the graph among a shortlist only.

    The degrees are those of the whole graph. What follows the shortlist keeps its place.
    """

    top: int = setting(1000, "the length of the shortlist", at_least=1)

    def _sorted(
        self,
        items: np.ndarray,
        database: BlockedDatabase,
        system: scipy.sparse.csr_array,
        start: np.ndarray,
    ) -> np.ndarray:
        items, behind = items[: self.top], items[self.top :]
        y = np.zeros(len(items))
        y[: len(start)] = start[: self.top]
        scores = self._solution(system[items][:, items], y)
        return np.concatenate([items[np.argsort(-scores, kind="stable")], behind])


def _kept_graph(database: BlockedDatabase, neighbours: int, keep: Keep) -> scipy.sparse.csr_array:
    def pieces() -> Iterator[dict[str, np.ndarray]]:
        graph = mutual_graph(database, neighbours)
        yield {"similarities": graph.data, "items": graph.indices, "ends": graph.indptr}

    arrays = keep(DatabaseStage("graph", {"neighbours": neighbours}, database, pieces))
    parts = (np.asarray(arrays[name]) for name in ("similarities", "items", "ends"))
    return scipy.sparse.csr_array(tuple(parts), shape=(database.size, database.size))


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
