"""Scores of descriptors and of ranked lists on a benchmark."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from senet_jax.data.ground_truth import KINDS, GroundTruth
from senet_jax.metrics.average_precision import (
    average_precision,
    junk_free_positions,
    positions_by_score,
    precision_at,
)
from senet_jax.metrics.evaluation_report import CUTOFFS, MEASURES, EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS, Protocol
from senet_jax.search.best_items import BestItems
from senet_jax.search.database import (
    BlockedDatabase,
    array_name,
    as_float32,
    check_descriptors,
)
from senet_jax.search.ranked_list import RankedList
from senet_jax.search.ranking_forecast import RankingForecast
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress


def evaluate_descriptors(
    ground_truth: GroundTruth,
    queries: np.ndarray,
    database_parts: Sequence[np.ndarray],
    unranked: Collection[int] = (),
    share: tuple[int, int] = (0, 1),
    listed: int = 0,
) -> EvaluationReport:
    """Scores the ranking by dot product; descriptors are used as they are, in float32.

    Args:
        ground_truth: what should be found.
        queries: number[q d], in the order of `query_names`.
        database_parts: number[n_i d] each, or quantised, maybe memory-mapped: the items in the
            order of `image_names`, then any distractors.
        unranked: items that rank after everything else whatever their descriptor is, by index
            among themselves: images that could not be read.
        share: which process of how many this is, where all of them call this together; see
            `BlockedDatabase`.
        listed: how many of each query's first items the report has to hold, in `found`.

    Raises:
        UserError: a wrong number of rows, a wrong width or type, or a value that is not finite.
    """
    name = array_name(queries, "the array of queries")
    check_descriptors(queries, name)
    database = BlockedDatabase(tuple(database_parts), unranked, share=share)
    _check_query_count(ground_truth, len(queries), name)
    if database.size < len(ground_truth.image_names):
        raise UserError(
            f"the database has {database.size} rows for {len(ground_truth.image_names)} images; "
            "every image of imlist has one"
        )
    queries = as_float32(queries)
    database.check_queries(queries, name)
    progress = Progress("ranking", database.share_size, "rows")
    forecast = RankingForecast(database, len(queries))

    def advance(rows: int) -> None:
        forecast.advance()
        progress.advance(rows)

    best = BestItems(len(queries), listed) if listed else None
    positions = positions_by_score(queries, database, _labelled_items(ground_truth), advance, best)
    by_kind = _split_by_kind(ground_truth, positions)
    return EvaluationReport(
        ground_truth.query_names,
        {p.name: _score(p, by_kind) for p in PROTOCOLS},
        found=None if best is None else best.lists(database),
    )


def evaluate_ranks(
    ground_truth: GroundTruth, ranked: RankedList | Mapping[str, RankedList]
) -> EvaluationReport:
    """Scores a ranking that is there already; items that it does not list are not found.

    Args:
        ground_truth: what should be found.
        ranked: one list, or one for each protocol's name.

    Raises:
        UserError: a list has not one row for each query.
    """
    if isinstance(ranked, RankedList):
        by_kind = positions_in(ranked, ground_truth)
        scores = {p.name: _score(p, by_kind) for p in PROTOCOLS}
    else:
        scores = {p.name: _score(p, positions_in(ranked[p.name], ground_truth)) for p in PROTOCOLS}
    return EvaluationReport(ground_truth.query_names, scores)


def _check_query_count(ground_truth: GroundTruth, rows: int, name: str) -> None:
    if rows != len(ground_truth.query_names):
        raise UserError(
            f"{name} has {rows} rows for {len(ground_truth.query_names)} queries; every query of "
            "qimlist has one"
        )


def _labelled_items(ground_truth: GroundTruth) -> list[np.ndarray]:
    return [
        np.concatenate([getattr(ground_truth, kind)[query] for kind in KINDS])
        for query in range(len(ground_truth.query_names))
    ]


def _split_by_kind(
    ground_truth: GroundTruth, positions: Sequence[np.ndarray]
) -> list[dict[str, np.ndarray]]:
    """Positions of `_labelled_items`, for each query by kind."""
    by_kind = []
    for query, of_query in enumerate(positions):
        ends = np.cumsum([len(getattr(ground_truth, kind)[query]) for kind in KINDS])
        by_kind.append(dict(zip(KINDS, np.split(of_query, ends[:-1]), strict=True)))
    return by_kind


def positions_in(ranked: RankedList, ground_truth: GroundTruth) -> list[dict[str, np.ndarray]]:
    """For each query the places of its labelled items by kind, -1 where an item is not listed.

    Raises:
        UserError: the lists have not one row for each query.
    """
    _check_query_count(ground_truth, len(ranked.ranks), array_name(ranked.ranks, "the ranking"))
    positions = [
        ranked.positions(query, items) for query, items in enumerate(_labelled_items(ground_truth))
    ]
    return _split_by_kind(ground_truth, positions)


def found_positives(
    protocol: Protocol, positions: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, int]:
    """Where a query's positives are once junk has left its list, int64[f], and how many there are.

    Args:
        protocol: says what is positive and what is junk.
        positions: of the query's labelled items by kind, -1 where an item is not listed.
    """
    positives = np.concatenate([positions[kind] for kind in protocol.positive])
    junk = np.concatenate([positions[kind] for kind in protocol.junk])
    return junk_free_positions(positives, junk), len(positives)


def _score(protocol: Protocol, by_kind: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """The measures of every query: float64[q 4], NaN where there is nothing to find."""
    scores = np.full((len(by_kind), len(MEASURES)), np.nan)
    for query, positions in enumerate(by_kind):
        found, count = found_positives(protocol, positions)
        if count:
            scores[query] = (
                average_precision(found, count),
                *(precision_at(found, cutoff) for cutoff in CUTOFFS),
            )
    return scores
