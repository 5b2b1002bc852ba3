"""The page of a report, see `document`; what comes from a file passes through `markup.text`."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Run
from senet_jax.report.beside import Rival, difference, different_settings, entries_beside
from senet_jax.report.document import document
from senet_jax.report.gallery import Gallery, ShownItem, ShownList, ShownQuery
from senet_jax.report.markup import Cell, Markup, Row, image, join, per_cent, table, text
from senet_jax.report.pictures import LOOKALIKES_ARE, Verdict
from senet_jax.report.systems import (
    datasets_of,
    is_training,
    model_of,
    training_set_of,
    warnings_of,
)
from senet_jax.report.tables import (
    cost_table,
    methods_table,
    precision_table,
    queries_table,
    scores_table,
)
from senet_jax.system.errors import UserError, shown

MOST_FACTS = 300
"""How many lines of settings and the like are told at most."""
_MARKS: dict[Verdict, str] = {
    "right": "\N{CHECK MARK}",
    "look-alike": "\N{RIGHTWARDS ARROW OVER LEFTWARDS ARROW}",
    "wrong": "\N{BALLOT X}",
    "junk": "~",
}
_MEANINGS: dict[Verdict, str] = {
    "right": "right: shows the query's landmark (solid border)",
    "look-alike": "look-alike: wrong too (double border)",
    "wrong": "wrong (dashed border)",
    "junk": "junk: does not count (dotted border)",
}


def page(
    entries: Mapping[str, EvaluationReport],
    run: Run,
    galleries: Mapping[str, Gallery | str],
    rival: Rival | None = None,
) -> str:
    """The HTML of a report.

    Args:
        entries: scores by name, as `Report.entries`.
        run: how they came about.
        galleries: for each dataset the queries that are shown, or why none are.
        rival: another run that is shown beside.
    """
    warnings = _warnings(warnings_of(entries, run))
    if rival is not None:
        entries = entries_beside(entries, rival)
    datasets = datasets_of(entries)
    job = "Training" if is_training(run) else "Evaluation"
    title = text(f"{job} of {model_of(run) or 'a network'}: {', '.join(datasets) or 'no dataset'}")
    sections = [
        _dataset(
            *(name, {entry: entries[entry] for entry in of_it}, run),
            galleries.get(name, "none were kept"),
            rival,
        )
        for name, of_it in datasets.items()
    ]
    return document(
        title,
        [
            f"<header><h1>{title}</h1>{_summary(run, rival)}</header><main>",
            warnings,
            *sections,
            _provenance(run),
            "</main>",
        ],
    )


def _summary(run: Run, rival: Rival | None) -> Markup:
    distractors = run.config.get("distractors")
    among = f" Every database holds the distractors {text(distractors)} too." if distractors else ""
    whitened = (
        " All descriptors are whitened, as learned on each database without labels."
        if run.config.get("whiten")
        else ""
    )
    told = training_set_of(run)
    trained = f" The network was trained on {text(told)}." if told else ""
    beside = "" if rival is None else f"<p>{text(_rival(run, rival))}</p>"
    return Markup(
        f'<p class="quiet">All scores are times 100.{among}{whitened}{trained}</p>{beside}'
    )


def _rival(run: Run, rival: Rival) -> str:
    keys = different_settings(run, rival)
    differing = f"The settings that differ: {', '.join(keys)}." if keys else "All settings agree."
    seeds = " Trained with another seed, either may score otherwise." if is_training(run) else ""
    return f"Beside it stands {rival.label}, of {rival.workdir}. {differing}{seeds}"


def _warnings(warnings: Sequence[str]) -> Markup:
    if not warnings:
        return Markup("")
    items = "".join(f"<li>{text(warning)}</li>" for warning in warnings)
    return Markup(
        '<section class="warnings" aria-labelledby="warnings">'
        f'<h2 id="warnings">Before you read on</h2><ul>{items}</ul></section>'
    )


def _dataset(
    name: str,
    reports: Mapping[str, EvaluationReport],
    run: Run,
    gallery: Gallery | str,
    rival: Rival | None,
) -> Markup:
    cost, methods = cost_table(name, reports, run), methods_table(name, reports, run)
    return join(
        [
            f"<section><h2>{text(name)}</h2>",
            _counts(run.counts.get(name)),
            scores_table(name, reports, run),
            "" if rival is None else _difference(name, reports, rival),
            _folded("Mean precision among the first items", precision_table(name, reports, run)),
            "" if cost is None else _folded("What re-ranking took", cost),
            "" if methods is None else _folded("How re-ranking was set", methods),
            *_gallery(gallery),
            "<h3>Query by query</h3>",
            queries_table(name, reports, run),
            "</section>",
        ]
    )


def _difference(name: str, reports: Mapping[str, EvaluationReport], rival: Rival) -> Markup:
    theirs = reports.get(rival.entry(name))
    if theirs is None:
        return Markup("")
    try:
        said = difference(reports[name], theirs)
    except UserError as error:
        said = f"{error}."
    return Markup(f"<p>Against {text(rival.label)}: {text(said)}</p>")


def _counts(counts: object) -> Markup:
    if not isinstance(counts, Mapping) or not counts:
        return Markup("")
    said = ", ".join(f"{name}: {_plain(count)}" for name, count in counts.items())
    return Markup(f'<p class="quiet">{text(said)}</p>')


def _folded(summary: str, content: Markup) -> Markup:
    return Markup(f"<details><summary>{text(summary)}</summary>{content}</details>")


def _gallery(gallery: Gallery | str) -> Iterator[Markup]:
    if isinstance(gallery, str):
        yield Markup(f"<h3>Ranked lists</h3><p>No ranked lists are shown: {text(gallery)}.</p>")
        return
    shown_verdicts = {
        item.verdict
        for query in (*gallery.worst, *gallery.best)
        for each in query.lists
        for item in each.items
    }
    legend = "".join(
        f'<li class="{verdict}"><b aria-hidden="true">{_MARKS[verdict]}</b> {text(meaning)}</li>'
        for verdict, meaning in _MEANINGS.items()
        if verdict in shown_verdicts
    )
    lookalikes = f" {LOOKALIKES_ARE}" if "look-alike" in shown_verdicts else ""
    yield Markup(
        "<h3>Ranked lists</h3>"
        '<p class="quiet">The first items that were found, each with its rank and its similarity '
        "to the query. A yellow box shows which part of a query was searched for, if not all of "
        f'it.{lookalikes}</p><ul class="legend">{legend}</ul>'
    )
    for title, which, queries in (
        ("Failures first", "lowest", gallery.worst),
        ("The best", "highest", gallery.best),
    ):
        if queries:
            count = "query" if len(queries) == 1 else f"{len(queries)} queries"
            yield Markup(f"<h3>{title}: the {count} of the {which} AP under Medium</h3>")
            yield from map(_query, queries)


def _query(query: ShownQuery) -> Markup:
    first = query.lists[0]
    picture = (
        _no_picture() if query.picture is None else image(query.picture, f"The query {query.name}")
    )
    return join(
        [
            '<details class="query" open>',
            f"<summary>{text(query.name)}, AP {per_cent(first.average_precision)}</summary>",
            f'<div class="found">{picture}<div>',
            *map(_list, query.lists),
            "</div></div></details>",
        ]
    )


def _list(shown: ShownList) -> Markup:
    right = (
        "none that is kept is right"
        if shown.first_right is None
        else f"the first right one is at rank {shown.first_right:,}"
    )
    items = "".join(_item(rank, item) for rank, item in enumerate(shown.items, start=1))
    return Markup(
        f"<h4>{text(shown.label)}: AP {per_cent(shown.average_precision)} "
        f'<small>{right}</small></h4><ol class="tiles">{items}</ol>'
    )


def _item(rank: int, item: ShownItem) -> Markup:
    name = text(item.name)
    picture = _no_picture() if item.picture is None else image(item.picture, item.name)
    mark = f'<b aria-hidden="true">{_MARKS[item.verdict]}</b>'
    similar = "" if np.isnan(item.similarity) else f" \N{MIDDLE DOT} {item.similarity:.2f}"
    return Markup(
        f'<li class="{item.verdict}">{picture}<span>{rank}{similar}</span>'
        f"<span>{mark} {item.verdict}</span>"
        f'<small title="{name}">{name}</small></li>'
    )


def _no_picture() -> Markup:
    return Markup('<p class="none">no picture</p>')


def _provenance(run: Run) -> Markup:
    rows = itertools.islice(_facts(run), MOST_FACTS)
    facts = table(
        "The network, its settings, what was counted, and what it took",
        ["What", "Value"],
        (Row([Cell(name), Cell(value)]) for name, value in rows),
    )
    return join(
        [
            "<section><h2>Where this comes from</h2>",
            '<p class="quiet">report.json beside this page holds the same, and every score.</p>',
            f'<div class="facts">{facts}</div></section>',
        ]
    )


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    """What is known of a run, a line each."""
    yield "network", model_of(run) or "not told"
    yield "SHA-256 of its tensors", run.weights_sha256 or "not told"
    for name, value in run.weights.items():
        if name != "model":
            yield f"weights, {name}", _plain(value)
    for dataset, counts in run.counts.items():
        if not isinstance(counts, Mapping):
            yield f"counted, {dataset}", _plain(counts)
    for part, seconds in run.seconds.items():
        yield f"took, {part}", f"{seconds:,.1f} s"
    for library, version in run.versions.items():
        yield f"version, {library}", version
    for key, value in run.config.items():
        if isinstance(value, Mapping):
            for inner, of_inner in value.items():
                yield f"config.{key}.{inner}", _plain(of_inner)
        else:
            yield f"config.{key}", _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value or "(empty)"
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else shown(value)
