"""A few queries, chosen by a rule, and what a network finds for them before and after training."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.revisitop import Dataset, read_image
from senet_jax.features.extract import extract
from senet_jax.features.runner import Describer
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.report.ranked import Example, FoundItems, Verdict
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.system.errors import UserError

PERCENTILES = (10, 50, 90)
ITEMS = 10
(MEDIUM,) = (protocol for protocol in PROTOCOLS if protocol.name == "medium")


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredNetwork:
    """A network, and how well it searches a dataset.

    Attributes:
        describer: the network.
        average_precisions: float64[q] under Medium, NaN where a query is not scored.
    """

    describer: Describer
    average_precisions: np.ndarray


def average_precisions(report: dict[str, Any], name: str, dataset: Dataset) -> np.ndarray:
    """The APs of a dataset's queries under Medium, as the report has them below a name.

    Returns:
        float64[q], NaN where a query is not scored.

    Raises:
        UserError: the report lacks the name, or was made on another dataset.
    """
    if name not in report:
        raise UserError(
            f"the report has no scores of {name}, but of {', '.join(sorted(set(report) - {'run'}))}"
            "; choose one of the trained network's with --dataset"
        )
    per_query = report[name][MEDIUM.name]["per_query"]
    if len(per_query) != len(dataset.queries):
        raise UserError(
            f"the report has the scores of {len(per_query)} queries, {dataset.name} has "
            f"{len(dataset.queries)} now; put the dataset back that was evaluated"
        )
    return np.array([scores["ap"] for scores in per_query], np.float64)


def find_examples(
    dataset: Dataset, trained: ScoredNetwork, untrained: ScoredNetwork, scales: Sequence[float]
) -> list[Example]:
    """The queries at some percentiles of the trained network's AP, and what is found for them.

    Args:
        dataset: what is searched.
        trained: the network whose APs decide.
        untrained: the other one.
        scales: at which each image is described.

    Raises:
        UserError: no query is scored, or an image cannot be read.
    """
    if np.isnan(trained.average_precisions).all():
        raise UserError(
            f"no query of {dataset.name} is scored under Medium; choose another dataset"
        )
    chosen = [query_at_percentile(trained.average_precisions, p) for p in PERCENTILES]
    after, before = (_find(network, dataset, chosen, scales) for network in (trained, untrained))
    return [
        Example(
            caption=f"{percentile}th percentile: {dataset.ground_truth.query_names[query]}",
            image=read_image(dataset.queries[query].path),
            box=dataset.queries[query].box,
            trained=after[place],
            untrained=before[place],
        )
        for place, (percentile, query) in enumerate(zip(PERCENTILES, chosen, strict=True))
    ]


def query_at_percentile(average_precisions: np.ndarray, percentile: float) -> int:
    """The query at a percentile of AP: the nearest rank, among equals by index.

    Args:
        average_precisions: float64[q], NaN where a query is not scored; at least one is.
        percentile: above 0 and up to 100.
    """
    order = np.argsort(average_precisions, kind="stable")  # NaN comes last.
    scored = np.count_nonzero(~np.isnan(average_precisions))
    return int(order[math.ceil(percentile / 100 * scored) - 1])


def judge(ground_truth: GroundTruth, query: int, items: Sequence[int]) -> list[Verdict]:
    """The verdicts of the protocol Medium on items that were found for a query."""
    verdicts: dict[int, Verdict] = {}
    for verdict, kinds in (("right", MEDIUM.positive), ("junk", MEDIUM.junk)):
        for kind in kinds:
            verdicts |= dict.fromkeys(getattr(ground_truth, kind)[query].tolist(), verdict)
    return [verdicts.get(item, "wrong") for item in items]


def _find(
    network: ScoredNetwork, dataset: Dataset, chosen: Sequence[int], scales: Sequence[float]
) -> list[FoundItems]:
    queries, database = (
        extract(network.describer, photographs, scales, label=dataset.name)[0]
        for photographs in ([dataset.queries[query] for query in chosen], dataset.images)
    )
    ranked = top_k(queries, BlockedDatabase((database,)), ITEMS)
    return [
        FoundItems(
            average_precision=float(network.average_precisions[query]),
            images=[read_image(dataset.images[item].path) for item in items],
            verdicts=judge(dataset.ground_truth, query, items),
        )
        for query, items in zip(chosen, ranked.ranks.tolist(), strict=True)
    ]
