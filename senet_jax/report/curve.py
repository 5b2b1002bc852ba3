"""The learning curve: the loss, and how well each database is searched, step by step."""

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from senet_jax.report.figure import GRID, INK, QUIET, make_figure

LOSS = "train/loss"
_MEAN_AVERAGE_PRECISION = re.compile(r"eval/(.+)/medium/map")

# Told apart by colour-blind eyes too: Okabe and Ito (2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LABEL_HEIGHT = 0.12  # Of the axes' height.
_BESIDE = (0, (3, 2))  # How the lines of another training are dashed.

Metrics = Sequence[Mapping[str, Any]]


def draw_learning_curve(metrics: Metrics, beside: tuple[str, Metrics] | None = None) -> Figure:
    """Draws the training's loss over the steps, and the mAP under Medium of each database, if any.

    Args:
        metrics: as `training.metrics.read_metrics` gives them.
        beside: another training, what it is called and its metrics, whose loss and mAP of the same
            databases are dashed.
    """
    figure = make_figure(1280, 480)
    databases = evaluated_datasets(metrics)
    right = 0.77 if databases else 0.98  # Names stand beside the curves of databases.
    figure.subplots_adjust(left=0.045, right=right, bottom=0.13, top=0.82, wspace=0.14)
    loss_axes, *map_axes = figure.subplots(1, 2 if databases else 1, squeeze=False)[0]
    for axes in (loss_axes, *map_axes):
        _style(axes, max(line["step"] for line in metrics))
    label, others = beside or ("", ())
    loss_axes.plot(*series(metrics, LOSS), color=INK, linewidth=2, clip_on=False)
    loss_axes.plot(*series(others, LOSS), color=INK, linewidth=1.5, linestyle=_BESIDE)
    dashed = f"; dashed: {label}" if beside else ""
    _title(loss_axes, "Training loss", "mean over the steps since the point before")
    for axes in map_axes:
        _draw_precision(axes, metrics, databases, others)
        _title(axes, f"mAP under Medium, per cent{dashed}", "open circles: before the training")
    return figure


def _draw_precision(
    axes: Axes, metrics: Metrics, databases: Sequence[str], others: Metrics
) -> None:
    ends = {}
    for name, colour in zip(databases, itertools.cycle(COLOURS)):
        steps, values = series(metrics, map_key(name))
        values = 100 * values
        axes.plot(steps, values, color=colour, linewidth=2, clip_on=False)
        faces = ["white" if step == 0 else colour for step in steps]
        axes.scatter(
            *(steps, values),
            s=34,
            c=faces,
            edgecolors=colour,
            linewidths=2,
            zorder=3,
            clip_on=False,
        )
        ends[name] = f"{values[-1]:.1f}", values[-1], colour
        steps, theirs = series(others, map_key(name))
        if theirs.size:
            axes.plot(steps, 100 * theirs, color=colour, linewidth=1.5, linestyle=_BESIDE)
            ends[name] = f"{values[-1]:.1f}, dashed {100 * theirs[-1]:.1f}", values[-1], colour
    axes.set_ylim(bottom=0)
    _label_ends(axes, ends)


def series(metrics: Metrics, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The steps at which a metric was written, int64[n], and its values, float64[n]."""
    lines = [line for line in metrics if key in line]
    return (
        np.array([line["step"] for line in lines], np.int64),
        np.array([line[key] for line in lines], np.float64),
    )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Moves heights up, as little as needed, until each is at least a gap above the next lower."""
    placed = list(heights)
    lowest_free = -np.inf
    for index in np.argsort(heights, kind="stable"):
        placed[index] = max(heights[index], lowest_free)
        lowest_free = placed[index] + gap
    return placed


def map_key(dataset: str) -> str:
    """The metric that is the mAP of a dataset under Medium."""
    return f"eval/{dataset}/medium/map"


def evaluated_datasets(metrics: Metrics) -> list[str]:
    """The datasets whose mAP was written."""
    matches = (_MEAN_AVERAGE_PRECISION.fullmatch(key) for line in metrics for key in line)
    return list(dict.fromkeys(match[1] for match in matches if match))


def _style(axes: Axes, last_step: int) -> None:
    axes.set_xlim(0, last_step)
    axes.set_xlabel("step", color=QUIET, fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.grid(color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=11, labelcolor=QUIET, pad=6)
    axes.spines[:].set_visible(False)


def _title(axes: Axes, title: str, note: str) -> None:
    axes.text(0, 1.12, title, transform=axes.transAxes, fontsize=15, weight="bold", color=INK)
    axes.text(0, 1.045, note, transform=axes.transAxes, fontsize=11, color=QUIET)


def _label_ends(axes: Axes, ends: Mapping[str, tuple[str, float, str]]) -> None:
    """Names each curve beside its end, with its last value, its height and its colour."""
    top = axes.get_ylim()[1]
    heights = spread([value / top for _, value, _ in ends.values()], _LABEL_HEIGHT)
    for (name, (said, _, colour)), height in zip(ends.items(), heights, strict=True):
        label = functools.partial(axes.text, 1.03, transform=axes.transAxes, color=colour)
        label(height, said, fontsize=13, weight="bold", verticalalignment="bottom")
        label(height, name, fontsize=10.5, verticalalignment="top")
