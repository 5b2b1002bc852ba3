"""What re-ranking does to the scores, with and without a look at the ground truth.

The authors of re-rankers drop a protocol's junk from the lists by the ground truth before they
re-rank, once for each protocol; a deployed system does not know it. Both are reported, as
`protocol` and as `blind`. (Query expansion in the paper drops nothing: its figures are `blind`.)
"""

import dataclasses
import resource
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS, Protocol
from senet_jax.metrics.report import evaluate_ranks
from senet_jax.rerank.method import Reranker, Resources
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.search.ranked_list import NO_MORE, RankedList


@dataclasses.dataclass(frozen=True)
class Cost:
    """What re-ranking took.

    Attributes:
        database_seconds: the time for the database stage, which all lists share, and for making
            features of photographs; what was kept from before took next to none.
        seconds_per_query: the time for a list, after that. Pairs that are known from before count
            with the time that they had taken.
        pairs_per_query: how many pairs of images were compared.
        computed_pairs_per_query: how many of them were not known from before.
        peak_memory_bytes: the most that the process had in memory until then.
    """

    database_seconds: float
    seconds_per_query: float
    pairs_per_query: float
    computed_pairs_per_query: float
    peak_memory_bytes: int


@dataclasses.dataclass(frozen=True, eq=False)
class RerankedReport:
    """Re-ranked lists, their scores, and what they cost.

    Attributes:
        scores: of the lists.
        cost: of the lists.
        ranked: the lists; where the ground truth was looked at, those of each protocol by its name.
    """

    scores: EvaluationReport
    cost: Cost
    ranked: RankedList | Mapping[str, RankedList]

    def to_json(self) -> dict[str, Any]:
        """The value that stands under `NAME+METHOD:protocol` or `:blind` in `report.json`."""
        return self.scores.to_json() | {"cost": dataclasses.asdict(self.cost)}


def evaluate_reranked(
    ground_truth: GroundTruth, retrieval: Retrieval, method: Reranker, resources: Resources
) -> dict[str, RerankedReport]:
    """Scores re-ranked lists, once as `blind` and once as `protocol`.

    The database stage is done once. `blind`, which is what a user would run, comes first, so that
    its cost is that of a first time.

    Args:
        ground_truth: what should be found.
        retrieval: whole lists: what they do not hold counts as not found.
        method: the method, or a chain of them.
        resources: what it may use.

    Raises:
        UserError: the method cannot work on the lists.
    """
    start, pairs = time.monotonic(), resources.pairs
    rerank = method.prepare(retrieval.database, resources)
    database_seconds = time.monotonic() - start

    def reranked(lists: Sequence[Retrieval]) -> tuple[list[RankedList], Cost]:
        start, before = time.monotonic(), dataclasses.replace(pairs)
        ranked = [rerank(found).ranked for found in lists]
        seconds = time.monotonic() - start
        for_features = pairs.feature_seconds - before.feature_seconds
        seconds += pairs.known_seconds - before.known_seconds - for_features
        count = len(lists) * len(retrieval.queries)
        return ranked, Cost(
            database_seconds + for_features,
            seconds / count,
            (pairs.compared - before.compared) / count,
            (pairs.computed - before.computed) / count,
            1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        )

    [blind], cost_of_blind = reranked([retrieval])
    of_protocols, cost_of_protocols = reranked(
        [without_junk(retrieval, ground_truth, protocol) for protocol in PROTOCOLS]
    )
    by_name = dict(zip((protocol.name for protocol in PROTOCOLS), of_protocols, strict=True))

    def report(ranked: RankedList | Mapping[str, RankedList], cost: Cost) -> RerankedReport:
        return RerankedReport(evaluate_ranks(ground_truth, ranked), cost, ranked)

    return {"blind": report(blind, cost_of_blind), "protocol": report(by_name, cost_of_protocols)}


def without_junk(retrieval: Retrieval, ground_truth: GroundTruth, protocol: Protocol) -> Retrieval:
    """Drops a protocol's junk from the lists, as only someone can who knows the ground truth."""
    ranks = np.full_like(retrieval.ranked.ranks, NO_MORE)
    for query in range(len(ranks)):
        items = retrieval.ranked.items(query)
        junk = np.concatenate([getattr(ground_truth, kind)[query] for kind in protocol.junk])
        kept = items[~np.isin(items, junk)]
        ranks[query, : len(kept)] = kept
    return retrieval.with_ranks(ranks)
