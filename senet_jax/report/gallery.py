"""The queries that a page shows in pictures: the worst ones first, then the best."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.revisitop import Photograph
from senet_jax.report.examples import ITEMS, ScoredLists, judge
from senet_jax.report.pictures import Thumbnail, Verdict, fitted_query, readable, thumbnail
from senet_jax.report.results import RankedDataset
from senet_jax.system.errors import UserError

WORST, BEST = 10, 3
"""How many queries are shown at most."""
_QUERY_SIDE, _ITEM_SIDE = 320, 144  # Pixels; a page shows them smaller, sharp screens do not.


@dataclasses.dataclass(frozen=True)
class ShownItem:
    """An item of a ranked list.

    Attributes:
        name: of its file.
        verdict: of the protocol Medium.
        similarity: to the query, NaN where it is not known.
        picture: None where the photograph cannot be read, or the page would become too large.
    """

    name: str
    verdict: Verdict
    similarity: float
    picture: Thumbnail | None


@dataclasses.dataclass(frozen=True)
class ShownList:
    """The first items that were found for a query.

    Attributes:
        label: what made the list.
        average_precision: of the whole ranking under Medium, in [0, 1].
        first_right: the rank of the first item that is right, from 1, junk not counted; None where
            none that is kept of the list is.
        items: best first.
    """

    label: str
    average_precision: float
    first_right: int | None
    items: Sequence[ShownItem]


@dataclasses.dataclass(frozen=True)
class ShownQuery:
    """A query, and what was found for it in several ways.

    Attributes:
        name: of the query.
        picture: with the query's box, if it has one; None as in `ShownItem`.
        lists: the first is the one that the others are compared with.
    """

    name: str
    picture: Thumbnail | None
    lists: Sequence[ShownList]


@dataclasses.dataclass(frozen=True)
class Gallery:
    """The queries of a dataset that are shown.

    Attributes:
        worst: those of the lowest AP under Medium, the lowest first.
        best: of the others those of the highest AP, the highest first.
    """

    worst: Sequence[ShownQuery]
    best: Sequence[ShownQuery]


class _Thumbnails:
    """Reads photographs and makes them small, up to a number of bytes in all."""

    def __init__(self, most_bytes: int):
        self._left = most_bytes
        self._known: dict[tuple[Photograph, int], Thumbnail | None] = {}

    def __call__(self, photograph: Photograph, side: int) -> Thumbnail | None:
        if self._left <= 0:
            return None
        key = photograph, side
        if key not in self._known:
            self._known[key] = _thumbnail(photograph, side)
        picture = self._known[key]
        self._left -= 0 if picture is None else len(picture.jpeg)
        return picture


def _thumbnail(photograph: Photograph, side: int) -> Thumbnail | None:
    """A photograph with its box, None where it cannot be read."""
    try:
        return thumbnail(fitted_query(*readable(photograph, side), side))
    except UserError:
        return None


def make_gallery(shown: RankedDataset, most_bytes: int) -> Gallery:
    """Reads the photographs of the queries that are shown, and of what was found for them.

    Args:
        shown: the lists; the APs of the first of them decide over the queries.
        most_bytes: of all pictures; those that come after that are left out.
    """
    worst, best = choose(shown.lists[0].average_precisions)
    pictures = _Thumbnails(most_bytes)
    queries = [_query(shown, query, pictures) for query in (*worst, *best)]
    return Gallery(queries[: len(worst)], queries[len(worst) :])


def choose(average_precisions: np.ndarray) -> tuple[list[int], list[int]]:
    """The queries of the lowest APs, the lowest first, and of the highest, the highest first.

    Args:
        average_precisions: float64[q], NaN where a query is not scored.
    """
    order = np.argsort(average_precisions, kind="stable")  # NaN comes last.
    scored = order[: np.count_nonzero(~np.isnan(average_precisions))].tolist()
    return scored[:WORST], scored[WORST:][: -BEST - 1 : -1]


def rank_of_first_right(verdicts: Sequence[Verdict]) -> int | None:
    """The rank of the first item that is right, from 1, when junk is left out."""
    counted = [verdict for verdict in verdicts if verdict != "junk"]
    return counted.index("right") + 1 if "right" in counted else None


def _query(shown: RankedDataset, query: int, pictures: _Thumbnails) -> ShownQuery:
    truth = shown.dataset.ground_truth
    return ShownQuery(
        name=truth.query_names[query],
        picture=pictures(shown.queries[query], _QUERY_SIDE),
        lists=[_list(each, query, shown.database, truth, pictures) for each in shown.lists],
    )


def _list(
    lists: ScoredLists,
    query: int,
    database: Sequence[Photograph],
    truth: GroundTruth,
    pictures: _Thumbnails,
) -> ShownList:
    items = lists.found.ranked.items(query).tolist()
    similarities = lists.found.similarities[query, : len(items[:ITEMS])].tolist()
    verdicts = judge(truth, query, items)
    return ShownList(
        label=lists.label,
        average_precision=float(lists.average_precisions[query]),
        first_right=rank_of_first_right(verdicts),
        items=[
            ShownItem(
                *(database[item].file_name, verdict, similarity),
                picture=pictures(database[item], _ITEM_SIDE),
            )
            for item, verdict, similarity in zip(
                items[:ITEMS], verdicts[:ITEMS], similarities, strict=True
            )
        ],
    )
