"""What a workdir has to draw ranked lists of: of a training or of an evaluation."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from senet_jax.data.revisitop import Dataset, Photograph, load_dataset
from senet_jax.features.origin import sha256_of_list
from senet_jax.jobs.evaluation_plan import EvaluationPlan
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Run
from senet_jax.metrics.saved import REPORT, has_lists, load_lists, read_report
from senet_jax.report.examples import ScoredLists, average_precisions
from senet_jax.report.systems import is_training, label_of
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.training.final_report import UNTRAINED

BLIND = ":blind"


@dataclasses.dataclass(frozen=True, eq=False)
class RankedDataset:
    """A dataset, and the lists that a run has kept of it.

    Attributes:
        dataset: what was searched.
        queries: the photographs of its queries, as they were described.
        database: the photographs that were ranked.
        lists: at least one; the first is the one that the others are compared with.
    """

    dataset: Dataset
    queries: tuple[Photograph, ...]
    database: tuple[Photograph, ...]
    lists: list[ScoredLists]


def read_run(workdir: pathlib.Path) -> tuple[Mapping[str, EvaluationReport], Run]:
    """The scores that stand in a workdir, and how they came about.

    Raises:
        UserError: no run has ended there.
    """
    path = workdir / REPORT
    if not path.is_file():
        raise UserError(
            f"{workdir} has no {REPORT}, so no training or evaluation ended there; let one end "
            f"with python -m senet_jax.main --config=... --workdir={workdir}"
        )
    report = read_report(path, "give the workdir of a training or an evaluation")
    if report.run is None:
        raise UserError(f"{path} tells of no run; give the workdir of a training or an evaluation")
    return report.entries, report.run


def evaluated_names(entries: Mapping[str, EvaluationReport], run: Run) -> list[str]:
    """The datasets that were evaluated; of a training those before and after."""
    if is_training(run):
        return [name for name in entries if f"{name}{UNTRAINED}" in entries]
    return [name for name in entries if name in run.counts]


def ranked_dataset(
    workdir: pathlib.Path, entries: Mapping[str, EvaluationReport], run: Run, name: str
) -> RankedDataset:
    """A dataset with the lists that a run has kept of it.

    Of a training they are those of the trained network, then those of the one that it started from;
    of an evaluation those of the search, then those of its re-rankings, as a user would have them.

    Raises:
        UserError: the report has no scores or no lists of it, or the dataset is not there any more.
    """
    if name not in entries:
        raise UserError(
            f"the report has no scores of {shown(name)}, but of "
            f"{', '.join(map(shown, sorted(entries)))}; choose one with --dataset"
        )
    if not has_lists(name, run.files_crc32):
        raise UserError(
            f"{workdir / REPORT} tells of no ranked lists of {shown(name)}, for an earlier version "
            "of senet_jax kept none; run the same command again, a training in another workdir"
        )
    if is_training(run):
        labels = {entry: label_of(entry, name, run) for entry in (name, f"{name}{UNTRAINED}")}
        dataset = _configured(lambda: load_dataset(run.config["evaluation"]["data_root"], name))
        queries, database = dataset.queries, dataset.images
    else:
        re_ranked = [n for n in entries if n.startswith(f"{name}+") and n.endswith(BLIND)]
        labels = {entry: label_of(entry, name, run) for entry in (name, *re_ranked)}
        labels = {entry: label.removesuffix(BLIND) for entry, label in labels.items()}
        plan = _configured(lambda: EvaluationPlan.from_config({**run.config, "datasets": name}))
        [dataset] = plan.datasets
        _check_lists(plan, dataset, run)
        queries, database = plan.queries(dataset), plan.searched(dataset)
    lists = [
        ScoredLists(
            label,
            average_precisions(entries[entry], dataset),
            load_lists(workdir, entry, run.files_crc32, len(database)),
            entry,
        )
        for entry, label in labels.items()
        if entry in entries and has_lists(entry, run.files_crc32)
    ]
    return RankedDataset(dataset, queries, database, lists)


def check_same_photographs(
    first: RankedDataset, second: RankedDataset, a: pathlib.Path, b: pathlib.Path
) -> None:
    """Checks that the runs of two workdirs have searched the same photographs.

    Raises:
        UserError: they have not.
    """
    for part in ("queries", "database"):
        one, other = ([p.file_name for p in getattr(each, part)] for each in (first, second))
        if one != other:
            raise UserError(
                f"the {part} of {a} and {b} are not the same photographs; evaluate both systems on "
                "the same dataset, with the same distractors"
            )


def _check_lists(plan: EvaluationPlan, dataset: Dataset, run: Run) -> None:
    for planned in (plan.query_list(dataset), *plan.database_lists(dataset)):
        now = sha256_of_list(planned.image_names, planned.photographs)
        if run.lists_sha256.get(planned.label, now) != now:
            raise UserError(
                f"the photographs of {planned.label} are not those that were evaluated; put the "
                "dataset back, or evaluate again"
            )


def _configured(load: Any) -> Any:
    """What a report's config leads to."""
    try:
        return load()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the config in {REPORT} is none of this version of senet_jax ({reason(error)}); run "
            "the command again that made it"
        ) from error
