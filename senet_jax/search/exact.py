"""Search: for each query the items of a database with the highest scores."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from senet_jax.search.scores import gathered, scores_of_blocks

_AFTER_ALL_ITEMS = np.iinfo(np.int32).max


def top_k(
    queries: np.ndarray,
    database: BlockedDatabase,
    k: int,
    on_rows: Callable[[int], None] = lambda count: None,
) -> RankedList:
    """Each query's k best items by dot product in float32, exactly; among equals the lower index.

    The ranking is the one that `positions_by_score` counts in. The database is read block by block,
    and only the best items so far are kept: memory does not grow with it, unless k does.

    Args:
        queries: float32[q d], finite.
        database: what is searched.
        k: how many items to find; of a smaller database, all.
        on_rows: told how many more rows were searched.

    Returns:
        Ranks int32[q min(k, n)].

    Raises:
        UserError: a descriptor that should be ranked is not finite, or its score is not.
    """
    if k >= database.size:
        return RankedList(_whole_ranking(queries, database, on_rows), database.size)
    shape = (len(queries), k)
    nothing = np.full(shape, -np.inf, np.float32), np.full(shape, _AFTER_ALL_ITEMS, np.int32)
    best = {device: jax.device_put(nothing, device) for device in jax.local_devices()}
    for start, scores in scores_of_blocks(queries, database, database.starts):
        best[scores.device] = _merge(*best[scores.device], scores, np.int32(start))
        on_rows(min(database.block_rows, database.size - start))
    scores, items = (
        np.concatenate(gathered(np.concatenate(lists, axis=1), database), axis=1)
        for lists in zip(*best.values(), strict=True)
    )
    order = np.lexsort((items, -scores))[:, : shape[1]]
    return RankedList(np.take_along_axis(items, order, axis=1), database.size)


def _whole_ranking(
    queries: np.ndarray, database: BlockedDatabase, on_rows: Callable[[int], None]
) -> np.ndarray:
    """All items, best first: the list itself is as large as the scores. int32[q n].

    So every process computes all of them.
    """
    database = dataclasses.replace(database, share=(0, 1))
    scores = np.empty((len(queries), database.size), np.float32)
    for start, of_block in scores_of_blocks(queries, database, database.starts):
        rows = min(database.block_rows, database.size - start)
        scores[:, start : start + rows] = of_block[:, :rows]
        on_rows(rows)
    return np.argsort(-scores, axis=1, kind="stable").astype(np.int32)


@jax.jit
def _merge(
    best_scores: jax.Array, best_items: jax.Array, scores: jax.Array, start: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The best items so far and of one block more.

    Args:
        best_scores: float32[q k], best first.
        best_items: int32[q k].
        scores: float32[q b], -inf for rows that are not ranked by score.
        start: int32, the block's first item.

    Returns:
        float32[q k] and int32[q k].
    """
    k = best_scores.shape[1]
    scores = jnp.where(scores == 0, 0.0, scores)  # `top_k` would put 0.0 ahead of -0.0.
    block_best, rows = jax.lax.top_k(scores, min(k, scores.shape[1]))
    merged_scores = jnp.concatenate([best_scores, block_best], axis=1)
    merged_items = jnp.concatenate([best_items, start + rows], axis=1)
    negated, items = jax.lax.sort((-merged_scores, merged_items), num_keys=2)
    return -negated[:, :k], items[:, :k]
