"""The mutual nearest-neighbour graph of a database."""

from collections.abc import Iterable

import numpy as np
import scipy.sparse

from senet_jax.rerank.neighbours import Neighbours, nearest_others
from senet_jax.search.database import BlockedDatabase


def mutual_graph(
    database: BlockedDatabase, neighbours: int, recall: float = 1.0
) -> scipy.sparse.csr_array:
    """Joins the items that are among each other's nearest and have a positive similarity.

    Args:
        database: whose items they are.
        neighbours: how many nearest items count, the item itself among them, as in the public code
            of diffusion.
        recall: the share of the joined items that are found; see `nearest_others`.

    Returns:
        float32[n n], symmetric: the similarity of two items that are joined.
    """
    found = nearest_others(database, neighbours - 1, "building the graph", recall)
    return joined(found, database.size)


def joined(found: Iterable[Neighbours], size: int) -> scipy.sparse.csr_array:
    """The graph of all items' neighbours, in batches in the order of the items."""
    items, values = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    counts = [np.zeros(1, int)]
    for batch in found:
        are_positive = batch.similarities > 0  # Not where they are NaN.
        items.append(batch.asked.ranked.ranks[are_positive])
        values.append(batch.similarities[are_positive])
        counts.append(are_positive.sum(axis=1))
    arrays = np.concatenate(values), np.concatenate(items), np.cumsum(np.concatenate(counts))
    directed = scipy.sparse.csr_array(arrays, shape=(size, size))
    # Of two similarities the smaller one is 0 unless each is in the other's list.
    return directed.minimum(directed.T).tocsr()
