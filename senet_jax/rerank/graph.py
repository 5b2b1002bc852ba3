"""The mutual nearest-neighbour graph of a database, and the file that keeps it.

To build it takes as many dot products as the square of the database's size, so it is worth a file.
"""

import hashlib
import os
import pathlib

import numpy as np
import scipy.sparse

from senet_jax.rerank.neighbours import nearest_others
from senet_jax.rerank.retrieval import shortlists, similarities
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.checksummed import load_arrays, write_arrays
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import written_whole
from senet_jax.system.progress import Progress


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


def kept_graph(
    path: str | os.PathLike, database: BlockedDatabase, neighbours: int
) -> scipy.sparse.csr_array:
    """The `mutual_graph` from a file, which is made where there is none.

    Args:
        path: of a `.npz` file.
        database: see `mutual_graph`.
        neighbours: likewise.

    Raises:
        UserError: the file is broken, is of another database or of other neighbours, or cannot be
            written.
    """
    path = pathlib.Path(path)
    database_sha256 = _sha256(database)
    if path.exists():
        return _read(path, database_sha256, database.size, neighbours)
    # A place that cannot be written is found out before the work, not after it.
    with written_whole(path) as temporary, temporary.open("wb") as file:
        graph = mutual_graph(database, neighbours)
        write_arrays(
            file,
            similarities=graph.data,
            items=graph.indices,
            ends=graph.indptr,
            neighbours=neighbours,
            database_sha256=database_sha256,
        )
    return graph


def _sha256(database: BlockedDatabase) -> str:
    digest = hashlib.sha256(f"{database.width} {sorted(database.unranked)}".encode())
    progress = Progress("reading the database for its checksum", database.size, "rows")
    for start in database.starts:
        rows = database.read(start)[: database.size - start]
        digest.update(np.ascontiguousarray(rows))
        progress.advance(len(rows))
    return digest.hexdigest()


def _read(path, database_sha256, size, neighbours):
    try:
        arrays = load_arrays(path)
        made_with, made_of = int(arrays["neighbours"]), str(arrays["database_sha256"])
        parts = arrays["similarities"], arrays["items"], arrays["ends"]
        graph = scipy.sparse.csr_array(parts, shape=(len(parts[-1]) - 1,) * 2)
        graph.check_format(full_check=True)
        if graph.dtype != np.float32 or not np.isfinite(graph.data).all():
            raise ValueError("its similarities are no finite float32")
    except Exception as error:  # SciPy can raise anything at arrays that make no graph.
        raise UserError(f"{path} is not a whole graph: {reason(error)}; remove it") from error
    if made_of != database_sha256 or graph.shape != (size, size):
        raise UserError(f"{path} is the graph of other descriptors; name another file or remove it")
    if made_with != neighbours:
        raise UserError(
            f"{path} is the graph of {made_with} neighbours, not of {neighbours}; name another "
            "file or remove it"
        )
    return graph
