"""Writes `report.html` beside a run's `report.json`; nothing is computed again."""

import pathlib
from collections.abc import Mapping

from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Run
from senet_jax.report.beside import Rival, lists_beside, read_rival
from senet_jax.report.gallery import Gallery, make_gallery
from senet_jax.report.page import page
from senet_jax.report.results import ranked_dataset, read_run
from senet_jax.report.systems import datasets_of
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_write

PAGE = "report.html"
PICTURE_BYTES = 3 * 2**20
"""Of all pictures of a page, before they are written as text, which takes a third more."""


def write_html_report(workdir: pathlib.Path, beside: pathlib.Path | None = None) -> pathlib.Path:
    """Writes the page of a workdir's report, and gives its path.

    It says so itself where photographs or ranked lists are not there.

    Args:
        workdir: of the run.
        beside: that of another run, whose scores and lists are shown with it.

    Raises:
        UserError: no run has ended there, or the page cannot be written.
    """
    entries, run = read_run(workdir)
    rival = None if beside is None else read_rival(beside, run)
    datasets = datasets_of(entries)
    galleries = {
        name: _gallery(workdir, entries, run, name, rival, PICTURE_BYTES // len(datasets))
        for name in datasets
    }
    path = workdir / PAGE
    with atomic_write(path) as temporary:
        temporary.write_text(page(entries, run, galleries, rival), encoding="utf-8")
    return path


def _gallery(
    workdir: pathlib.Path,
    entries: Mapping[str, EvaluationReport],
    run: Run,
    name: str,
    rival: Rival | None,
    most_bytes: int,
) -> Gallery | str:
    try:
        ranked = ranked_dataset(workdir, entries, run, name)
        if rival is not None and name in rival.entries:
            ranked = lists_beside(workdir, ranked, rival)
        return make_gallery(ranked, most_bytes)
    except UserError as error:
        return str(error)
