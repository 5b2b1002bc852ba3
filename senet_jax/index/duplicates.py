"""Groups of photographs of an index that are nearly the same."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from senet_jax.index.store import Index, as_line, open_index
from senet_jax.search.database import BlockedDatabase, as_float32
from senet_jax.search.scores import scores_of_blocks
from senet_jax.system.progress import Progress
from senet_jax.system.runtime import use_compilation_cache

QUERY_ROWS = 1024
"""How many descriptors are compared with a block of the database at a time."""


class Components:
    """The connected components of a graph whose edges come in pieces.

    Args:
        count: how many vertices there are.

    Attributes:
        labels: int64[n], the least vertex of each vertex's component.
    """

    def __init__(self, count: int):
        self.labels = np.arange(count)

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Adds edges between vertices int64[m] and int64[m]."""
        while True:
            ends = np.stack([self.labels[one], self.labels[other]])
            are_apart = ends[0] != ends[1]
            if not are_apart.any():
                return
            one, other = one[are_apart], other[are_apart]
            ends = np.unique(ends[:, are_apart], axis=1)
            # Each label points to a lesser one; following them to the end makes them roots again.
            np.minimum.at(self.labels, ends.max(axis=0), ends.min(axis=0))
            while not np.array_equal(further := self.labels[self.labels], self.labels):
                self.labels = further


def similar_rows(
    database: BlockedDatabase,
    threshold: float,
    on_rows: Callable[[int], None] = lambda count: None,
) -> np.ndarray:
    """Components of the rows of which a pair is as similar as a threshold, or more.

    Every pair is compared once, block by block: memory does not grow with the database, but for a
    number for each row.

    Args:
        database: whose rows they are; one that is not ranked is by itself.
        threshold: the least similarity, a dot product.
        on_rows: told how many more rows were compared with all.

    Returns:
        int64[n], for each row the least row of its component.
    """
    components = Components(database.size)
    is_ranked = np.ones(database.size, bool)
    is_ranked[list(database.unranked)] = False
    for first in range(0, database.size, QUERY_ROWS):
        # Of one shape, so that one program serves them all.
        queries = np.zeros((QUERY_ROWS, database.width), np.float32)
        end = min(first + QUERY_ROWS, database.size)
        queries[: end - first] = _rows(database, first, end)
        from_block = first // database.block_rows * database.block_rows
        starts = range(from_block, database.size, database.block_rows)
        for start, scores in scores_of_blocks(queries, database, starts):
            is_similar = np.asarray(scores)[: end - first] >= threshold
            is_similar &= is_ranked[first:end, None]
            one, other = np.nonzero(is_similar)
            components.join(first + one, start + other)
        on_rows(end - first)
    return components.labels


def _rows(database: BlockedDatabase, first: int, end: int) -> np.ndarray:
    """Rows of a database of one part: float32[k d]."""
    [descriptors] = database.parts
    return as_float32(descriptors[first:end])


def groups(
    index: Index, threshold: float, on_rows: Callable[[int], None] = lambda count: None
) -> list[list[tuple[str, float]]]:
    """Groups of photographs that are nearly the same, the largest first.

    Args:
        index: whose photographs they are.
        threshold: see `similar_rows`.
        on_rows: see `similar_rows`.

    Returns:
        For each group its photographs, two at least: the path and the similarity with the first.
    """
    labels = similar_rows(index.described, threshold, on_rows)
    rows_of: dict[int, list[int]] = {}
    for row in sorted(index.paths_of_row):
        rows_of.setdefault(int(labels[row]), []).append(row)
    found = [_group(index, rows) for rows in rows_of.values()]
    return sorted((group for group in found if len(group) > 1), key=lambda g: (-len(g), g[0][0]))


def _group(index: Index, rows: Sequence[int]) -> list[tuple[str, float]]:
    paths = sorted((path, row) for row in rows for path in index.paths_of_row[row])
    if len(paths) == 1:
        return [(paths[0][0], 1.0)]
    descriptors = index.contents.descriptors
    [first] = as_float32(descriptors[paths[0][1] :][:1])
    score_of: dict[int, float] = {}
    for start in range(0, len(rows), QUERY_ROWS):
        some = rows[start : start + QUERY_ROWS]
        score_of |= zip(some, (as_float32(descriptors[some]) @ first).tolist(), strict=True)
    return [(path, score_of[row]) for path, row in paths]


def print_groups(folder: pathlib.Path, threshold: float) -> None:
    """Compares all photographs of an index with each other, and prints the groups."""
    use_compilation_cache()
    index = open_index(folder)
    size = index.described.size
    found = groups(index, threshold, Progress("comparing", size, "rows").advance)
    for group in found:
        print(f"{len(group)} photographs, with their similarity to the first")
        for path, score in group:
            print(f"  {score:.4f}  {as_line(path)}")
    count, total = sum(map(len, found)), sum(map(len, index.paths_of_row.values()))
    print(f"{len(found):,} groups, with {count:,} of {total:,} photographs")
