"""The tables of a study of trainings, in the shape of the paper's, from its results."""

import dataclasses
import math
from collections.abc import Iterable, Iterator

from senet_jax.report.paper import paper_figure
from senet_jax.study.plan import AMONG_DISTRACTORS, Comparison, Place, Row
from senet_jax.study.results import Results, among, entry_of
from senet_jax.study.statistics import (
    Estimate,
    Values,
    detectable,
    estimate,
    paired_difference,
    score_text,
    seeds_needed,
)
from senet_jax.study.table import MISSING, Table

_PAPER = {
    "ROxf": ("roxford5k", ""),
    "ROxf +1M": ("roxford5k", "revisitop1m"),
    "RPar": ("rparis6k", ""),
    "RPar +1M": ("rparis6k", "revisitop1m"),
}
_PROTOCOLS_OF_PAPER = ("medium", "hard")
_DIFFERENCES = (0.01, 0.02, 0.05)


def tables_of(comparison: Comparison, results: Results) -> list[Table]:
    """The tables of a comparison: scores, differences, how sure, and the paper's.

    Where runs were evaluated with distractors as well, the first three come again, of these, ahead
    of the paper's.
    """
    compared = [comparison]
    for name, images in results.about.get("distractors", {}).items():
        compared.append(_with_distractors(comparison, name, images))
    tables = [
        make(each, results)
        for each in compared
        if is_complete(each, results)
        for make in (_scores, _differences, _certainty)
    ]
    return [*tables, _paper(comparison)]


def is_complete(comparison: Comparison, results: Results) -> bool:
    """Whether each row of a comparison has a run."""
    dataset, protocol = comparison.place.main
    return all(values_of(row, results, dataset, protocol) for row in comparison.rows)


def _with_distractors(comparison: Comparison, name: str, images: int) -> Comparison:
    """A comparison where databases hold a set of distractors as well."""
    place, added = comparison.place, f"with {images:,} distractors"
    dataset, protocol = place.main
    place = dataclasses.replace(
        place,
        what=f"{place.what}, {added} in every database",
        datasets={among(each, name): place.datasets[each] for each in AMONG_DISTRACTORS},
        main=(among(dataset, name), protocol),
        caption=f"{place.caption}, {added}",
    )
    return dataclasses.replace(comparison, title=f"{comparison.title}, {added}", place=place)


def values_of(row: Row, results: Results, dataset: str, protocol: str) -> Values:
    """The APs of a row, for each seed."""
    return results.scores(row.variant, entry_of(dataset, row.method, row.kind), protocol)


def entries_of(comparisons: Iterable[Comparison]) -> list[str]:
    """The names of all scores that tables show, each once."""
    found = (
        entry_of(dataset, row.method, row.kind)
        for comparison in comparisons
        for row in comparison.rows
        for dataset in comparison.place.datasets
    )
    return list(dict.fromkeys(found))


def reference_of(comparison: Comparison) -> Row:
    """The row that the others are compared with."""
    (found,) = (
        row for row in comparison.rows if row.variant == comparison.reference and not row.method
    )
    return found


def _columns(place: Place) -> Iterator[tuple[str, str, str]]:
    """Protocol, dataset and heading of each column."""
    for protocol in place.protocols:
        for dataset, what in place.datasets.items():
            yield protocol, dataset, f"{protocol.capitalize()}, {what}"


def _scores(comparison: Comparison, results: Results) -> Table:
    rows = []
    for row in comparison.rows:
        found = [estimate(values_of(row, results, d, p)) for p, d, _ in _columns(comparison.place)]
        seeds = max((len(each.of_seeds) for each in found if each), default=0)
        rows.append([row.label, str(seeds), *map(score_text, found)])
    return Table(
        comparison.title,
        ["", "seeds", *(heading for *_, heading in _columns(comparison.place))],
        rows,
        [f"mAP x 100 {comparison.place.what}, with 95 % intervals over queries and seeds."],
    )


def _differences(comparison: Comparison, results: Results) -> Table:
    reference = reference_of(comparison)
    rows = []
    for row in comparison.rows:
        if row is not reference:
            found = [
                paired_difference(
                    values_of(reference, results, dataset, protocol),
                    values_of(row, results, dataset, protocol),
                )
                for protocol, dataset, _ in _columns(comparison.place)
            ]
            rows.append([row.label, *map(_difference, found)])
    return Table(
        f"{comparison.title}: less {reference.label}",
        ["", *(heading for *_, heading in _columns(comparison.place))],
        rows,
        [
            f"Each row less {reference.label}, mAP x 100, paired by seed and query, with 95 % "
            "intervals over both; in brackets, in how many seeds the row is better."
        ],
    )


def _certainty(comparison: Comparison, results: Results) -> Table:
    """How far seeds agree, and what differences so many of them can tell."""
    dataset, protocol = comparison.place.main
    reference = reference_of(comparison)
    before = values_of(reference, results, dataset, protocol)
    rows = []
    for row in comparison.rows:
        values = values_of(row, results, dataset, protocol)
        own = estimate(values)
        paired = None if row is reference else paired_difference(before, values)
        deviation = math.nan if paired is None else paired.deviation
        seeds = 0 if paired is None else len(paired.of_seeds)
        needed = (seeds_needed(deviation, difference) for difference in _DIFFERENCES)
        rows.append(
            [
                row.label,
                MISSING if own is None else _points(own.deviation),
                _points(deviation),
                _points(detectable(deviation, seeds)),
                *(MISSING if count is None else str(count) for count in needed),
            ]
        )
    return Table(
        f"{comparison.title}: how sure",
        [
            *("", "deviation over seeds", "of the paired difference", "difference told"),
            *(f"seeds for {100 * difference:.0f}" for difference in _DIFFERENCES),
        ],
        rows,
        [
            f"Of {comparison.place.caption}. A difference is told where "
            "a paired t-test at 5 % finds it four times in five. A bootstrap of few seeds gives "
            "intervals that are too short, of five by about a tenth."
        ],
    )


def _paper(comparison: Comparison) -> Table:
    columns = [(protocol, name) for protocol in _PROTOCOLS_OF_PAPER for name in _PAPER]
    rows = []
    for row in comparison.rows:
        cells = [MISSING] * len(columns)
        if row.paper is not None:
            figures = [paper_figure(*_PAPER[name], *row.paper) for _, name in columns]
            cells = [
                MISSING if figure is None else f"{getattr(figure, protocol):.1f}"
                for (protocol, _), figure in zip(columns, figures, strict=True)
            ]
        rows.append([row.label, *cells])
    return Table(
        f"{comparison.title}: in the paper",
        ["", *(f"{protocol.capitalize()}, {name}" for protocol, name in columns)],
        rows,
        ["mAP x 100 as printed in the paper's supplement: R50 on GLDv2-clean, one training each."],
    )


def _difference(found: Estimate | None) -> str:
    if found is None:
        return MISSING
    better = sum(mean > 0 for mean in found.of_seeds)
    return (
        f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f}) "
        f"[{better}/{len(found.of_seeds)}]"
    )


def _points(value: float) -> str:
    return MISSING if math.isnan(value) else f"{100 * value:.1f}"
