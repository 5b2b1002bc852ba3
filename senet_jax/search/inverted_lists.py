"""The nearest items of every item of a database by inverted lists, where exact search takes hours.

Each item stands in the list of one of many centroids, and is compared with the items of the lists
whose centroids are most similar to it, its probes. Two items that do not probe each other's lists
are missed; what is found has its exact similarity. As all items ask, a list is compared with all
that probe it at once, by products of matrices, where an index that answers one query after the
other would read the same descriptors again and again.

Sources: Jégou et al., "Product quantization for nearest neighbor search" (TPAMI 2011), section
IV.A, the lists; faiss, whose k-means, sorting and heaps are used.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.faiss_index import training_rows
from senet_jax.search.ranked_list import NO_MORE, FoundLists, RankedList
from senet_jax.system.optional import optional_import

_ITERATIONS = 6
"""Of k-means, our choice: of 100,000 rows they are less than a third of all work, of more less."""
_COMPARED_AT_ONCE = 8192
"""Rows on either side of a product: 64 MiB of 2048 numbers each, and 256 MiB of scores."""
_PROBING_AT_ONCE = 1024
"""Rows: of 4096 lists 16 MiB of scores, and twice as much for their order."""


def import_faiss() -> Any:
    """The package that makes the lists.

    Raises:
        UserError: it is not installed.
    """
    with optional_import("faiss", "approximate neighbours"):
        import faiss
    return faiss


@dataclasses.dataclass(frozen=True, eq=False)
class InvertedLists:
    """A database with the centroids of its lists.

    Attributes:
        database: whose items they are, which no other process shares.
        centroids: float32[l d] of unit length.
    """

    database: BlockedDatabase
    centroids: np.ndarray

    @classmethod
    def learned(cls, database: BlockedDatabase) -> "InvertedLists":
        """Lists whose number grows with the square root of the database's size.

        Raises:
            UserError: faiss is not installed.
        """
        faiss = import_faiss()
        rows = training_rows(database)
        kmeans = faiss.Kmeans(
            database.width,
            min(list_count(database.size), len(rows)),
            niter=_ITERATIONS,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=len(rows),
        )
        kmeans.train(rows)
        return cls(database, kmeans.centroids)

    def probes(self, rows: np.ndarray, count: int) -> np.ndarray:
        """The lists of the centroids that are most similar to rows, the first one their own.

        Args:
            rows: float32[b d].
            count: of lists for each.

        Returns:
            int32[b count].
        """
        probed = np.empty((len(rows), count), np.int32)
        for start in range(0, len(rows), _PROBING_AT_ONCE):
            some = slice(start, start + _PROBING_AT_ONCE)
            order = np.argpartition(rows[some] @ self.centroids.T, (-count, -1), axis=1)
            probed[some] = order[:, : -count - 1 : -1]
        return probed

    def nearest(
        self, probes: int, count: int, on_rows: Callable[[int], None] = lambda count: None
    ) -> FoundLists:
        """Each item's best items, as far as its probes find them; among equals any order.

        An item finds itself as well, and one that is not ranked by score nothing.

        Args:
            probes: how many lists an item is compared with.
            count: how many items to find.
            on_rows: told how many more rows were compared with all that probe their list; in the
                end of all ranked ones.

        Returns:
            Ranks int32[n count] with their scores.

        Raises:
            UserError: a descriptor is not finite.
        """
        faiss, database = import_faiss(), self.database
        ranked, probed = self._all_probes(probes)
        by_list = np.argsort(probed[:, 0], kind="stable")
        counts = np.bincount(probed[:, 0], minlength=len(self.centroids))
        asked_until = faiss.matrix_bucket_sort_inplace(probed, nbucket=len(self.centroids))
        asking, heap = probed.ravel(), faiss.ResultHeap(len(ranked), count, keep_max=True)
        at_once = min(_COMPARED_AT_ONCE, len(ranked))
        of_askers, of_items = np.empty((2, at_once, database.width), np.float32)
        for members, (start, stop) in zip(
            np.split(by_list, np.cumsum(counts)[:-1]), itertools.pairwise(asked_until), strict=True
        ):
            for some in _portions(members):
                items = ranked[some]
                database.read_into(of_items[: len(items)], items)
                for askers in _portions(asking[start:stop]):
                    database.read_into(of_askers[: len(askers)], ranked[askers])
                    scores = of_askers[: len(askers)] @ of_items[: len(items)].T
                    heap.add_result_subset(askers, scores, items)
                on_rows(len(some))
        heap.finalize()
        are_found = heap.I != NO_MORE
        ranks = np.full((database.size, count), NO_MORE, np.int32)
        scores = np.full((database.size, count), np.nan, np.float32)
        ranks[ranked] = heap.I
        scores[ranked] = np.where(are_found, heap.D, np.float32(np.nan))
        return FoundLists(RankedList(ranks, database.size), scores)

    def _all_probes(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The items that are ranked by score int64[m], and their probes int32[m count]."""
        database, items, probed = self.database, [], []
        for start in database.starts:
            block, is_ranked = database.read(start), database.is_ranked(start)
            database.check_finite(start, block)
            items.append(start + np.flatnonzero(is_ranked))
            probed.append(self.probes(block[is_ranked], count))
        return np.concatenate(items), np.concatenate(probed)


def list_count(size: int) -> int:
    """How many lists a database of so many items has."""
    return 2 ** (round(math.log2(max(size, 1)) / 2) + 2)


def _portions(items: np.ndarray) -> list[np.ndarray]:
    return [
        items[start : start + _COMPARED_AT_ONCE]
        for start in range(0, len(items), _COMPARED_AT_ONCE)
    ]
