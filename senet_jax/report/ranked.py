"""Ranked lists as pictures: a query, and the first items that were found for it."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from senet_jax.data.transforms import box_slices
from senet_jax.report.figure import INK, QUIET, make_figure

Verdict = Literal["right", "wrong", "junk"]

# Green and red that colour-blind eyes can tell apart.
COLOURS: dict[Verdict, str] = {"right": "#009e73", "wrong": "#d0342c", "junk": "#9aa3aa"}
_BOX_COLOUR = "#ffd23f"

# Pixels.
TILE, BORDER, GAP = 112, 5, 10
QUERY = 2 * TILE + GAP  # As high as two rows beside it.
_MARGIN, _HEADER, _CAPTION, _BELOW = 40, 104, 30, 26
_NARROWEST = 900  # The words above take as much.
_SHORTEST_LABEL, _LETTER = 112, 9.5


@dataclasses.dataclass(frozen=True, eq=False)
class FoundItems:
    """The first items that were found for a query, best first.

    Attributes:
        average_precision: of the whole ranking, in [0, 1].
        images: uint8[h w 3] BGR, one for each item.
        verdicts: one for each item.
    """

    average_precision: float
    images: Sequence[np.ndarray]
    verdicts: Sequence[Verdict]


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """A query, and what was found for it in several ways.

    Attributes:
        caption: why it is shown.
        image: uint8[h w 3] BGR.
        box: the query's (x1, y1, x2, y2) in pixels, if it has one.
        rows: for each way what it found, from above.
    """

    caption: str
    image: np.ndarray
    box: Sequence[float] | None
    rows: Mapping[str, FoundItems]


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
        _paste(canvas, layout.query_corner(block), QUERY, _query_picture(example))
        for row, found in enumerate(example.rows.values()):
            for column, item in enumerate(zip(found.images, found.verdicts, strict=True)):
                _paste(canvas, layout.tile_corner(block, row, column), TILE, _item_picture(*item))
    return canvas


def _query_picture(example: Example) -> np.ndarray:
    picture = _fitted(example.image, QUERY)
    if example.box is None:
        return picture
    height, width = example.image.shape[:2]
    rows, columns = box_slices(example.box, height, width)
    factor = len(picture) / height
    first, last = (
        (round(x * factor), round(y * factor))
        for x, y in ((columns.start, rows.start), (columns.stop, rows.stop))
    )
    picture = np.ascontiguousarray(picture)
    for colour, thickness in ((INK, 5), (_BOX_COLOUR, 2)):
        cv2.rectangle(picture, first, last, _rgb(colour), thickness)
    return picture


def _item_picture(image: np.ndarray, verdict: Verdict) -> np.ndarray:
    picture = _fitted(image, TILE - 2 * BORDER)
    borders = [(BORDER, BORDER), (BORDER, BORDER)]
    return np.stack(
        [
            np.pad(picture[..., channel], borders, constant_values=value)
            for channel, value in enumerate(_rgb(COLOURS[verdict]))
        ],
        axis=-1,
    )


def _fitted(image: np.ndarray, side: int) -> np.ndarray:
    """A BGR image as RGB, its longer side as long as asked for."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=interpolation)[..., ::-1]


def _paste(canvas: np.ndarray, corner: tuple[int, int], side: int, picture: np.ndarray) -> None:
    """Puts a picture into the middle of a square of the canvas."""
    height, width = picture.shape[:2]
    x, y = corner[0] + (side - width) // 2, corner[1] + (side - height) // 2
    canvas[y : y + height, x : x + width] = picture


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in to_rgb(colour))
