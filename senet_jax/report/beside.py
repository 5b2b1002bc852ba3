"""A run beside another one: scores and lists of what both have evaluated."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from senet_jax.metrics.bootstrap import mean_interval
from senet_jax.metrics.evaluation_report import MEASURES, EvaluationReport
from senet_jax.metrics.run_report import Run
from senet_jax.report.examples import MEDIUM
from senet_jax.report.results import (
    RankedDataset,
    check_same_photographs,
    ranked_dataset,
    read_run,
)
from senet_jax.report.systems import datasets_of, model_of
from senet_jax.system.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Rival:
    """Another run.

    Attributes:
        workdir: of it.
        label: what it is called: its network, or its workdir where the networks have one name.
        entries: its scores by name.
        run: how they came about.
    """

    workdir: pathlib.Path
    label: str
    entries: Mapping[str, EvaluationReport]
    run: Run

    def entry(self, dataset: str) -> str:
        """The name of its scores of a dataset among those of the run that it stands beside."""
        return f"{dataset}+{self.label}"


def read_rival(workdir: pathlib.Path, run: Run) -> Rival:
    """Reads the run that is shown beside another one.

    Raises:
        UserError: no run has ended there.
    """
    entries, rivals = read_run(workdir)
    model = model_of(rivals)
    label = model if model and model != model_of(run) else workdir.resolve().name
    return Rival(workdir, label, entries, rivals)


def entries_beside(
    entries: Mapping[str, EvaluationReport], rival: Rival
) -> dict[str, EvaluationReport]:
    """The scores of a run, after each dataset's own those of the rival."""
    found: dict[str, EvaluationReport] = {}
    for dataset, names in datasets_of(entries).items():
        found[dataset] = entries[dataset]
        if dataset in rival.entries:
            found[rival.entry(dataset)] = rival.entries[dataset]
        found |= {name: entries[name] for name in names[1:]}
    return found


def lists_beside(workdir: pathlib.Path, ranked: RankedDataset, rival: Rival) -> RankedDataset:
    """The lists of a run, after its own those of the rival.

    Args:
        workdir: of the run.
        ranked: its lists of a dataset.
        rival: the other run.

    Raises:
        UserError: the rival has none of the dataset, or has searched other photographs.
    """
    other = ranked_dataset(rival.workdir, rival.entries, rival.run, ranked.dataset.name)
    check_same_photographs(ranked, other, workdir, rival.workdir)
    first, *rest = ranked.lists
    theirs = dataclasses.replace(other.lists[0], label=rival.label)
    return dataclasses.replace(ranked, lists=[first, theirs, *rest])


def difference(ours: EvaluationReport, theirs: EvaluationReport) -> str:
    """The difference of two mAPs under Medium with its paired interval, in a sentence.

    Raises:
        UserError: the two have scored other queries.
    """
    one, two = (each.scores[MEDIUM.name][:, MEASURES.index("ap")] for each in (ours, theirs))
    if ours.query_names != theirs.query_names or (np.isnan(one) != np.isnan(two)).any():
        raise UserError("the two runs have scored other queries; evaluate both on the same dataset")
    differences = 100 * (one - two)[~np.isnan(one)]
    if not differences.size:
        return "no query is scored under Medium."
    low, high = mean_interval(differences)
    said = f"{differences.mean():+.1f} points of mAP under Medium ({low:+.1f} to {high:+.1f})"
    verdict = "so these queries do not tell the two apart" if low <= 0 <= high else "so they differ"
    return f"{said}, {verdict}."


def different_settings(run: Run, rival: Rival) -> list[str]:
    """The settings that two runs do not share, by their keys; workdirs are none."""
    ours, theirs = (_flat(each.config) for each in (run, rival.run))
    return sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value)
    return found
