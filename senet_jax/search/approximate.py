"""Approximate search by faiss, where exact search is too slow or the database too large.

What kind of index it is, faiss's own descriptions say: "Flat" (exact), "IVF1024,Flat" (only the
lists of some of 1024 centroids are searched), "PQ64np" (64 bytes a descriptor; np leaves out an
ordering of the codes that takes minutes and is of no use here), "IVF1024,PQ64np", "LSH" (the signs
of a descriptor's numbers, one bit each, compared by Hamming distance).
"""

import dataclasses
import math
from typing import Any

import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import NO_MORE, RankedList
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.optional import optional_import

TRAINING_ROWS = 65_536
"""From how many rows, evenly spread over the database, an index learns at most."""


@dataclasses.dataclass(frozen=True, eq=False)
class ApproximateIndex:
    """A database as faiss holds it.

    Attributes:
        index: the faiss index.
        items: int64[m], the item that each of its vectors is; unranked items are not among them.
        database_size: how many items the database has.
    """

    index: Any
    items: np.ndarray
    database_size: int


def build_index(database: BlockedDatabase, description: str, probes: int = 16) -> ApproximateIndex:
    """Builds an index block by block; beside it there are only a block and the training rows.

    Args:
        database: what will be searched.
        description: the kind of index, see the module.
        probes: how many lists of an IVF index are searched.

    Raises:
        UserError: faiss is not installed, does not know the description, or cannot train the index
            on so few rows; a descriptor that should be ranked is not finite.
    """
    with optional_import("faiss", "approximate searches"):
        import faiss
    # Binary codes have no inner product.
    metric = faiss.METRIC_L2 if description.startswith("LSH") else faiss.METRIC_INNER_PRODUCT
    try:
        index = faiss.index_factory(database.width, description, metric)
        if not index.is_trained:
            index.train(_training_rows(database))
    except RuntimeError as error:
        raise UserError(
            f"faiss cannot make the index {shown(description)} of {database.size} rows of "
            f"{database.width} numbers: {reason(error)}; choose another one, such as IVF64,Flat"
        ) from error
    lists = faiss.try_extract_index_ivf(index)
    if lists is not None:
        lists.nprobe = probes
    items = [np.zeros(0, np.int64)]
    for start in database.starts:
        block, is_ranked = database.read(start), database.is_ranked(start)
        database.check_finite(start, block)
        index.add(block[is_ranked])
        items.append(start + np.flatnonzero(is_ranked))
    return ApproximateIndex(index, np.concatenate(items), database.size)


def top_k(queries: np.ndarray, database: ApproximateIndex, k: int) -> RankedList:
    """Each query's k best items, as far as the index finds them; among equals any order.

    The counterpart of `search.top_k`. Unranked items are not found.

    Args:
        queries: float32[q d], finite.
        database: what is searched.
        k: how many items to find; of a smaller database, all.

    Returns:
        Ranks int64[q min(k, n)].
    """
    ranks = np.full((len(queries), min(k, database.database_size)), NO_MORE, np.int64)
    found = min(ranks.shape[1], len(database.items))
    if found:
        _, vectors = database.index.search(np.ascontiguousarray(queries), found)
        ranks[:, :found] = np.where(vectors < 0, NO_MORE, database.items[vectors])
    return RankedList(ranks, database.database_size)


def _training_rows(database: BlockedDatabase) -> np.ndarray:
    """Rows at equal distances: float32[m d] with m at most `TRAINING_ROWS`."""
    stride = math.ceil(database.size / TRAINING_ROWS)
    rows = [np.zeros((0, database.width), np.float32)]
    for start in database.starts:
        first = -start % stride
        block, is_ranked = database.read(start)[first::stride], database.is_ranked(start)
        rows.append(block[is_ranked[first::stride]])
    return np.concatenate(rows)
