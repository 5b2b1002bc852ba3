"""Precision as a function of recall, whose area is the average precision of the benchmark."""

import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.metrics.protocols import Protocol
from senet_jax.metrics.report import found_positives, positions_in
from senet_jax.search.ranked_list import RankedList


def precision_at_recalls(
    positions: np.ndarray, positive_count: int, recalls: np.ndarray
) -> np.ndarray:
    """The precision of one query's list at some recalls: float64[r].

    Between the recall before a positive and with it, precision goes in a line from that of the
    items before it to that with it: the trapezoids of `average_precision`. Where a recall is not
    reached, precision is 0.

    Args:
        positions: int64[f], sorted junk-free positions of the positives that were found.
        positive_count: how many there are to find, at least 1.
        recalls: float64[r], from 0 to below 1.
    """
    found_before = np.arange(len(positions))
    before = np.where(positions == 0, 1.0, found_before / np.maximum(positions, 1))
    after = (found_before + 1) / (positions + 1)
    which = np.floor(recalls * positive_count).astype(int)
    is_reached = which < len(positions)
    share, which = recalls * positive_count - which, np.where(is_reached, which, 0)
    if not len(positions):
        return np.zeros(len(recalls))
    precisions = before[which] + share * (after[which] - before[which])
    return np.where(is_reached, precisions, 0)


def mean_precision(
    ground_truth: GroundTruth, ranked: RankedList, protocol: Protocol, recalls: np.ndarray
) -> np.ndarray:
    """The mean over the scored queries of the precision at some recalls: float64[r].

    It is NaN where no query is scored.

    Raises:
        UserError: the lists have not one row for each query.
    """
    curves = [
        precision_at_recalls(found, count, recalls)
        for found, count in (
            found_positives(protocol, positions) for positions in positions_in(ranked, ground_truth)
        )
        if count
    ]
    return np.mean(curves, axis=0) if curves else np.full(len(recalls), np.nan)
