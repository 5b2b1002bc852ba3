"""The photographs of an index that are most similar to descriptors."""

import dataclasses

import numpy as np

from senet_jax.index.store import Index
from senet_jax.search.best_items import BestItems
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

    Args:
        index: what is searched.
        queries: float32[q d], finite.
        top: how many photographs to find; of a smaller index, all.

    Raises:
        UserError: queries of another width, or not finite.
    """
    database = index.database
    database.check_queries(queries)
    queries = index.asked(queries)
    best = BestItems(len(queries), min(top, database.size))
    progress = Progress("searching", database.size, "rows")
    for start, scores in scores_of_blocks(queries, database, database.starts):
        best.add(start, scores)
        progress.advance(min(database.block_rows, database.size - start))
    found = best.lists(database)
    return [
        [
            Hit(path, score)
            for row, score in zip(rows, scores, strict=True)
            for path in index.paths_of_row.get(row, ())
        ][:top]
        for rows, scores in zip(
            found.ranked.ranks.tolist(), found.similarities.tolist(), strict=True
        )
    ]
