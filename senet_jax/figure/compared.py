"""The queries on which two systems differ most, and what each of them found."""

import dataclasses
import pathlib

import numpy as np

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
    (first, model), (second, other_model) = (_read(workdir, dataset) for workdir in (a, b))
    if dataset is None and first.dataset.name != second.dataset.name:
        raise UserError(
            f"{a} has {first.dataset.name} first, {b} {second.dataset.name}; name with --dataset "
            "one that both have"
        )
    check_same_photographs(first, second, a, b)
    labels = _labels((model, other_model), (a, b))
    lists = [
        dataclasses.replace(each.lists[0], label=label)
        for each, label in zip((first, second), labels, strict=True)
    ]
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


def _read(workdir: pathlib.Path, dataset: str | None) -> tuple[RankedDataset, str]:
    """A dataset with the lists that a run has kept, and the name of its network."""
    entries, run = read_run(workdir)
    if dataset is None:
        evaluated = evaluated_names(entries, run)
        kept = [name for name in evaluated if has_lists(name, run.files_crc32)]
        if not kept and not evaluated:
            raise UserError(f"{workdir} has no scores of a dataset; evaluate one")
        dataset = (kept or evaluated)[0]
    return ranked_dataset(workdir, entries, run, dataset), model_of(run)


def _labels(models: tuple[str, str], workdirs: tuple[pathlib.Path, pathlib.Path]) -> list[str]:
    """The names of the networks; of the workdirs where those are the same; else A and B."""
    for names in (models, [workdir.name for workdir in workdirs]):
        if all(names) and len(set(names)) == 2:
            return list(names)
    return ["A", "B"]
