"""The photographs of an index that are most similar to descriptors."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from senet_jax.index.held import Held
from senet_jax.index.store import Index
from senet_jax.search.best_items import BestItems
from senet_jax.search.database import BlockedDatabase, read_items
from senet_jax.search.scores import scores_of_blocks
from senet_jax.system.progress import Progress


@dataclasses.dataclass(frozen=True)
class Hit:
    """A photograph that was found.

    Attributes:
        path: its file, in full.
        score: the dot product with the query, of unit descriptors the cosine.
    """

    path: str
    score: float


def find(index: Index, queries: np.ndarray, top: int) -> list[list[Hit]]:
    """The photographs of an index that are most similar to each query, best first.

    Scores are dot products with the descriptors, whichever backend has found them; among equals the
    lower row comes first.

    Args:
        index: what is searched.
        queries: float32[q d], finite, as `Index.asked` gives them.
        top: how many photographs to find; of a smaller index, all.

    Raises:
        UserError: queries of another width, or not finite; the backend is broken.
    """
    database = index.database
    database.check_queries(queries)
    found = best_rows(queries, database, index.held, top)
    return [
        [
            Hit(path, score)
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
            for path in index.paths_of_row.get(row, ())
        ][:top]
        for rows, scores in found
    ]


def best_rows(
    queries: np.ndarray, database: BlockedDatabase, held: Held, top: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each query its best rows int64[k], `top` or more if there are, and their float32[k].

    Args:
        queries: float32[q d], finite.
        database: what is searched.
        held: what a backend holds of it.
        top: how many rows are wanted.
    """
    near = held.nearest(queries, top, database)
    if near is None:
        return _best_of_all(queries, database, top)
    return _best_of_some(queries, database, near)


def _best_of_all(
    queries: np.ndarray, database: BlockedDatabase, top: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each query its best rows int64[k] and their scores float32[k]."""
    best = BestItems(len(queries), min(top, database.size))
    progress = Progress("searching", database.size, "rows")
    for start, scores in scores_of_blocks(queries, database, database.starts):
        best.add(start, scores)
        progress.advance(min(database.block_rows, database.size - start))
    found = best.lists(database)
    return list(zip(found.ranked.ranks, found.similarities, strict=True))


def _best_of_some(
    queries: np.ndarray, database: BlockedDatabase, rows_of_query: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each query its rows int64[m], best first, and their scores float32[m].

    Sums are of float64, so that equal descriptors have equal scores.
    """
    found = []
    for query, rows in zip(queries, rows_of_query, strict=True):
        descriptors = read_items(database, rows).astype(np.float64)
        scores = (descriptors @ query.astype(np.float64)).astype(np.float32)
        order = np.lexsort((rows, -scores))
        found.append((rows[order], scores[order]))
    return found
