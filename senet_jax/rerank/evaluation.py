"""What re-ranking does to the scores, with and without a look at the ground truth.

The authors of re-rankers drop a protocol's junk from the lists by the ground truth before they
re-rank, once for each protocol; a deployed system does not know it. Both are reported, as
`protocol` and as `blind`. (Query expansion in the paper drops nothing: its figures are `blind`.)
"""

import dataclasses
import time
from typing import Any

import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.rerank.retrieval import Reranker, Retrieval
from senet_jax.retrieval.evaluation import EvaluationReport, evaluate_ranks
from senet_jax.retrieval.protocols import PROTOCOLS, Protocol
from senet_jax.retrieval.ranked_list import NO_MORE


@dataclasses.dataclass(frozen=True, eq=False)
class RerankedReport:
    """The scores of re-ranked lists, and what they cost.

    Attributes:
        scores: of the lists.
        seconds_per_query: the time to re-rank one list.
    """

    scores: EvaluationReport
    seconds_per_query: float

    def to_json(self) -> dict[str, Any]:
        """The value that stands under `NAME+METHOD:protocol` or `:blind` in `report.json`."""
        return self.scores.to_json() | {"cost": {"seconds_per_query": self.seconds_per_query}}


def evaluate_reranked(
    ground_truth: GroundTruth, retrieval: Retrieval, rerank: Reranker
) -> dict[str, RerankedReport]:
    """Scores re-ranked lists, once as `protocol` and once as `blind`.

    Args:
        ground_truth: what should be found.
        retrieval: whole lists: what they do not hold counts as not found.
        rerank: the method, or a chain of them.

    Raises:
        UserError: the method cannot work on the lists.
    """
    start = time.monotonic()
    of_protocols = {
        protocol.name: rerank(without_junk(retrieval, ground_truth, protocol)).ranked
        for protocol in PROTOCOLS
    }
    middle = time.monotonic()
    blind = rerank(retrieval).ranked
    end = time.monotonic()
    count = len(retrieval.queries)
    return {
        "protocol": RerankedReport(
            evaluate_ranks(ground_truth, of_protocols), (middle - start) / len(PROTOCOLS) / count
        ),
        "blind": RerankedReport(evaluate_ranks(ground_truth, blind), (end - middle) / count),
    }


def without_junk(retrieval: Retrieval, ground_truth: GroundTruth, protocol: Protocol) -> Retrieval:
    """Drops a protocol's junk from the lists, as only someone can who knows the ground truth."""
    ranks = np.full_like(retrieval.ranked.ranks, NO_MORE)
    for query in range(len(ranks)):
        items = retrieval.ranked.items(query)
        junk = np.concatenate([getattr(ground_truth, kind)[query] for kind in protocol.junk])
        kept = items[~np.isin(items, junk)]
        ranks[query, : len(kept)] = kept
    return retrieval.with_ranks(ranks)
