"""Two systems query by query: their APs against each other, and the differences in order."""

import sys

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from senet_jax.figure.paper import SMALL, apart, in_style, label, new_figure, title
from senet_jax.metrics.bootstrap import mean_interval
from senet_jax.metrics.saved import REPORT
from senet_jax.report.curve import COLOURS
from senet_jax.report.figure import INK, QUIET
from senet_jax.score.compare import (
    Comparison,
    compare,
    paired_entries,
    read_side,
    split_entry,
    warnings,
)
from senet_jax.system.errors import UserError, shown

_BETTER, _WORSE = COLOURS[0], COLOURS[1]
_SIDE_BY_SIDE = 5  # Inches from which on there is room for it.
_NAME = 26  # Characters that fit along an axis.


def compared_entries(
    given: tuple[str, str], dataset: str | None, protocol: str
) -> tuple[str, tuple[str, str], Comparison]:
    """What is compared, the names of the two, and their APs.

    Args:
        given: two workdirs or reports, maybe with an entry, see `score.compare`.
        dataset: that both have, None for the first.
        protocol: of the benchmark.

    Raises:
        UserError: a report is missing, has no such entry, or the two are about other queries.
    """
    (path, wanted), (other_path, other_wanted) = map(split_entry, given)
    first, second = read_side(path), read_side(other_path)
    paired = paired_entries(first, wanted, second, other_wanted)
    heading = next(iter(paired)) if dataset is None else dataset
    if heading not in paired:
        raise UserError(f"{shown(heading)} is not in both; there are {', '.join(paired)}")
    comparison = compare(*paired[heading], protocol)
    if not len(comparison.names):
        raise UserError(f"no query of {heading} is scored under {protocol}; choose another one")
    compared = {*first.entries, *second.entries} if wanted or other_wanted else paired
    for warning in warnings(first, second, compared):
        print(f"warning: {warning}", file=sys.stderr)
    stems = [p.parent.name if p.name == REPORT else p.stem for p in (path, other_path)]
    a, b = apart([wanted or stems[0], other_wanted or stems[1]], stems)
    named = wanted or other_wanted  # The axes tell the entries.
    what = protocol.capitalize() if named else f"{heading}, {protocol.capitalize()}"
    return what, (a, b), comparison


@in_style
def draw_queries(comparison: Comparison, names: tuple[str, str], what: str, width: float) -> Figure:
    """Draws the APs of the second system against those of the first, and B - A in order.

    Args:
        comparison: the APs, of one query at least.
        names: of the two systems.
        what: the dataset and the protocol.
        width: of the figure, in inches.
    """
    is_wide = width >= _SIDE_BY_SIDE
    figure = new_figure(width, 0.47 * width if is_wide else 1.75 * width)
    scatter, bars = figure.subplots(*((1, 2) if is_wide else (2, 1)))
    _draw_pairs(scatter, comparison, names)
    title(scatter, label(what), loc="left")
    _draw_differences(bars, comparison)
    return figure


def _draw_pairs(axes: Axes, comparison: Comparison, names: tuple[str, str]) -> None:
    differences = comparison.differences
    axes.plot([0, 100], [0, 100], color=QUIET, linewidth=0.8)
    for which, colour, marker in (
        (differences > 0, _BETTER, "^"),
        (differences < 0, _WORSE, "v"),
        (differences == 0, QUIET, "o"),
    ):
        if not which.any():
            continue  # A line without points that is not clipped would take all room.
        axes.plot(
            100 * comparison.first[which],
            100 * comparison.second[which],
            color=colour,
            marker=marker,
            markersize=4,
            markeredgewidth=0,
            alpha=0.7,
            linestyle="none",
            clip_on=False,
        )
    axes.set(xlim=(0, 100), ylim=(0, 100), box_aspect=1)
    for name, set_label in zip(names, (axes.set_xlabel, axes.set_ylabel), strict=True):
        set_label(f"AP of {label(name, _NAME)}, per cent", parse_math=False)


def _draw_differences(axes: Axes, comparison: Comparison) -> None:
    differences = 100 * np.sort(comparison.differences)[::-1]
    mean = differences.mean()
    low, high = 100 * mean_interval(comparison.differences)  # As `score.compare` prints it.
    colours = np.where(differences > 0, _BETTER, _WORSE)
    axes.bar(np.arange(1, len(differences) + 1), differences, width=1, color=colours, linewidth=0)
    axes.axhspan(low, high, color=QUIET, alpha=0.3, linewidth=0)
    axes.axhline(mean, color=INK, linewidth=1, linestyle="dashed")
    axes.axhline(0, color=QUIET, linewidth=0.8)
    limit = 1.05 * max(abs(differences).max(), abs(low), abs(high), 1)
    axes.set(xlim=(0.5, len(differences) + 0.5), ylim=(-limit, limit))
    axes.set(xlabel="queries, the most improved first", ylabel="difference of AP, points")
    counts = [np.count_nonzero(which) for which in (differences > 0, differences < 0)]
    counted = f"better {counts[0]}, worse {counts[1]}, equal {len(differences) - sum(counts)}"
    axes.set_title(
        f"mean {mean:+.1f} (95 %: {low:+.1f} to {high:+.1f})\n{counted}", loc="left", fontsize=SMALL
    )
