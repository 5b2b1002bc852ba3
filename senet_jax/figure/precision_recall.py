"""The mean precision of ranked lists over their recall, for several systems."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.figure.paper import in_style, legend_below, new_figure, title
from senet_jax.metrics.precision_recall import mean_precision
from senet_jax.metrics.protocols import Protocol
from senet_jax.report.curve import COLOURS
from senet_jax.search.ranked_list import RankedList

LINES = ("solid", "dashed", "dashdot", "dotted")
RECALLS = (np.arange(1000) + 0.5) / 1000
"""At which precision is computed; the mean over them is the area below a curve."""


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """What a curve is drawn of.

    Attributes:
        name: of the system.
        ranked: its lists, or their first items.
        mean_average_precision: of the whole ranking, in [0, 1].
    """

    name: str
    ranked: RankedList
    mean_average_precision: float


@in_style
def draw_precision_recall(
    dataset: str,
    ground_truth: GroundTruth,
    protocol: Protocol,
    curves: Sequence[Curve],
    width: float,
) -> Figure:
    """Draws a curve for each system; what is not in its lists is not found."""
    figure = new_figure(width, 0.72 * width + 0.13 * len(curves))
    axes = figure.subplots()
    styles = zip(itertools.cycle(COLOURS), itertools.cycle(LINES))
    handles = [
        axes.plot(
            100 * RECALLS,
            100 * mean_precision(ground_truth, curve.ranked, protocol, RECALLS),
            color=colour,
            linestyle=line,
        )[0]
        for curve, (colour, line) in zip(curves, styles, strict=False)
    ]
    axes.set(xlim=(0, 100), ylim=(0, 101), xlabel="recall, per cent", ylabel="precision, per cent")
    title(axes, f"{dataset}, {protocol.name.capitalize()}", loc="left")
    names = [f"{c.name}  (mAP {100 * c.mean_average_precision:.1f})" for c in curves]
    legend_below(figure, handles, names)
    return figure
