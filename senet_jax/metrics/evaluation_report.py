"""Scores of a search on a benchmark: Easy, Medium and Hard, in all and query by query.

A workdir's `report.json` holds several of them; see `run_report`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from senet_jax.metrics.bootstrap import mean_interval
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.search.ranked_list import FoundLists
from senet_jax.system.errors import shown

CUTOFFS = (1, 5, 10)
MEASURES = ("ap", *(f"mp@{cutoff}" for cutoff in CUTOFFS))


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Every query's scores under every protocol.

    Attributes:
        query_names: the queries' images, without extension; None where a file does not tell it.
        scores: for each protocol's name float64[q 4], in [0, 1], columns as in `MEASURES`. The row
            of a query without positives, which is not scored, is NaN.
        notes: what else the file has of it, such as the cost of a re-ranking; as JSON has it.
        found: the first items of the lists that were scored. They have files of their own and are
            no part of the JSON; see `saved`.

    Raises:
        ValueError: the protocols are others, the shapes differ, a score is out of range, or a note
            has a protocol's name.
    """

    query_names: tuple[str | None, ...]
    scores: Mapping[str, np.ndarray]
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    found: FoundLists | None = None

    def __post_init__(self):
        if list(self.scores) != [protocol.name for protocol in PROTOCOLS]:
            raise ValueError(f"protocols {list(self.scores)}")
        shape = len(self.query_names), len(MEASURES)
        if any(scores.shape != shape for scores in self.scores.values()):
            raise ValueError(f"shapes {[scores.shape for scores in self.scores.values()]}")
        for name, scores in self.scores.items():
            is_score = (scores >= 0) & (scores <= 1)
            if not (is_score.all(axis=1) | np.isnan(scores).all(axis=1)).all():
                raise ValueError(f"{name}: scores outside [0, 1], or only some of a query's")
        if not self.scores.keys().isdisjoint(self.notes):
            raise ValueError(f"notes {list(self.notes)}")

    def query_count(self, protocol: str) -> int:
        """How many queries are scored under a protocol."""
        return len(self._scored(protocol))

    def means(self, protocol: str) -> np.ndarray:
        """The measures' means over the scored queries: float64[4], NaN if no query is scored."""
        scored = self._scored(protocol)
        return scored.mean(axis=0) if len(scored) else np.full(len(MEASURES), np.nan)

    def interval(self, protocol: str) -> np.ndarray:
        """The 95 % interval of a protocol's mAP: float64[2], NaN if no query is scored."""
        scored = self._scored(protocol)
        return mean_interval(scored[:, 0]) if len(scored) else np.full(2, np.nan)

    def _scored(self, protocol):
        scores = self.scores[protocol]
        return scores[~np.isnan(scores).any(axis=1)]

    def to_json(self) -> dict[str, Any]:
        """The value that stands under a dataset's name in `report.json`; null where not scored."""
        return {name: self._protocol_to_json(name) for name in self.scores} | dict(self.notes)

    @classmethod
    def from_json(cls, value: Any) -> "EvaluationReport":
        """Reads what `to_json` made; what follows from the queries' scores is computed anew.

        Raises:
            ValueError: it is something else.
        """
        protocols = [protocol.name for protocol in PROTOCOLS]
        if not isinstance(value, dict) or not value.keys() >= set(protocols):
            raise ValueError(f"there are no scores under {', '.join(protocols)} in {shown(value)}")
        read = {name: _read_protocol(value[name]) for name in protocols}
        names = read[protocols[0]][0]
        if any(other != names for other, _ in read.values()):
            raise ValueError("the protocols are of other queries")
        notes = {key: note for key, note in value.items() if key not in protocols}
        return cls(names, {name: scores for name, (_, scores) in read.items()}, notes)

    def _protocol_to_json(self, name):
        mean_average_precision, *mean_precisions = _or_null(self.means(name))
        low, high = _or_null(self.interval(name))
        return {
            "map": mean_average_precision,
            "map_ci95": None if low is None else [low, high],
            **dict(zip(MEASURES[1:], mean_precisions, strict=True)),
            "queries": self.query_count(name),
            "per_query": [
                {
                    "query": query,
                    "name": query_name,
                    **dict(zip(MEASURES, _or_null(row), strict=True)),
                }
                for query, (query_name, row) in enumerate(
                    zip(self.query_names, self.scores[name], strict=True)
                )
            ],
        }

    def table(self) -> str:
        """The means in per cent, for people, and the 95 % interval of mAP."""
        headings = ("mAP", *(f"mP@{cutoff}" for cutoff in CUTOFFS), "queries")
        lines = ["        " + "".join(f"{heading:>9}" for heading in headings) + "    mAP, 95 %"]
        for name in self.scores:
            cells = [*map(_in_per_cent, self.means(name)), str(self.query_count(name))]
            low, high = map(_in_per_cent, self.interval(name))
            interval = "-" if low == "-" else f"{low}-{high}"
            lines.append(f"{name:8}" + "".join(f"{cell:>9}" for cell in cells) + f"{interval:>13}")
        return "\n".join(lines)


def _in_per_cent(score: float) -> str:
    return "-" if np.isnan(score) else f"{100 * score:.1f}"


def _or_null(scores: np.ndarray) -> list[float | None]:
    return [None if np.isnan(score) else float(score) for score in scores]


def _read_protocol(value: Any) -> tuple[tuple[str | None, ...], np.ndarray]:
    """The queries' names and their scores float64[q 4], of a protocol's JSON."""
    per_query = value.get("per_query") if isinstance(value, dict) else None
    if not isinstance(per_query, list):
        raise ValueError(f"there is no list per_query in {shown(value)}")
    names, scores = [], np.full((len(per_query), len(MEASURES)), np.nan)
    for query, of_query in enumerate(per_query):
        if not isinstance(of_query, dict) or of_query.get("query", query) != query:
            raise ValueError(f"query {query} is {shown(of_query)}")
        name = of_query.get("name")
        if not isinstance(name, str | None):
            raise ValueError(f"the name of query {query} is {shown(name)}")
        names.append(name)
        for column, measure in enumerate(MEASURES):
            score = of_query.get(measure)
            if score is None:
                continue
            if type(score) not in (int, float) or not 0 <= score <= 1:
                raise ValueError(f"{measure} of query {query} is {shown(score)}")
            scores[query, column] = score
    return tuple(names), scores
