"""Average precision without sorting the database.

A query's score needs the positions of its labelled items only, and an item's position is the
number of items that rank ahead of it: those that score higher, and among equals those with a lower
index. They are counted block by block of the database, so that memory does not grow with it.

The measures are those of Radenović et al., "Revisiting Oxford and Paris" (CVPR 2018), in the
trapezoid form of the benchmark's own scorer; the rule for ties is ours.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.search.best_items import BestItems
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.scores import gathered, scores_of_blocks

_AFTER_ALL_ITEMS = np.iinfo(np.int32).max


def positions_by_score(
    queries: np.ndarray,
    database: BlockedDatabase,
    items: Sequence[np.ndarray],
    on_rows: Callable[[int], None] = lambda count: None,
    best: BestItems | None = None,
) -> list[np.ndarray]:
    """The positions that a search by dot product would give to some items of each query.

    Everything is computed in float32: descriptors of another type are converted first, so scores
    that differ in float64 only are ties.

    Args:
        queries: float32[q d], finite.
        database: what is ranked.
        items: for each query int64[m], different items of the database.
        on_rows: told how many more rows were ranked.
        best: takes the scores of every block as well.

    Returns:
        For each query int64[m], the positions of its items in the ranking of the whole database,
        from 0.

    Raises:
        UserError: a descriptor that should be ranked is not finite, or its score is not.
    """
    scores = _scores_of_items(queries, database, items)
    orders = [np.lexsort((i, -s)) for i, s in zip(items, scores, strict=True)]
    slots = 1 << max(map(len, items), default=0).bit_length()  # More than any query has items.
    slot_scores = np.full((len(items), slots), -np.inf, np.float32)
    slot_items = np.full((len(items), slots), _AFTER_ALL_ITEMS, np.int32)
    for query, order in enumerate(orders):
        slot_scores[query, : len(order)] = scores[query][order]
        slot_items[query, : len(order)] = items[query][order]

    no_items = np.zeros(slot_items.shape, np.int32)
    counted = {
        device: jax.device_put((no_items, slot_scores, slot_items), device)
        for device in jax.local_devices()
    }
    for start, of_block in scores_of_blocks(queries, database, database.starts):
        ahead, *slots_of_device = counted[of_block.device]
        ahead += _count_ahead(of_block, np.int32(start), *slots_of_device)
        counted[of_block.device] = ahead, *slots_of_device
        if best is not None:
            best.add(start, of_block)
        on_rows(min(database.block_rows, database.size - start))
    of_devices = np.stack([np.asarray(of_device) for of_device, *_ in counted.values()])
    ahead = of_devices.sum(axis=0, dtype=np.int32)
    ahead = gathered(ahead, database).sum(axis=0, dtype=np.int64)

    positions = [np.empty(len(order), np.int64) for order in orders]
    for query, order in enumerate(orders):
        positions[query][order] = ahead[query, : len(order)]
    return positions


def _scores_of_items(queries, database, items):
    """Scores of single items: float32[m] for each query, bit for bit those that are counted.

    They come out of the whole block's product, by the process that counts in it: a product of other
    shape, or on another machine, may round differently, and an item would be counted ahead of
    itself.
    """
    lengths = [len(i) for i in items]
    owners, items = np.repeat(np.arange(len(items)), lengths), np.concatenate([[], *items])
    items = items.astype(np.int64)
    scores = np.zeros(len(items), np.float32)
    starts = items // database.block_rows * database.block_rows
    needed = [start for start in database.starts if (starts == start).any()]
    for start, of_block in scores_of_blocks(queries, database, needed):
        here = starts == start
        scores[here] = np.asarray(of_block)[owners[here], items[here] - start]
    scores = gathered(scores, database).sum(axis=0)
    return np.split(scores, np.cumsum(lengths, dtype=int))[:-1]


@jax.jit
def _count_ahead(scores, start, slot_scores, slot_items):
    """How many items of a block rank ahead of each slot.

    A binary search finds how many of the query's slots rank ahead of an item or are the item
    itself; a histogram of these numbers, summed up, is the answer. This took a third of the time of
    the product that made the scores (70 queries, 8192 x 2048, 1024 slots, two CPU cores); comparing
    every item with every slot took many times that product.

    Args:
        scores: float32[q b], -inf for rows that are not ranked by score.
        start: int32, the block's first item.
        slot_scores: float32[q m], best first, m a power of two. Slots without an item are last:
            at least one, so that the search never passes the end.
        slot_items: int32[q m].

    Returns:
        int32[q m]; what it holds for slots without an item has no meaning.
    """
    slots = slot_scores.shape[1]
    items = start + jnp.arange(scores.shape[1], dtype=jnp.int32)

    def count(scores, slot_scores, slot_items):
        def halve(step, ahead):
            stride = jnp.int32(slots) >> (step + 1)
            slot = ahead + stride - 1
            is_not_behind = (slot_scores[slot] > scores) | (
                (slot_scores[slot] == scores) & (slot_items[slot] <= items)
            )
            return jnp.where(is_not_behind, ahead + stride, ahead)

        steps = slots.bit_length() - 1
        slots_ahead = jax.lax.fori_loop(0, steps, halve, jnp.zeros_like(items))
        return jnp.cumsum(jnp.zeros(slots, jnp.int32).at[slots_ahead].add(1))

    return jax.vmap(count)(scores, slot_scores, slot_items)


def junk_free_positions(positives: np.ndarray, junk: np.ndarray) -> np.ndarray:
    """Positions of the positives that were found, once junk has left the ranking.

    Args:
        positives: int64[p], positions in the whole ranking, -1 for an item that it lacks.
        junk: int64[j], positions of the items that are left out, -1 for one that it lacks.

    Returns:
        int64[f], sorted.
    """
    found = np.sort(positives[positives >= 0])
    return found - np.searchsorted(np.sort(junk[junk >= 0]), found)


def average_precision(positions: np.ndarray, positive_count: int) -> float:
    """The area under the precision-recall curve by the trapezoid rule.

    Args:
        positions: int64[f], sorted junk-free positions of the positives that were found.
        positive_count: how many there are to find, at least 1.
    """
    found_before = np.arange(len(positions))
    precision_before = np.where(positions == 0, 1.0, found_before / np.maximum(positions, 1))
    precision = (found_before + 1) / (positions + 1)
    return float(np.sum(precision_before + precision) / (2 * positive_count))


def precision_at(positions: np.ndarray, cutoff: int) -> float:
    """The share of positives among the first `cutoff` items, or up to the last positive if nearer.

    Args:
        positions: int64[f], sorted junk-free positions of the positives that were found.
        cutoff: the k of mP@k.
    """
    if not len(positions):
        return 0.0
    cutoff = min(cutoff, int(positions[-1]) + 1)
    return float(np.count_nonzero(positions < cutoff) / cutoff)
