"""Approximate search by faiss, where exact search is too slow or the database too large.

What kind of index it is, faiss's own descriptions say: "Flat" (exact), "IVF1024,Flat" (only the
lists of some of 1024 centroids are searched), "PQ64np" (64 bytes a descriptor; np leaves out an
ordering of the codes that takes minutes and is of no use here), "IVF1024,PQ64np", "LSH" (the signs
of a descriptor's numbers, one bit each, compared by Hamming distance).
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import NO_MORE, RankedList
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.optional import optional_import
from senet_jax.system.settings import Settings, setting

TRAINING_ROWS = 65_536
"""From how many rows, evenly spread over the database, an index learns at most."""
AUTO = "auto"
"""The index of choice for a database's size."""
_SMALL_DATABASE = 4096


@dataclasses.dataclass(frozen=True)
class Faiss(Settings):
    """An index of faiss: it is built once, then searched faster; some items may be missed."""

    index: str = setting(
        AUTO,
        "faiss's description of the index, such as IVF1024,PQ64np; auto: inverted lists of whole "
        "descriptors, about the square root of the database's size; of a small database Flat",
    )
    probes: int = setting(
        16, "how many lists of an IVF index are searched", at_least=1, at_most=2**31 - 1
    )

    def prepare(
        self, database: BlockedDatabase, on_rows: Callable[[int], None] = lambda count: None
    ) -> "FaissIndex":
        """Builds the index block by block; beside it there are only a block and training rows.

        Args:
            database: what will be searched.
            on_rows: told how many more rows are in the index.

        Raises:
            UserError: see `trained`; a descriptor that should be ranked is not finite.
        """
        made = self.trained(database)
        for start in database.starts:
            block, is_ranked = database.read(start), database.is_ranked(start)
            database.check_finite(start, block)
            made.add(start + np.flatnonzero(is_ranked), block[is_ranked])
            on_rows(min(database.block_rows, database.size - start))
        return made

    def trained(self, database: BlockedDatabase) -> "FaissIndex":
        """An index that has learned from a database, and holds nothing yet.

        Raises:
            UserError: faiss is not installed, does not know the description, or cannot train the
                index on so few rows.
        """
        with optional_import("faiss", "approximate searches"):
            import faiss
        description = self.description(database.size)
        # Binary codes have no inner product.
        metric = faiss.METRIC_L2 if description.startswith("LSH") else faiss.METRIC_INNER_PRODUCT
        try:
            index = faiss.index_factory(database.width, description, metric)
            if not index.is_trained:
                index.train(training_rows(database))
        # A text that is none to C++ is a TypeError, a matrix that is too large a MemoryError.
        except (RuntimeError, TypeError, MemoryError) as error:
            raise UserError(
                f"faiss cannot make the index {shown(description)} of {database.size} rows of "
                f"{database.width} numbers: {reason(error)}; choose another one, such as IVF64,Flat"
            ) from error
        made = dataclasses.replace(self, index=description)
        return made.index_of(faiss.IndexIDMap(index), database.size)

    def index_of(self, index: Any, database_size: int) -> "FaissIndex":
        """What is searched with these settings.

        Args:
            index: an IndexIDMap of faiss.
            database_size: how many items the database has.
        """
        import faiss

        lists = faiss.try_extract_index_ivf(index)
        if lists is not None:
            lists.nprobe = self.probes
        return FaissIndex(self, index, database_size)

    def description(self, size: int) -> str:
        """The index of a database of so many rows, as faiss describes it."""
        return _index_of_choice(size) if self.index == AUTO else self.index


@dataclasses.dataclass(frozen=True, eq=False)
class FaissIndex:
    """A database as faiss holds it.

    Attributes:
        backend: its settings, with the description of the index.
        index: the faiss index, which knows each vector by its item; unranked items are not in it.
        database_size: how many items the database has.
    """

    backend: Faiss
    index: Any
    database_size: int

    def add(self, items: np.ndarray, descriptors: np.ndarray) -> None:
        """Adds items int64[m] with their descriptors float32[m d]."""
        if len(items):
            self.index.add_with_ids(np.ascontiguousarray(descriptors), items)

    def nearest(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Each query's best items, as far as the index finds them; among equals any order.

        Args:
            queries: float32[q d], finite.
            count: how many to find.

        Returns:
            int64[q count]; `NO_MORE` where there are no more.
        """
        found = np.full((len(queries), count), NO_MORE, np.int64)
        held = min(count, self.index.ntotal)
        if held:
            _, found[:, :held] = self.index.search(np.ascontiguousarray(queries), held)
        return found

    def top_k(
        self, queries: np.ndarray, k: int, on_rows: Callable[[int], None] = lambda count: None
    ) -> RankedList:
        """Each query's k best items; see `nearest`. Unranked items are not found.

        Args:
            queries: float32[q d], finite.
            k: how many items to find; of a smaller database, all.
            on_rows: told, at the end, how many rows were searched.

        Returns:
            Ranks int64[q min(k, n)].
        """
        found = self.nearest(queries, min(k, self.database_size))
        on_rows(self.database_size)
        return RankedList(found, self.database_size)


def _index_of_choice(size: int) -> str:
    """Inverted lists where there is something to gain by them, and rows to learn them from."""
    if size < _SMALL_DATABASE:
        return "Flat"
    return f"IVF{2 ** round(math.log2(size) / 2)},Flat"


def training_rows(database: BlockedDatabase) -> np.ndarray:
    """Ranked rows at equal distances: float32[m d] with m at most `TRAINING_ROWS`."""
    stride = math.ceil(database.size / TRAINING_ROWS)
    rows = [np.zeros((0, database.width), np.float32)]
    for start in database.starts:
        first = -start % stride
        block, is_ranked = database.read(start)[first::stride], database.is_ranked(start)
        rows.append(block[is_ranked[first::stride]])
    return np.concatenate(rows)
