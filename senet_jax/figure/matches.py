"""Points of a query and an item that are the same, joined by lines over both photographs."""

import dataclasses

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from senet_jax.data.transforms import box_slices
from senet_jax.figure.paper import DOTS_PER_INCH, in_style, new_figure, title, without_ticks
from senet_jax.report.figure import INK
from senet_jax.report.pictures import BOX, fitted
from senet_jax.rerank.matches import Matches

_GAP = 0.05  # Inches between the photographs.
_COLOURS = "viridis"
"""They only tell lines apart: by where they begin, from left to right."""


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """Two photographs and what they have in common.

    Attributes:
        query: uint8[h w 3] BGR.
        item: uint8[h w 3] BGR.
        box: the query's (x1, y1, x2, y2) in pixels, if it has one.
        matches: their points.
        note: what the points are, in a line.
    """

    query: np.ndarray
    item: np.ndarray
    box: tuple[float, float, float, float] | None
    matches: Matches
    note: str


@in_style
def draw_matches(pair: Pair, width: float) -> Figure:
    """Draws the query on the left and the item on the right, equally high."""
    shapes = np.array([pair.query.shape[:2], pair.item.shape[:2]], float)
    widths = shapes[:, 1] / shapes[:, 0]  # Of a height of 1.
    height = (width - _GAP - 0.1) / widths.sum()
    figure = new_figure(width, height + 0.24)
    axes = figure.subplots()
    without_ticks(axes)
    # Coordinates are inches, y downward.
    lefts = (0.0, float(widths[0]) * height + _GAP)
    scales = height / shapes[:, 0]
    for image, left, of_width in zip((pair.query, pair.item), lefts, widths, strict=True):
        picture = fitted(image, round(height * max(1, of_width) * DOTS_PER_INCH))
        axes.imshow(picture, extent=(left, left + of_width * height, height, 0))
    if pair.box is not None:
        _draw_box(axes, pair, float(scales[0]))
    points = [
        (own + 0.5) * scale + (left, 0)
        for own, scale, left in zip(
            (pair.matches.query_points, pair.matches.item_points), scales, lefts, strict=True
        )
    ]
    _draw_lines(axes, *points)
    axes.set(xlim=(0, lefts[1] + widths[1] * height), ylim=(height, 0), aspect="equal")
    title(axes, pair.note, loc="left")
    return figure


def _draw_lines(axes: Axes, starts: np.ndarray, ends: np.ndarray) -> None:
    order = np.argsort(np.argsort(starts[:, 0]))
    colours = mpl.colormaps[_COLOURS](0.25 + 0.75 * order / max(len(order) - 1, 1))
    segments = np.stack([starts, ends], axis=1)
    axes.add_collection(LineCollection(list(segments), colors="black", linewidths=0.9, alpha=0.25))
    axes.add_collection(LineCollection(list(segments), colors=list(colours), linewidths=0.5))
    for points in (starts, ends):
        axes.scatter(
            *points.T, s=4, c=colours, edgecolors="black", linewidths=0.25, zorder=3, clip_on=False
        )


def _draw_box(axes: Axes, pair: Pair, scale: float) -> None:
    assert pair.box is not None
    rows, columns = box_slices(pair.box, *pair.query.shape[:2])
    for colour, thickness in ((INK, 2.0), (BOX, 1.0)):
        axes.add_patch(
            Rectangle(
                (columns.start * scale, rows.start * scale),
                (columns.stop - columns.start) * scale,
                (rows.stop - rows.start) * scale,
                fill=False,
                edgecolor=colour,
                linewidth=thickness,
            )
        )
