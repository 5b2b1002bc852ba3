"""Ranked lists as pictures: a query, and the first items that were found for it."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from senet_jax.report.examples import Example
from senet_jax.report.figure import INK, QUIET, make_figure
from senet_jax.report.pictures import COLOURS, Verdict, fitted, fitted_query, rgb

# Pixels.
TILE, BORDER, GAP = 112, 5, 10
QUERY = 2 * TILE + GAP  # As high as two rows beside it.
_MARGIN, _HEADER, _CAPTION, _BELOW = 40, 104, 30, 26
_NARROWEST = 900  # The words above take as much.
_SHORTEST_LABEL, _LETTER = 112, 9.5


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the pictures of examples stand, in pixels.

    Attributes:
        rows: how many rows of items each example has at most.
        columns: how many items a row has at most.
        label_width: of the column of labels.
    """

    rows: int
    columns: int
    label_width: int

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "Layout":
        """The layout that holds all of some examples."""
        labels = [label for example in examples for label in example.rows]
        letters = max(len(line) for label in labels for line in label_lines(label))
        return cls(
            rows=max(len(example.rows) for example in examples),
            columns=max(len(f.images) for example in examples for f in example.rows.values()),
            label_width=max(_SHORTEST_LABEL, round(_LETTER * letters) + GAP),
        )

    def query_corner(self, block: int) -> tuple[int, int]:
        """The x and y of the upper left corner of an example's query."""
        height = max(QUERY, self.rows * (TILE + GAP) - GAP)
        return _MARGIN, _HEADER + _CAPTION + block * (_CAPTION + height + _BELOW)

    def tile_corner(self, block: int, row: int, column: int) -> tuple[int, int]:
        """The x and y of the upper left corner of an item's tile, its border included."""
        x, y = self.query_corner(block)
        first = x + QUERY + 2 * GAP + self.label_width
        return first + column * (TILE + GAP), y + row * (TILE + GAP)


def label_lines(label: str) -> list[str]:
    """A chain of re-ranking methods a line each; commas in parentheses are of a method's own."""
    return re.split(r"(?<=,)(?![^(]*\))", label)


def draw_ranked_lists(examples: Sequence[Example], title: str, note: str) -> Figure:
    """Draws examples one below the other, under a legend of the borders' colours."""
    canvas, layout = compose(examples), Layout.of(examples)
    height, width, _ = canvas.shape
    figure = make_figure(width, height)
    figure.figimage(canvas)

    def write(x: float, y: float, text: str, color: str = INK, **options: Any) -> None:
        figure.text(x / width, 1 - y / height, text, color=color, **options)

    write(_MARGIN, 54, title, fontsize=18, weight="bold")
    write(_MARGIN, 82, note, QUIET, fontsize=11)
    for place, (verdict, colour) in enumerate(COLOURS.items()):
        x = width - _MARGIN - 85 * (len(COLOURS) - place) + 20
        write(x, 54, "\N{BLACK SQUARE}", colour, fontsize=15)
        write(x + 23, 53, verdict, fontsize=12)
    for block, example in enumerate(examples):
        x, y = layout.query_corner(block)
        write(x, y - 11, example.caption, fontsize=12, weight="bold")
        for row, (label, found) in enumerate(example.rows.items()):
            x, y = layout.tile_corner(block, row, 0)
            x, middle = x - layout.label_width, y + TILE / 2
            text = "\n".join(label_lines(label))
            write(x, middle, text, fontsize=12, weight="bold", verticalalignment="bottom")
            precision = f"AP {100 * found.average_precision:.1f} %"
            write(x, middle + 4, precision, QUIET, fontsize=12, verticalalignment="top")
    return figure


def compose(examples: Sequence[Example]) -> np.ndarray:
    """All pictures in their places, items with their borders, without a word.

    Returns:
        uint8[h w 3] RGB.
    """
    layout = Layout.of(examples)
    width = max(layout.tile_corner(0, 0, layout.columns)[0] - GAP + _MARGIN, _NARROWEST)
    height = layout.query_corner(len(examples))[1] - _CAPTION
    canvas = np.full((height, width, 3), 255, np.uint8)
    for block, example in enumerate(examples):
        query = fitted_query(example.image, example.box, QUERY)
        _paste(canvas, layout.query_corner(block), QUERY, query)
        for row, found in enumerate(example.rows.values()):
            for column, item in enumerate(zip(found.images, found.verdicts, strict=True)):
                _paste(canvas, layout.tile_corner(block, row, column), TILE, _item_picture(*item))
    return canvas


def _item_picture(image: np.ndarray, verdict: Verdict) -> np.ndarray:
    picture = fitted(image, TILE - 2 * BORDER)
    borders = [(BORDER, BORDER), (BORDER, BORDER)]
    return np.stack(
        [
            np.pad(picture[..., channel], borders, constant_values=value)
            for channel, value in enumerate(rgb(COLOURS[verdict]))
        ],
        axis=-1,
    )


def _paste(canvas: np.ndarray, corner: tuple[int, int], side: int, picture: np.ndarray) -> None:
    """Puts a picture into the middle of a square of the canvas."""
    height, width = picture.shape[:2]
    x, y = corner[0] + (side - width) // 2, corner[1] + (side - height) // 2
    canvas[y : y + height, x : x + width] = picture
