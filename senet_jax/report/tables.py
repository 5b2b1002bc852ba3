"""The tables of a page: the scores of every system, what they cost, and query by query."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.metrics.evaluation_report import CUTOFFS, MEASURES, EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.run_report import Run
from senet_jax.report.examples import MEDIUM
from senet_jax.report.markup import (
    MISSING,
    Cell,
    Markup,
    Row,
    number,
    per_cent,
    score_cell,
    table,
)
from senet_jax.report.systems import figure_of, label_of
from senet_jax.system.errors import shown

MOST_QUERIES = 1000
"""How many rows the table of the queries has at most."""
_TITLES = [protocol.name.capitalize() for protocol in PROTOCOLS]
_AP = MEASURES.index("ap")


def scores_table(dataset: str, reports: Mapping[str, EvaluationReport], run: Run) -> Markup:
    """The mAP of every system under each protocol, and what the paper tells of the same one."""
    rows = []
    for entry, report in reports.items():
        rows.append(Row([Cell(label_of(entry, dataset, run)), *_mean_cells(report), _time(report)]))
        figure = figure_of(entry, dataset, run)
        if figure is not None:
            cells = [Cell(MISSING), Cell(f"{figure.medium:.1f}"), Cell(f"{figure.hard:.1f}")]
            heading = Cell(figure.system, f"the paper, Table {figure.table}")
            rows.append(Row([heading, *cells, Cell(MISSING)], quoted=True))
    caption = f"{dataset}: mAP times 100, with its 95 % interval over the queries"
    return table(caption, ["System", *_TITLES, "Re-ranking a query"], rows)


def precision_table(dataset: str, reports: Mapping[str, EvaluationReport], run: Run) -> Markup:
    """The mean precision among the first items."""
    columns = [f"{title} mP@{cutoff}" for title in _TITLES for cutoff in CUTOFFS]
    rows = [
        Row(
            [
                Cell(label_of(entry, dataset, run)),
                *(score_cell(mean) for p in PROTOCOLS for mean in report.means(p.name)[_AP + 1 :]),
            ]
        )
        for entry, report in reports.items()
    ]
    caption = f"{dataset}: mean precision among the first items, times 100"
    return table(caption, ["System", *columns], rows)


def cost_table(dataset: str, reports: Mapping[str, EvaluationReport], run: Run) -> Markup | None:
    """What every re-ranking took, None where there is none."""
    columns = ["Database, once", "A query", "Pairs a query", "of them computed", "Peak memory"]
    rows = []
    for entry, report in reports.items():
        cost = report.notes.get("cost")
        if isinstance(cost, Mapping):
            settings = report.notes.get("settings")
            note = _settings(settings) if isinstance(settings, Mapping) else ""
            rows.append(Row([Cell(label_of(entry, dataset, run), note), *_cost_cells(cost)]))
    caption = f"{dataset}: what re-ranking took"
    return table(caption, ["Re-ranking", *columns], rows) if rows else None


def methods_table(dataset: str, reports: Mapping[str, EvaluationReport], run: Run) -> Markup | None:
    """Every re-ranking method with all of its settings, None where a report tells none."""
    rows: dict[tuple[str, ...], Row] = {}
    for entry, report in reports.items():
        methods = report.notes.get("methods")
        for told in methods if isinstance(methods, list) else []:
            if isinstance(told, Mapping) and isinstance(told.get("settings"), Mapping):
                name, ties = (_word(told.get(key)) for key in ("method", "ties"))
                reranking = label_of(entry, dataset, run).rpartition(":")[0]
                cells = name, _settings(told["settings"]), ties
                rows.setdefault((reranking, *cells), Row([Cell(reranking), *map(Cell, cells)]))
    caption = (
        f"{dataset}: how re-ranking was set; in a search the lower index is first among equals"
    )
    columns = ["Re-ranking", "Method", "Settings", "Among equals"]
    return table(caption, columns, rows.values()) if rows else None


def _word(value: object) -> str:
    return value if isinstance(value, str) else MISSING


def queries_table(dataset: str, reports: Mapping[str, EvaluationReport], run: Run) -> Markup:
    """The AP of every query: of the first system under each protocol, of others under Medium."""
    first, *others = reports.values()
    columns = [f"{title} AP" for title in _TITLES]
    columns += [f"{label_of(entry, dataset, run)}, Medium" for entry in [*reports][1:]]
    medium = first.scores[MEDIUM.name][:, _AP]
    order = np.argsort(medium, kind="stable").tolist()  # Those without a score come last.
    rows = [
        Row(
            [
                Cell(query_name(first.query_names, query)),
                *(score_cell(first.scores[p.name][query, _AP]) for p in PROTOCOLS),
                *(_score_of(other, query) for other in others),
            ]
        )
        for query in order[:MOST_QUERIES]
    ]
    caption = f"{dataset}: the AP of every query times 100, failures first"
    if len(order) > MOST_QUERIES:
        caption = f"{dataset}: the AP, times 100, of the {MOST_QUERIES:,} worst queries"
    return table(caption, ["Query", *columns], rows, sorted_by=1 + PROTOCOLS.index(MEDIUM))


def query_name(names: Sequence[str | None], query: int) -> str:
    """The name of a query, its number where it has none."""
    name = names[query]
    return f"query {query}" if name is None else name


def _mean_cells(report: EvaluationReport) -> list[Cell]:
    cells = []
    for protocol in PROTOCOLS:
        low, high = map(per_cent, report.interval(protocol.name))
        note = "" if low == MISSING else f"{low} to {high}"
        cells.append(score_cell(report.means(protocol.name)[_AP], note))
    return cells


def _time(report: EvaluationReport) -> Cell:
    cost = report.notes.get("cost")
    return Cell(_seconds(cost.get("seconds_per_query")) if isinstance(cost, Mapping) else MISSING)


def _cost_cells(cost: Mapping[str, Any]) -> list[Cell]:
    peak = cost.get("peak_memory_bytes")
    gigabytes = peak / 1e9 if isinstance(peak, int | float) else None
    return [
        Cell(_seconds(cost.get("database_seconds"))),
        Cell(_seconds(cost.get("seconds_per_query"))),
        Cell(number(cost.get("pairs_per_query"), ",.1f")),
        Cell(number(cost.get("computed_pairs_per_query"), ",.1f")),
        Cell(number(gigabytes, ",.2f", " GB")),
    ]


def _seconds(value: object) -> str:
    is_long = isinstance(value, int | float) and value >= 100
    return number(value, ",.0f" if is_long else ".3g", " s")


def _settings(settings: Mapping[str, Any]) -> str:
    told = {key: value for key, value in settings.items() if value is not None}
    return ", ".join(
        f"{key} {value if isinstance(value, str) else shown(value)}" for key, value in told.items()
    )


def _score_of(report: EvaluationReport, query: int) -> Cell:
    """The AP under Medium; a report of other queries has none."""
    scores = report.scores[MEDIUM.name]
    return score_cell(scores[query, _AP] if query < len(scores) else np.nan)
