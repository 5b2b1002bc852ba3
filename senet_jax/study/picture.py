"""The figure of a comparison: every row's mean, its interval, and each of its seeds."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from senet_jax.report.figure import GRID, INK, QUIET, make_figure
from senet_jax.study.comparisons import values_of
from senet_jax.study.plan import Comparison
from senet_jax.study.results import Results
from senet_jax.study.statistics import Estimate, estimate
from senet_jax.system.errors import printable, shortened

# Of Okabe and Ito, told apart by colour-blind eyes.
_DOT, _SEED = "#0072b2", "#e69f00"
# In pixels.
_WIDTH, _ROW_HEIGHT, _MARGIN = 680, 46, 130
_LETTER, _MOST_LETTERS = 8.4, 70
_LETTER_OF_TITLE, _LINE_OF_TITLE = 11, 24


def draw_comparison(comparison: Comparison, results: Results) -> Figure:
    """Draws a comparison by what its protocol compares; rows without a run are left out."""
    dataset, protocol = comparison.place.main
    shown = [
        (row.label, estimate(values_of(row, results, dataset, protocol))) for row in comparison.rows
    ]
    rows = [(label, found) for label, found in shown if found is not None]
    note = f"{comparison.place.caption}; dots: a seed each"
    return draw_rows(comparison.title, note, rows)


def draw_rows(title: str, note: str, rows: Sequence[tuple[str, Estimate]]) -> Figure:
    """Draws estimates, one below the other.

    Args:
        title: above the figure.
        note: below the title; says what is drawn.
        rows: the label and the estimate of each.
    """
    labels = [shortened(printable(label), _MOST_LETTERS) for label, _ in rows]
    left = round(30 + _LETTER * max(map(len, labels), default=0))
    width = left + _WIDTH
    title_lines = textwrap.wrap(title, (width - 32) // _LETTER_OF_TITLE)
    lower = _LINE_OF_TITLE * (len(title_lines) - 1)
    height = _MARGIN + lower + _ROW_HEIGHT * max(1, len(rows))
    figure = make_figure(width, height)
    axes = figure.add_axes(
        (left / width, 45 / height, 1 - (left + 30) / width, 1 - (115 + lower) / height)
    )
    for place, (_, found) in enumerate(rows):
        axes.plot([100 * found.low, 100 * found.high], [place] * 2, color=_DOT, linewidth=3)
        axes.plot(100 * found.mean, place, "o", color=_DOT, markersize=9)
        if len(found.of_seeds) > 1:
            below = [place + 0.22] * len(found.of_seeds)
            axes.plot([100 * each for each in found.of_seeds], below, ".", color=_SEED)
        axes.text(100 * found.mean, place - 0.2, f"{100 * found.mean:.1f}", color=INK, ha="center")
    axes.set_yticks(range(len(rows)), labels, fontsize=11, color=INK)
    axes.set_ylim(max(1, len(rows)) - 0.5, -0.6)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=QUIET)
    axes.spines[:].set_visible(False)
    for line, text in enumerate(title_lines):
        above = 1 - (28 + _LINE_OF_TITLE * line) / height
        figure.text(16 / width, above, text, fontsize=14, weight="bold", color=INK)
    above = 1 - (52 + lower) / height
    figure.text(16 / width, above, f"{note}; bars: 95 % intervals", fontsize=10, color=QUIET)
    return figure
