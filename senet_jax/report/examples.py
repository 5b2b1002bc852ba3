"""A few queries, chosen by a rule, and what was found for them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.revisitop import Dataset, Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.metrics.evaluation_report import MEASURES, EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.report.pictures import Verdict, readable
from senet_jax.search.ranked_list import FoundLists
from senet_jax.system.errors import UserError

PERCENTILES = {
    10: "A hard query: nine of ten are answered better",
    50: "A query in the middle: half of them are answered better",
    90: "An easy query: nine of ten are answered worse",
}
"""Of AP, and what a query there is called."""
ITEMS = 10
_SIDE = 256  # Pixels; small enough to be drawn fast, and larger than any tile.
(MEDIUM,) = (protocol for protocol in PROTOCOLS if protocol.name == "medium")


@dataclasses.dataclass(frozen=True, eq=False)
class FoundItems:
    """The first items that were found for a query, best first.

    Attributes:
        average_precision: of the whole ranking, in [0, 1].
        images: uint8[h w 3] BGR, one for each item.
        verdicts: one for each item.
        similarities: to the query, one for each item, NaN where it is not known; may be empty.
    """

    average_precision: float
    images: Sequence[np.ndarray]
    verdicts: Sequence[Verdict]
    similarities: Sequence[float] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """A query, and what was found for it in several ways.

    Attributes:
        caption: why it is shown.
        image: uint8[h w 3] BGR.
        box: the query's (x1, y1, x2, y2) in pixels, if it has one.
        rows: for each way what it found, from above.
    """

    caption: str
    image: np.ndarray
    box: Sequence[float] | None
    rows: Mapping[str, FoundItems]


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredLists:
    """Ranked lists of a dataset's queries, and how good they are.

    Attributes:
        label: what made them.
        average_precisions: float64[q] under Medium, NaN where a query is not scored.
        found: the lists, or their first items.
        entry: its name in the report.
    """

    label: str
    average_precisions: np.ndarray
    found: FoundLists
    entry: str = ""


def average_precisions(scores: EvaluationReport, dataset: Dataset) -> np.ndarray:
    """The APs of a dataset's queries under Medium: float64[q], NaN where a query is not scored.

    Raises:
        UserError: the scores are those of other queries.
    """
    names = dataset.ground_truth.query_names
    if len(scores.query_names) != len(names):
        raise UserError(
            f"the report has the scores of {len(scores.query_names)} queries, {dataset.name} has "
            f"{len(names)} now; put the dataset back that was evaluated"
        )
    if any(
        other not in (None, name) for other, name in zip(scores.query_names, names, strict=True)
    ):
        raise UserError(
            f"the report has the scores of other queries than {dataset.name} has now; put the "
            "dataset back that was evaluated"
        )
    return scores.scores[MEDIUM.name][:, MEASURES.index("ap")]


def find_examples(
    dataset: Dataset,
    queries: Sequence[Photograph],
    database: Sequence[Photograph],
    lists: Sequence[ScoredLists],
) -> list[Example]:
    """The queries at some percentiles of AP, and what was found for them.

    Args:
        dataset: what was searched.
        queries: the photographs of its queries, with their boxes where they were cut to them.
        database: the photographs that were ranked.
        lists: what is shown, one below the other; the APs of the first decide over the queries.

    Raises:
        UserError: no query is scored, or the photograph of a query cannot be read.
    """
    deciding = lists[0].average_precisions
    if np.isnan(deciding).all():
        raise UserError(
            f"no query of {dataset.name} is scored under Medium; choose another dataset"
        )
    names = dataset.ground_truth.query_names
    chosen: dict[int, str] = {}
    for percentile, what in PERCENTILES.items():
        chosen.setdefault(query_at_percentile(deciding, percentile), what)
    return [
        make_example(
            *(query, f"{what} ({names[query]})"),
            *(dataset.ground_truth, queries, database, lists),
        )
        for query, what in chosen.items()
    ]


def make_example(
    query: int,
    caption: str,
    ground_truth: GroundTruth,
    queries: Sequence[Photograph],
    database: Sequence[Photograph],
    lists: Sequence[ScoredLists],
) -> Example:
    """A query, and what was found for it; see `find_examples`.

    Raises:
        UserError: the photograph of the query cannot be read.
    """
    image, box = readable(queries[query], _SIDE)
    return Example(
        caption=caption,
        image=image,
        box=box,
        rows={each.label: _found(each, query, database, ground_truth) for each in lists},
    )


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
    """The verdicts of the protocol Medium on items that were found for a query.

    Of what is wrong, the look-alikes are told apart where the ground truth knows them.
    """
    verdicts: dict[int, Verdict] = {}
    if ground_truth.lookalikes is not None:
        verdicts |= dict.fromkeys(ground_truth.lookalikes[query].tolist(), "look-alike")
    for verdict, kinds in (("right", MEDIUM.positive), ("junk", MEDIUM.junk)):
        for kind in kinds:
            verdicts |= dict.fromkeys(getattr(ground_truth, kind)[query].tolist(), verdict)
    return [verdicts.get(item, "wrong") for item in items]


def _found(
    lists: ScoredLists, query: int, database: Sequence[Photograph], ground_truth: GroundTruth
) -> FoundItems:
    items = lists.found.ranked.items(query)[:ITEMS].tolist()
    return FoundItems(
        average_precision=float(lists.average_precisions[query]),
        images=[_image(database[item]) for item in items],
        verdicts=judge(ground_truth, query, items),
        similarities=lists.found.similarities[query, : len(items)].tolist(),
    )


def _image(photograph: Photograph) -> np.ndarray:
    """uint8[h w 3] BGR; black where the photograph cannot be read, as it was ranked without it."""
    try:
        return readable(photograph, _SIDE)[0]
    except UnreadableImage:
        return np.zeros((1, 1, 3), np.uint8)
