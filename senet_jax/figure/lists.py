"""Ranked lists of two systems, one above the other, as wide as a page of text.

Source: Figures S2 and S3 of the supplement, the query's box, and borders in green, red and grey.
Borders are also solid, dashed and dotted, for those who cannot tell the colours apart. Words and
lines are vectors.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from senet_jax.data.transforms import box_slices
from senet_jax.figure.paper import DOTS_PER_INCH, LARGE, SMALL, without_ticks
from senet_jax.report.examples import ITEMS, Example
from senet_jax.report.figure import INK, QUIET
from senet_jax.report.pictures import BOX, COLOURS, Verdict, fitted
from senet_jax.report.ranked import verdicts_of
from senet_jax.system.errors import printable, shortened

# Inches.
WIDTH, QUERY, GAP, LABEL, BETWEEN, LEGEND = 7.0, 1.3, 0.05, 0.16, 0.16, 0.22
TILE = (WIDTH - QUERY - GAP * (ITEMS + 2)) / ITEMS
LINES: Mapping[Verdict, Any] = {
    "right": "solid",
    "look-alike": (0, (5, 1, 1, 1)),
    "wrong": (0, (3, 1)),
    "junk": (0, (1, 1)),
}
_BORDER = 1.8  # Points.
_CAPTION = 20  # Characters, about as wide as a query.


def draw_lists(examples: Sequence[Example]) -> Figure:
    """Draws queries one below the other, each with a row of items for every system."""
    rows = max(len(example.rows) for example in examples)
    block = max(LABEL + QUERY, rows * (LABEL + TILE) + GAP) + BETWEEN
    height = LEGEND + len(examples) * block
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, facecolor="white")
    _draw_legend(figure, height, verdicts_of(examples))
    for place, example in enumerate(examples):
        top = LEGEND + place * block
        _write(figure, GAP, top, shortened(printable(example.caption), _CAPTION), weight="bold")
        axes = _picture(figure, example.image, GAP, top + LABEL, QUERY)
        if example.box is not None:
            _draw_box(axes, example.box, *example.image.shape[:2])
        left = 2 * GAP + QUERY
        for row, (label, found) in enumerate(example.rows.items()):
            above = top + row * (LABEL + TILE)
            precision = f"AP {100 * found.average_precision:.1f}"
            _write(figure, left, above, f"{label}  {precision}", color=QUIET)
            for column, (image, verdict) in enumerate(
                zip(found.images, found.verdicts, strict=True)
            ):
                x = left + column * (TILE + GAP)
                _draw_border(_picture(figure, image, x, above + LABEL, TILE), verdict)
    return figure


def _picture(figure: Figure, image: np.ndarray, x: float, y: float, side: float) -> Axes:
    """Axes with a picture in the middle of a square; x and y from the upper left, in inches."""
    picture = fitted(image, round(side * DOTS_PER_INCH))
    rows, columns = picture.shape[:2]
    height, width = (side * length / max(rows, columns) for length in (rows, columns))
    left, top = x + (side - width) / 2, y + (side - height) / 2
    page = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, 1 - (top + height) / page, width / WIDTH, height / page))
    axes.imshow(picture, aspect="auto")
    without_ticks(axes)
    return axes


def _draw_border(axes: Axes, verdict: Verdict) -> None:
    border = Rectangle(
        (0, 0),
        *(1, 1),
        transform=axes.transAxes,
        clip_on=False,
        fill=False,
        edgecolor=COLOURS[verdict],
        linewidth=_BORDER,
        linestyle=LINES[verdict],
        capstyle="butt",  # Longer ends would fill the gaps.
    )
    axes.add_patch(border)


def _draw_box(axes: Axes, box: Sequence[float], height: int, width: int) -> None:
    rows, columns = box_slices(box, height, width)
    right, bottom = axes.get_xlim()[1] + 0.5, axes.get_ylim()[0] + 0.5
    x, y = right / width, bottom / height  # Pixels of the picture for one of the photograph.
    for colour, thickness in ((INK, 2.4), (BOX, 1.2)):
        axes.add_patch(
            Rectangle(
                (columns.start * x - 0.5, rows.start * y - 0.5),
                (columns.stop - columns.start) * x,
                (rows.stop - rows.start) * y,
                fill=False,
                edgecolor=colour,
                linewidth=thickness,
            )
        )


def _draw_legend(figure: Figure, height: float, verdicts: Collection[Verdict]) -> None:
    handles = [
        Line2D([], [], color=colour, linestyle=LINES[verdict], linewidth=_BORDER, label=verdict)
        for verdict, colour in COLOURS.items()
        if verdict in verdicts
    ]
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(1 - GAP / WIDTH, 1),
        ncols=len(handles),
        frameon=False,
        fontsize=SMALL,
        borderpad=0.2,
    )


def _write(
    figure: Figure, x: float, y: float, text: str, color: str = INK, weight: str = "normal"
) -> None:
    """Words whose first letter stands at x, in a line that begins at y, in inches from above."""
    size = LARGE if weight == "bold" else SMALL
    height = figure.get_figheight()
    figure.text(
        *(x / WIDTH, 1 - (y + 0.75 * LABEL) / height, text),
        color=color,
        weight=weight,
        fontsize=size,
        parse_math=False,
    )
