"""What several systems found in the same dataset, and the queries on which two differ most."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from senet_jax.figure.paper import apart
from senet_jax.figure.precision_recall import Curve
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.protocols import Protocol
from senet_jax.metrics.saved import has_lists
from senet_jax.report.examples import Example, make_example
from senet_jax.report.results import (
    RankedDataset,
    check_same_photographs,
    evaluated_names,
    ranked_dataset,
    read_run,
)
from senet_jax.report.systems import model_of
from senet_jax.system.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class System:
    """What a run has kept of a dataset.

    Attributes:
        workdir: of the run.
        model: the name of its network.
        entries: the scores of the run, by name.
        ranked: the dataset and the lists.
    """

    workdir: pathlib.Path
    model: str
    entries: Mapping[str, EvaluationReport]
    ranked: RankedDataset


def read_systems(workdirs: Sequence[pathlib.Path], dataset: str | None) -> list[System]:
    """What runs have kept of a dataset.

    Args:
        workdirs: of the runs, at least one.
        dataset: that all have evaluated, None for the first of the first.

    Raises:
        UserError: a workdir has no lists of the dataset, or two have searched other photographs.
    """
    systems = [_read(workdir, dataset) for workdir in workdirs]
    first, *others = systems
    for other in others:
        if dataset is None and first.ranked.dataset.name != other.ranked.dataset.name:
            raise UserError(
                f"{first.workdir} has {first.ranked.dataset.name} first, {other.workdir} "
                f"{other.ranked.dataset.name}; name with --dataset one that all have"
            )
        check_same_photographs(first.ranked, other.ranked, first.workdir, other.workdir)
    return systems


def labels(systems: Sequence[System]) -> list[str]:
    """The names of the networks; of the workdirs where some of those are the same; else letters."""
    return apart([s.model for s in systems], [s.workdir.name for s in systems])


def curves_of(systems: Sequence[System], protocol: Protocol) -> list[Curve]:
    """The search of each system; of a single one its search, and what else it has made of it."""
    several = len(systems) > 1
    chosen = [
        (system, found, label if several else found.label)
        for system, label in zip(systems, labels(systems), strict=True)
        for found in system.ranked.lists[: 1 if several else None]
    ]
    return [
        Curve(name, found.found.ranked, float(system.entries[found.entry].means(protocol.name)[0]))
        for system, found, name in chosen
    ]


def compare(a: pathlib.Path, b: pathlib.Path, dataset: str | None, count: int) -> list[Example]:
    """The queries whose APs under Medium differ most, with the lists of both systems.

    Args:
        a: the workdir of the first system.
        b: the workdir of the second.
        dataset: that both have evaluated, None for the first of the first.
        count: how many queries at most.

    Raises:
        UserError: a workdir has no lists of the dataset, the two have searched other photographs,
            or no query is scored.
    """
    systems = read_systems((a, b), dataset)
    lists = [
        dataclasses.replace(system.ranked.lists[0], label=label)
        for system, label in zip(systems, labels(systems), strict=True)
    ]
    first = systems[0].ranked
    truth = first.dataset.ground_truth
    queries = most_different(lists[0].average_precisions, lists[1].average_precisions, count)
    if not queries:
        raise UserError(
            f"no query of {first.dataset.name} is scored under Medium; choose another dataset"
        )
    return [
        make_example(query, truth.query_names[query], truth, first.queries, first.database, lists)
        for query in queries
    ]


def most_different(first: np.ndarray, second: np.ndarray, count: int) -> list[int]:
    """The queries whose scores differ most, the most different first, among equals by index.

    Args:
        first: float64[q], NaN where a query is not scored.
        second: the same of another system.
        count: how many at most.
    """
    differences = np.abs(first - second)
    order = np.argsort(-differences, kind="stable")  # NaN comes last.
    return order[: min(count, np.count_nonzero(~np.isnan(differences)))].tolist()


def _read(workdir: pathlib.Path, dataset: str | None) -> System:
    entries, run = read_run(workdir)
    if dataset is None:
        evaluated = evaluated_names(entries, run)
        kept = [name for name in evaluated if has_lists(name, run.files_crc32)]
        if not kept and not evaluated:
            raise UserError(f"{workdir} has no scores of a dataset; evaluate one")
        dataset = (kept or evaluated)[0]
    return System(workdir, model_of(run), entries, ranked_dataset(workdir, entries, run, dataset))
