"""The neighbours of every item of a database, a batch of rows at a time."""

from collections.abc import Iterator

import numpy as np

from senet_jax.rerank.retrieval import Retrieval
from senet_jax.search.database import BlockedDatabase, read_items
from senet_jax.search.ranked_list import NO_MORE, RankedList
from senet_jax.system.progress import Progress

BATCH_ROWS = 1024
"""How many rows ask at a time: more take memory, fewer read the database more often."""


def nearest_others(database: BlockedDatabase, count: int, label: str) -> Iterator[Retrieval]:
    """Searches the database for each of its own items, without finding the item itself.

    It takes as many dot products as the square of the database's size. An item without a rank by
    score asks with a row of zeros.

    Args:
        database: what asks and what is searched.
        count: how many neighbours to find; of a smaller database, all.
        label: of the line of progress.

    Yields:
        The rows that ask, in their order, and their lists int[b min(count, n - 1)].
    """
    from senet_jax.search.exact import top_k

    progress = Progress(label, database.size, "rows")
    for start in range(0, database.size, BATCH_ROWS):
        items = np.arange(start, min(start + BATCH_ROWS, database.size))
        are_ranked = ~np.isin(items, list(database.unranked))
        rows = read_items(database, np.where(are_ranked, items, NO_MORE))
        found = top_k(rows, database, count + 1).ranks
        # Of many equal rows an item may not find itself: its last neighbour goes instead.
        order = np.argsort(found == items[:, None], axis=1, kind="stable")
        others = np.take_along_axis(found, order, axis=1)[:, : min(count, database.size - 1)]
        yield Retrieval(rows, database, RankedList(others, database.size))
        progress.advance(len(items))
