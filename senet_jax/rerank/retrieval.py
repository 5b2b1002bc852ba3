"""What re-ranking methods take and give: queries, a database, and what was found in it.

A method either ranks the whole database anew (query expansion, database-side augmentation, exact
diffusion), or it only brings the first items of the lists, its shortlist, into another order
(refinement, truncated diffusion, verification of pairs). The benchmark's junk therefore means two
things to them. Under `blind` nobody knows of it, and it stands in the lists. Under `protocol` it is
dropped from them before the method sees them, so that it takes no place in a shortlist and a query
does not learn from it; but a method that ranks the whole database finds it again, and only scoring
drops it then.
"""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from senet_jax.search.database import BlockedDatabase, read_items
from senet_jax.search.ranked_list import NO_MORE, RankedList
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress

if TYPE_CHECKING:
    import jax

BATCH_DESCRIPTORS = 8192
"""How many descriptors of shortlists are in memory at a time: 64 MiB of 2048 numbers."""


@dataclasses.dataclass(frozen=True, eq=False)
class Retrieval:
    """What was asked, where, and what was found.

    Attributes:
        queries: float32[q d], finite.
        database: what is searched.
        ranked: for each query its items, best first; any number of them.

    Raises:
        UserError: they do not belong together, or a query is not finite.
    """

    queries: np.ndarray
    database: BlockedDatabase
    ranked: RankedList

    def __post_init__(self):
        count = len(self.queries)
        self.database.check_queries(self.queries)
        if len(self.ranked.ranks) != count:
            raise UserError(
                f"the ranking has {len(self.ranked.ranks)} rows for {count} queries; every query "
                "has one"
            )
        if self.ranked.database_size != self.database.size:
            raise UserError(
                f"the ranking is of {self.ranked.database_size} items, the database has "
                f"{self.database.size}; re-rank a list together with the database it is from"
            )

    @property
    def length(self) -> int:
        """How many items a list holds at most."""
        return self.ranked.ranks.shape[1]

    def with_ranks(self, ranks: np.ndarray) -> "Retrieval":
        """The same queries and database with other ranks: int[q k]."""
        return dataclasses.replace(self, ranked=RankedList(ranks, self.database.size))


def search(queries: np.ndarray, database: BlockedDatabase, length: int) -> Retrieval:
    """Searches a database exactly; lists that are longer than it end in `NO_MORE`.

    Args:
        queries: float32[q d], finite.
        database: what is searched.
        length: of the lists.

    Raises:
        UserError: the queries are not as wide as the database.
    """
    from senet_jax.search.exact import top_k

    database.check_queries(queries)
    progress = Progress("searching", database.size, "rows")
    ranked = top_k(queries, database, length, progress.advance)
    missing = length - ranked.ranks.shape[1]
    ranks = np.pad(ranked.ranks, ((0, 0), (0, missing)), constant_values=NO_MORE)
    return Retrieval(queries, database, RankedList(ranks, database.size))


@dataclasses.dataclass(frozen=True, eq=False)
class Shortlists:
    """The first items of some queries' lists.

    Attributes:
        rows: which queries they are of.
        queries: float32[b d].
        items: int[b m].
        are_ranked: bool[b m], false where a list has ended and for items without a rank by score.
        descriptors: float32[b m d], zeros where `are_ranked` is false.
    """

    rows: slice
    queries: np.ndarray
    items: np.ndarray
    are_ranked: np.ndarray
    descriptors: np.ndarray


def shortlists(retrieval: Retrieval, length: int) -> Iterator[Shortlists]:
    """Reads the descriptors of the first items of all lists, so many queries at a time as fit.

    Args:
        retrieval: whose lists they are.
        length: how many items of each; of a shorter list, all.

    Raises:
        UserError: a descriptor is not finite.
    """
    items = retrieval.ranked.ranks[:, :length]
    batch_queries = max(1, BATCH_DESCRIPTORS // max(1, items.shape[1]))
    for start in range(0, len(items), batch_queries):
        rows = slice(start, start + batch_queries)
        are_ranked = (items[rows] != NO_MORE) & ~np.isin(
            items[rows], list(retrieval.database.unranked)
        )
        descriptors = read_items(retrieval.database, np.where(are_ranked, items[rows], NO_MORE))
        yield Shortlists(rows, retrieval.queries[rows], items[rows], are_ranked, descriptors)


def similarities(queries: np.ndarray, descriptors: np.ndarray) -> "jax.Array":
    """Dot products of queries with their own items: float32[q d], float32[q m d] -> float32[q m].

    They may differ by their rounding from those of a search, which are products of other shapes.
    """
    from senet_jax.search.scores import products_with_own

    return products_with_own(queries, descriptors)


def reordered(retrieval: Retrieval, scores: np.ndarray) -> Retrieval:
    """Brings the first items of each list into the order of new scores, best first.

    Among equals, and beyond the first m, the order stays.

    Args:
        retrieval: whose lists change.
        scores: float[q m], -inf where a list has ended.
    """
    ranks = retrieval.ranked.ranks.copy()
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks[:, : scores.shape[1]] = np.take_along_axis(ranks, order, axis=1)
    return retrieval.with_ranks(ranks)
