"""The results of a study: every run's AP of every query, small enough to be kept for good.

As JSON the APs of a run are a text of integers, in hundredths of a per cent. Nothing in it depends
on when and where a run was made, or how often it was interrupted.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from senet_jax.metrics.evaluation_report import MEASURES, EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.study.plan import BLIND
from senet_jax.system.checksummed import read_sealed_json, write_sealed_json
from senet_jax.system.errors import UserError, reason

TRAININGS, HEADS, LANDMARK_HEADS, SYSTEMS = "trainings", "heads", "landmark_heads", "systems"
_KINDS = (TRAININGS, HEADS, LANDMARK_HEADS, SYSTEMS)
_LEVELS = 10_000
_NOT_SCORED = "-"
_AP = MEASURES.index("ap")

Scores = Mapping[str, np.ndarray]
"""For each protocol float64[q], the AP of every query, NaN where it is not scored."""


@dataclasses.dataclass(frozen=True, eq=False)
class RunScores:
    """What came out of a run.

    Attributes:
        name: the variant or the system.
        seed: of the training, 0 where there is none.
        entries: the scores by the name of the dataset, or `NAME+METHOD:KIND`.
        notes: what else is known of it, as JSON has it.
    """

    name: str
    seed: int
    entries: Mapping[str, Scores]
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """All runs of a study that have ended.

    Attributes:
        kind: `TRAININGS`, of networks in the generated world, `HEADS`, on real photographs,
            `LANDMARK_HEADS`, in the generated world, or `SYSTEMS`.
        about: how the runs were set, as JSON has it.
        runs: in the order of the study.
    """

    kind: str
    about: Mapping[str, Any]
    runs: tuple[RunScores, ...]

    def scores(self, name: str, entry: str, protocol: str) -> dict[int, np.ndarray]:
        """For each seed of a variant, float64[q]: the AP of the queries that are scored."""
        found = {
            run.seed: run.entries[entry][protocol]
            for run in self.runs
            if run.name == name and entry in run.entries
        }
        return {seed: values[~np.isnan(values)] for seed, values in found.items()}

    def write(self, path: pathlib.Path) -> None:
        """Writes the JSON; see `files.atomic_write`."""
        runs = [
            {
                "name": run.name,
                "seed": run.seed,
                "notes": dict(run.notes),
                "entries": {
                    entry: {protocol: _to_levels(values) for protocol, values in scores.items()}
                    for entry, scores in run.entries.items()
                },
            }
            for run in self.runs
        ]
        write_sealed_json(path, {"kind": self.kind, "about": dict(self.about), "runs": runs})


def among(entry: str, distractors: str) -> str:
    """What an entry is called, and its dataset, where its database holds distractors as well."""
    return f"{distractors}/{entry}" if distractors else entry


def entry_of(dataset: str, method: str = "", kind: str = BLIND) -> str:
    """What the scores of a dataset are called, by the search alone or by a re-ranking.

    Args:
        dataset: its name.
        method: of re-ranking, empty for the search alone.
        kind: `BLIND`, as the paper's query expansion, or `PROTOCOL`.
    """
    return f"{dataset}+{method}:{kind}" if method else dataset


def scores_of(report: EvaluationReport) -> Scores:
    """The APs of a report, as exactly as they are kept."""
    return {
        protocol.name: np.round(report.scores[protocol.name][:, _AP] * _LEVELS) / _LEVELS
        for protocol in PROTOCOLS
    }


def read_results(path: pathlib.Path) -> Results:
    """Reads what `Results.write` wrote.

    Raises:
        UserError: the file is missing or is something else.
    """
    mend = "give the results.json of a study"
    value = read_sealed_json(path, mend)
    try:
        runs = tuple(_run(each) for each in value["runs"])
        if value["kind"] not in _KINDS or not isinstance(value["about"], dict):
            raise ValueError("it is of another kind")
        _check_alike(runs)
        return Results(value["kind"], value["about"], runs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} holds no results: {reason(error)}; {mend}") from error


def _run(value: Any) -> RunScores:
    name, seed, notes = value["name"], value["seed"], value["notes"]
    if not isinstance(name, str) or type(seed) is not int or not isinstance(notes, dict):
        raise ValueError("a run has no name, seed or notes")
    entries = {
        entry: {protocol.name: _from_levels(scores[protocol.name]) for protocol in PROTOCOLS}
        for entry, scores in value["entries"].items()
    }
    return RunScores(name, seed, entries, notes)


def _check_alike(runs: tuple[RunScores, ...]) -> None:
    """Raises a `ValueError` where runs score other queries under the same name."""
    seen: dict[tuple[str, str], np.ndarray] = {}
    for run in runs:
        for entry, scores in run.entries.items():
            for protocol, values in scores.items():
                scored = ~np.isnan(values)
                if not np.array_equal(seen.setdefault((entry, protocol), scored), scored):
                    raise ValueError(f"the runs score other queries of {entry}")


def _to_levels(values: np.ndarray) -> str:
    """`[0.5, nan]` -> `5000 -`."""
    return " ".join(
        _NOT_SCORED if np.isnan(value) else str(round(float(value) * _LEVELS)) for value in values
    )


def _from_levels(text: str) -> np.ndarray:
    levels = np.array([np.nan if word == _NOT_SCORED else int(word) for word in text.split()])
    if ((levels < 0) | (levels > _LEVELS)).any():
        raise ValueError("an AP is out of range")
    return levels / _LEVELS
