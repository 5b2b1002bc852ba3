"""Evaluations of a run's weights, as commands of a study, and what they leave."""

import functools
import pathlib
from collections.abc import Iterable, Sequence

from senet_jax.data.revisitop import ground_truth_files
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Report
from senet_jax.metrics.saved import REPORT, read_report
from senet_jax.study.processes import Command
from senet_jax.study.results import Scores, entry_of, scores_of
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import read_json


def evaluation(
    workdir: pathlib.Path,
    model: str,
    weights: pathlib.Path,
    datasets: Sequence[str],
    flags: Sequence[str],
    method: str = "",
) -> Command:
    """Evaluates weights on datasets, or re-ranks what is found in them.

    Args:
        workdir: of the evaluation; re-rankings of the same descriptors share it.
        model: name of the network.
        weights: their folder.
        datasets: names.
        flags: where they are, and how they are described.
        method: of re-ranking, as `methods.method_text` writes it; empty for none.
    """
    entry = entry_of(datasets[-1], method)
    evaluate = (
        f"--config=evaluate:{model}",
        f"--workdir={workdir}",
        f"--config.weights={weights}",
        f"--config.datasets={','.join(datasets)}",
        *[f"--config.rerank={method}"] * bool(method),
        *flags,
    )
    return Command(("main", *evaluate), lambda: entry in scores_in(workdir, [entry]))


def tuning(
    on: Sequence[pathlib.Path], reported: Sequence[pathlib.Path], to: pathlib.Path
) -> Command:
    """Chooses the settings of query expansion on one dataset, and reports them on another.

    Args:
        on: what `files_of` gives of the first.
        reported: what it gives of the second.
        to: the file that is written.
    """
    files = {"--on": on, "--report": reported}
    flags = [f"{flag}={','.join(map(str, paths))}" for flag, paths in files.items()]
    return Command(("rerank.tune", *flags, f"--json={to}"), to.is_file)


def files_of(
    data_root: pathlib.Path, dataset: str, workdir: pathlib.Path
) -> tuple[pathlib.Path, ...]:
    """The ground truth of a dataset, and its descriptors in an evaluation's workdir."""
    [truth] = ground_truth_files(data_root, dataset)
    described = workdir / "descriptors" / dataset
    return truth, described / "query.npy", described / "database.npy"


def scores_in(workdir: pathlib.Path, entries: Iterable[str]) -> dict[str, Scores]:
    """The scores of those entries that an evaluation has made so far."""
    report = report_at(workdir / REPORT)
    found = {} if report is None else report.entries
    return {name: scores_of(found[name]) for name in entries if name in found}


def tuned(path: pathlib.Path) -> tuple[str, Scores]:
    """The method that was chosen by `tuning`, and its scores on the other dataset.

    Raises:
        UserError: the file is something else.
    """
    value = read_json(path)
    try:
        scores = scores_of(EvaluationReport.from_json(value["report"]["after"]))
        return str(value["chosen"]["method"]), scores
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} holds no tuning: {reason(error)}; remove it and run the study again"
        ) from error


def report_at(path: pathlib.Path) -> Report | None:
    """A report, None where there is none yet."""
    return _report_of(path, path.stat().st_mtime_ns) if path.is_file() else None


@functools.cache
def _report_of(path: pathlib.Path, changed: int) -> Report:
    """A report as it was at a moment; a study reads it after each of its runs."""
    return read_report(path)
