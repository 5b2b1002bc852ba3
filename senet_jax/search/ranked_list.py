"""Ranked lists: for each query the items that a search found, best first."""

import dataclasses

import numpy as np

from senet_jax.search.storage import type_and_shape
from senet_jax.system.errors import UserError

NO_MORE = -1


@dataclasses.dataclass(frozen=True, eq=False)
class RankedList:
    """For each query the items that were found, best first.

    Attributes:
        ranks: int[q k]; row i holds query i's items. A row that is shorter than k ends in
            `NO_MORE`.
        database_size: how many items there are; an item is an index below it.

    Raises:
        UserError: ranks are not integers `[q k]`, an item is out of range, is listed twice for a
            query, or follows a `NO_MORE`.
    """

    ranks: np.ndarray
    database_size: int

    def __post_init__(self):
        if self.ranks.ndim != 2 or self.ranks.dtype.kind not in "iu":
            raise UserError(
                f"ranks are {type_and_shape(self.ranks)}; they are integers with a row for each "
                "query, items best first"
            )
        for query in range(len(self.ranks)):
            self._check(query)

    @classmethod
    def of_queries(cls, ranks: np.ndarray, query_count: int, database_size: int) -> "RankedList":
        """The lists of so many queries, which a user gives.

        Raises:
            UserError: also where there are more or fewer, as in ranks with a column for each query.
        """
        if ranks.ndim == 2 and len(ranks) != query_count:
            raise UserError(
                f"ranks of shape {ranks.shape} have {len(ranks)} rows for {query_count} queries; a "
                "row is a query's list, so transpose them if a column is"
            )
        return cls(ranks, database_size)

    def _check(self, query: int) -> None:
        items = self.items(query)
        rest = self.ranks[query, len(items) :]
        if (rest != NO_MORE).any():
            raise UserError(
                f"query {query} lists the item {rest[rest != NO_MORE][0]} after a {NO_MORE}; "
                f"{NO_MORE} means no more items and stands only at the end"
            )
        outside = items[(items < 0) | (items >= self.database_size)]
        if outside.size:
            raise UserError(
                f"query {query} lists the item {outside[0]}, but the database has "
                f"{self.database_size}; items count from 0"
            )
        ascending = np.sort(items)
        repeated = ascending[1:][ascending[1:] == ascending[:-1]]
        if repeated.size:
            raise UserError(
                f"query {query} lists the item {repeated[0]} more than once; "
                "an item has one place in a ranking"
            )

    def items(self, query: int) -> np.ndarray:
        """The query's items, best first: int[n] with n <= k."""
        row = self.ranks[query]
        ends = np.flatnonzero(row == NO_MORE)
        return row[: ends[0]] if ends.size else row

    def positions(self, query: int, items: np.ndarray) -> np.ndarray:
        """Each item's place in the query's ranking: int64[m] from 0, -1 where it is not listed."""
        found = self.items(query)
        position_of_item = np.full(self.database_size, -1)
        position_of_item[found] = np.arange(len(found))
        return position_of_item[items]


@dataclasses.dataclass(frozen=True, eq=False)
class FoundLists:
    """Ranked lists, and how similar their items are to the queries.

    Attributes:
        ranked: for each query its items, best first.
        similarities: float32[q k], dot products of the descriptors; NaN where a list has ended and
            for an item that is not ranked by its descriptor.

    Raises:
        ValueError: the shapes differ, or similarities are of another type.
    """

    ranked: RankedList
    similarities: np.ndarray

    def __post_init__(self):
        shape = self.ranked.ranks.shape
        if self.similarities.shape != shape or self.similarities.dtype != np.float32:
            raise ValueError(
                f"similarities of {shape} items are {type_and_shape(self.similarities)}"
            )
