"""What a study leaves for people: tables in four forms, figures, a report of several studies."""

import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from matplotlib.figure import Figure

from senet_jax.report.figure import save_png
from senet_jax.study import comparisons, picture, plan, system_tables
from senet_jax.study.results import HEADS, LANDMARK_HEADS, TRAININGS, Results
from senet_jax.study.table import FORMATS, Table, markdown
from senet_jax.system.files import atomic_write

_COMPARISONS = {
    TRAININGS: plan.COMPARISONS,
    HEADS: plan.HEAD_COMPARISONS,
    LANDMARK_HEADS: plan.LANDMARK_COMPARISONS,
}
_MAIN, _CAPTION = "medium", "Medium mAP x 100"
_UNSAFE = re.compile(r"[^\w-]+")


def parts_of(results: Results) -> Iterator[tuple[str, list[Table], Figure | None]]:
    """The parts of a study: a name for files, tables, and a figure where there is one.

    A comparison is there once each of its rows has a run.
    """
    if results.kind in _COMPARISONS:
        for each in _COMPARISONS[results.kind].values():
            if comparisons.is_complete(each, results):
                tables = comparisons.tables_of(each, results)
                yield each.name, tables, picture.draw_comparison(each, results)
        return
    if len(results.about["datasets"]) > 1:
        yield "all.systems", [system_tables.table_of_all(results)], None
    tables = system_tables.tables_of(results)
    for dataset, table in zip(results.about["datasets"], tables, strict=True):
        rows = [
            (label, found)
            for label, run, entry in system_tables.rows_of(dataset, results)
            if (found := system_tables.estimate_of(run, entry, _MAIN, results)) is not None
        ]
        yield _UNSAFE.sub("_", dataset), [table], picture.draw_rows(dataset, _CAPTION, rows)


def write_parts(results: Results, folder: pathlib.Path) -> list[Table]:
    """Writes every table and figure of a study into a folder; gives the tables."""
    written = []
    for name, tables, figure in parts_of(results):
        for ending, to_text in FORMATS.items():
            with atomic_write(folder / f"{name}{ending}") as temporary:
                temporary.write_text("\n".join(map(to_text, tables)), encoding="utf-8")
        if figure is not None:
            save_png(figure, folder / f"{name}.png")
        written += tables
    return written


def write_report(studies: dict[str, Results], path: pathlib.Path) -> None:
    """Writes one Markdown file of several studies, with their figures beside it.

    Args:
        studies: by their titles.
        path: of the file; the figures are in the folder of its name without its ending.
    """
    lines = ["# Results", "", "Made by `senet-jax study report ...` from the results of runs.", ""]
    for title, results in studies.items():
        lines += [f"## {markdown(title)}", "", *_about(results)]
        for name, tables, figure in parts_of(results):
            lines += [table.to_markdown() for table in tables]
            if figure is None:
                continue
            file = path.with_suffix("") / f"{_UNSAFE.sub('_', title)}-{name}.png"
            save_png(figure, file)
            lines += [f"![{name}]({file.relative_to(path.parent).as_posix()})", ""]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _about(results: Results) -> list[str]:
    seeds = {run.seed for run in results.runs}
    trained = [run for run in results.runs if run.name != plan.TRUNK_ALONE]
    runs = f"{len(trained)} trainings, of {len(seeds)} seeds."
    if results.kind in (TRAININGS, LANDMARK_HEADS):
        told = _named(results.about["world"]["world"])
        place = plan.WORLD if results.kind == TRAININGS else plan.LANDMARKS
        return [f"{runs} The world: {told}. {_protocol(place)}", ""]
    if results.kind == HEADS:
        told = _named(results.about["photographs"])
        return [f"{runs} To learn from: {told}. {_protocol(plan.PHOTOGRAPHS)}", ""]
    return []


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{markdown(key.replace('_', ' '))} {value}" for key, value in values.items())


def _protocol(place: plan.Place) -> str:
    return f"The protocol stands in `{place.config}`."
