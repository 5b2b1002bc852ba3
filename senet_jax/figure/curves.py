"""Learning curves of one training or several: the loss, and how well datasets are searched."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from senet_jax.figure.paper import in_style, legend_below, new_figure, title
from senet_jax.report.curve import COLOURS, LOSS, evaluated_datasets, map_key, series
from senet_jax.report.figure import INK

_DASHES: Any = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
_MARKERS = "osD^vP"
_SIDE_BY_SIDE = 5  # Inches from which on there is room for it.


@in_style
def draw_curves(trainings: Mapping[str, Sequence[Mapping[str, Any]]], width: float) -> Figure:
    """Draws the loss over the steps, and mAP under Medium, if there was an evaluation.

    Datasets are told apart by colours and marks, trainings by their lines.

    Args:
        trainings: for each its metrics, see `training.metrics.read_metrics`.
        width: of the figure, in inches.
    """
    evaluated = itertools.chain(*map(evaluated_datasets, trainings.values()))
    datasets = list(dict.fromkeys(evaluated))
    panels, is_wide = 1 + bool(datasets), width >= _SIDE_BY_SIDE
    rows, columns = (1, panels) if is_wide else (panels, 1)
    legend = 0.14 * -(-(len(datasets) + len(trainings) * (len(trainings) > 1)) // 2)
    figure = new_figure(width, rows * (0.36 if is_wide else 0.62) * width + legend)
    loss_axes, *map_axes = figure.subplots(rows, columns, squeeze=False).ravel()
    dashes = dict(zip(trainings, itertools.cycle(_DASHES), strict=False))
    for name, metrics in trainings.items():
        loss_axes.plot(*series(metrics, LOSS), color=INK, linestyle=dashes[name])
    title(loss_axes, "training loss", loc="left")
    looks = dict(zip(datasets, itertools.cycle(zip(COLOURS, _MARKERS, strict=True)), strict=False))
    for axes in map_axes:
        for training, metrics in trainings.items():
            for dataset, (colour, marker) in looks.items():
                steps, values = series(metrics, map_key(dataset))
                if not len(steps):
                    continue  # A line without points that is not clipped would take all room.
                options = {"color": colour, "marker": marker, "linestyle": dashes[training]}
                axes.plot(steps, 100 * values, markersize=3.5, clip_on=False, **options)
        axes.set_ylim(bottom=0)
        title(axes, "mAP under Medium, per cent", loc="left")
    for axes in (loss_axes, *map_axes):
        _label_steps(axes, max(line["step"] for lines in trainings.values() for line in lines))
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=3.5)
        for colour, marker in looks.values()
    ]
    names = list(datasets)
    if len(trainings) > 1:
        handles += [Line2D([], [], color=INK, linestyle=dashes[name]) for name in trainings]
        names += trainings
    if names:
        legend_below(figure, handles, names)
    return figure


def _label_steps(axes: Axes, last_step: int) -> None:
    axes.set_xlim(0, last_step)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
