"""The mutual nearest-neighbour graph of a database.

To build it takes as many dot products as the square of the database's size.
"""

import numpy as np
import scipy.sparse

from senet_jax.rerank.neighbours import nearest_others
from senet_jax.rerank.retrieval import shortlists, similarities
from senet_jax.search.database import BlockedDatabase


def mutual_graph(database: BlockedDatabase, neighbours: int) -> scipy.sparse.csr_array:
    """Joins the items that are among each other's nearest and have a positive similarity.

    Args:
        database: whose items they are.
        neighbours: how many nearest items count, the item itself among them, as in the public code
            of diffusion.

    Returns:
        float32[n n], symmetric: the similarity of two items that are joined.
    """
    items, values = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    for found in nearest_others(database, neighbours - 1, "building the graph"):
        items.append(found.ranked.ranks.ravel())
        for shortlist in shortlists(found, found.length):
            products = similarities(shortlist.queries, shortlist.descriptors)
            values.append(np.maximum(products, 0).ravel())
    items, values = np.concatenate(items), np.concatenate(values)
    # Every item has as many neighbours.
    ends = np.arange(database.size + 1) * (len(items) // max(database.size, 1))
    shape = (database.size, database.size)
    directed = scipy.sparse.csr_array((values, items, ends), shape=shape)
    # Of two similarities the smaller one is 0 unless each is in the other's list.
    return directed.minimum(directed.T).tocsr()
