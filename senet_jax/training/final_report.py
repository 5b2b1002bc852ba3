"""What a training leaves of its evaluations: ranked lists, and at the end `report.json`.

The scores and the lists of a dataset before the first step stand under `NAME_untrained`.
"""

import importlib.metadata
import pathlib
from collections.abc import Mapping
from typing import Any

from senet_jax import __version__
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Report, Run
from senet_jax.metrics.saved import REPORT, checksums_of_lists, save_lists, write_report

UNTRAINED = "_untrained"
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")


def keep_lists(workdir: pathlib.Path, step: int, reports: Mapping[str, EvaluationReport]) -> None:
    """Writes the ranked lists of an evaluation, over those of the one before.

    Args:
        workdir: of the training.
        step: at which the datasets were evaluated.
        reports: by the datasets' names.
    """
    for name, report in reports.items():
        if report.found is not None:
            save_lists(workdir, _entry(name, step), report.found)


def write_final_report(
    workdir: pathlib.Path,
    *,
    settings: Mapping[str, Any],
    weights_sha256: str,
    training_set: str,
    step: int,
    classes: int,
    seconds: float,
    reports: Mapping[str, Mapping[str, Any]],
) -> None:
    """Writes `report.json`.

    Args:
        workdir: of the training.
        settings: of the training.
        weights_sha256: of the weights that it made.
        training_set: on which these were trained, for people.
        step: its last one.
        classes: how many classes there were.
        seconds: what the training took.
        reports: for each evaluated step, as a string, and each dataset its scores as JSON.
    """
    entries = {
        _entry(name, of_step): EvaluationReport.from_json(scores)
        for of_step in (step, 0)
        for name, scores in reports.get(str(of_step), {}).items()
    }
    run = Run(
        config=settings,
        weights_sha256=weights_sha256,
        weights={"training_set": training_set},
        counts={"steps": step, "classes": classes},
        seconds={"training": seconds},
        versions={"senet_jax": __version__}
        | {library: importlib.metadata.version(library) for library in LIBRARIES},
        files_crc32=checksums_of_lists(workdir, entries),
    )
    write_report(workdir / REPORT, Report(entries, run))


def _entry(dataset: str, step: int) -> str:
    return dataset if step else f"{dataset}{UNTRAINED}"
