"""Scores that are equal: an order among them is that of the list, and says nothing of a search."""

from collections.abc import Collection, Sequence

import numpy as np

from senet_jax.data.ground_truth import KINDS, GroundTruth
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.search.database import BlockedDatabase, as_float32
from senet_jax.search.scores import scores_of_blocks

# The product of a block with the queries is computed again.
BLOCKS_LOOKED_AT = 4
(_MEDIUM,) = (protocol for protocol in PROTOCOLS if protocol.name == "medium")


def count_tied(
    ground_truth: GroundTruth,
    queries: np.ndarray,
    database_parts: Sequence[np.ndarray],
    unranked: Collection[int] = (),
) -> tuple[int, int]:
    """How many positives of how many have the very score of an item that is not labelled.

    For time's sake only positives in the first few blocks that hold any are looked at, and only
    items of the same block. Images that could not be read are left out.

    Args:
        ground_truth: what should be found; positives are those of Medium.
        queries: see `evaluate_descriptors`.
        database_parts: see `evaluate_descriptors`.
        unranked: see `evaluate_descriptors`.
    """
    database = BlockedDatabase(tuple(database_parts), unranked)
    positives, labelled = (_items(ground_truth, kinds) for kinds in (_MEDIUM.positive, KINDS))
    blocks = np.unique(np.concatenate([[], *positives]) // database.block_rows)
    starts = (blocks[:BLOCKS_LOOKED_AT] * database.block_rows).astype(int).tolist()
    tied = looked_at = 0
    for start, scores in scores_of_blocks(as_float32(queries), database, starts):
        scores, is_ranked = np.asarray(scores), database.is_ranked(start)
        for query, of_query in enumerate(scores):
            is_positive, is_labelled = (
                np.isin(np.arange(start, start + len(of_query)), items[query])
                for items in (positives, labelled)
            )
            of_positives = of_query[is_positive & is_ranked]
            tied += int(np.isin(of_positives, of_query[~is_labelled & is_ranked]).sum())
            looked_at += len(of_positives)
    return tied, looked_at


def warning_of_ties(
    ground_truth: GroundTruth,
    queries: np.ndarray,
    database_parts: Sequence[np.ndarray],
    unranked: Collection[int] = (),
) -> str | None:
    """What to say where more than half of the positives are tied; see `count_tied`."""
    tied, looked_at = count_tied(ground_truth, queries, database_parts, unranked)
    if 2 * tied <= looked_at:
        return None
    return (
        f"{tied:,} of {looked_at:,} images to find have the very score of an image that is not, so "
        "their order is that of the list and the figures mean nothing; are the descriptors alike?"
    )


def _items(ground_truth: GroundTruth, kinds: Sequence[str]) -> list[np.ndarray]:
    """For each query its items of some kinds: int64[m]."""
    return [
        np.concatenate([getattr(ground_truth, kind)[query] for kind in kinds])
        for query in range(len(ground_truth.query_names))
    ]
