"""Ranked lists as pictures: a query, and the first items that were found for it."""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from senet_jax.report.examples import Example, FoundItems
from senet_jax.report.figure import INK, QUIET, make_figure
from senet_jax.report.pictures import COLOURS, Verdict, fitted, fitted_query, rgb
from senet_jax.system.errors import printable

# Pixels.
TILE, BORDER, GAP = 132, 5, 10
WORDS = 20  # Below a tile.
QUERY = 2 * TILE + WORDS + GAP  # As high as two rows beside it.
_MARGIN, _HEADER, _CAPTION, _BELOW, _LINE = 40, 84, 30, 40, 22
_NARROWEST = 900  # The words above take as much.
_SHORTEST_LABEL, _LETTER, _BOLD_LETTER = 112, 10.5, 11.3


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the pictures of examples stand, in pixels.

    Attributes:
        top: of the first caption.
        rows: how many rows of items each example has at most.
        columns: how many items a row has at most.
        label_width: of the column of labels.
    """

    top: int
    rows: int
    columns: int
    label_width: int

    @classmethod
    def of(cls, examples: Sequence[Example], notes: int = 1) -> "Layout":
        """The layout that holds all of some examples, below so many lines of notes."""
        labels = [label for example in examples for label in example.rows]
        letters = max(len(line) for label in labels for line in label_lines(label))
        return cls(
            top=_HEADER + notes * _LINE,
            rows=max(len(example.rows) for example in examples),
            columns=max(len(f.images) for example in examples for f in example.rows.values()),
            label_width=max(_SHORTEST_LABEL, round(_BOLD_LETTER * letters) + GAP),
        )

    def query_corner(self, block: int) -> tuple[int, int]:
        """The x and y of the upper left corner of an example's query."""
        height = max(QUERY, self.rows * (TILE + WORDS + GAP) - WORDS - GAP)
        return _MARGIN, self.top + _CAPTION + block * (_CAPTION + height + _BELOW)

    def tile_corner(self, block: int, row: int, column: int) -> tuple[int, int]:
        """The x and y of the upper left corner of an item's tile, its border included."""
        x, y = self.query_corner(block)
        first = x + QUERY + 2 * GAP + self.label_width
        return first + column * (TILE + GAP), y + row * (TILE + WORDS + GAP)


def label_lines(label: str) -> list[str]:
    """A chain of re-ranking methods a line each; commas in parentheses are of a method's own."""
    return re.split(r"(?<=,)(?![^(]*\))", label)


def draw_ranked_lists(examples: Sequence[Example], title: str, notes: Sequence[str]) -> Figure:
    """Draws examples one below the other, under a legend of the borders' colours.

    Args:
        examples: what is drawn.
        title: of the whole.
        notes: what has to be known to read it, a line each.
    """
    layout = Layout.of(examples, len(notes))
    canvas = compose(examples, layout)
    height, width, _ = canvas.shape
    figure = make_figure(width, height)
    figure.figimage(canvas)

    def write(x: float, y: float, text: str, color: str = INK, **options: Any) -> None:
        text = "\n".join(printable(line) for line in text.split("\n"))
        figure.text(x / width, 1 - y / height, text, color=color, parse_math=False, **options)

    write(_MARGIN, 50, title, fontsize=18, weight="bold")
    for line, note in enumerate(notes):
        write(_MARGIN, 78 + line * _LINE, note, QUIET, fontsize=12)
    x = width - _MARGIN
    shown = verdicts_of(examples)
    for verdict, colour in reversed([each for each in COLOURS.items() if each[0] in shown]):
        x -= round(_LETTER * len(verdict)) + 40
        write(x, 50, "\N{BLACK SQUARE}", colour, fontsize=15)
        write(x + 23, 49, verdict, fontsize=13)
    for block, example in enumerate(examples):
        x, y = layout.query_corner(block)
        write(x, y - 11, example.caption, fontsize=13, weight="bold")
        for row, (label, found) in enumerate(example.rows.items()):
            x, y = layout.tile_corner(block, row, 0)
            x, middle = x - layout.label_width, y + TILE / 2
            text = "\n".join(label_lines(label))
            write(x, middle, text, fontsize=13, weight="bold", verticalalignment="bottom")
            precision = f"AP {100 * found.average_precision:.1f} %"
            write(x, middle + 4, precision, QUIET, fontsize=13, verticalalignment="top")
            for column, words in enumerate(_words_below(found)):
                x, y = layout.tile_corner(block, row, column)
                write(x, y + TILE + 16, words, QUIET, fontsize=11)
    return figure


def verdicts_of(examples: Sequence[Example]) -> set[Verdict]:
    """The verdicts that examples show."""
    return {v for example in examples for found in example.rows.values() for v in found.verdicts}


def _words_below(found: FoundItems) -> Iterator[str]:
    """The rank of every item, and its similarity where that is known."""
    pairs = itertools.zip_longest(found.images, found.similarities, fillvalue=math.nan)
    for rank, (_, similarity) in enumerate(pairs, start=1):
        yield f"{rank}" if math.isnan(similarity) else f"{rank} \N{MIDDLE DOT} {similarity:.2f}"


def compose(examples: Sequence[Example], layout: Layout) -> np.ndarray:
    """All pictures in their places, items with their borders, without a word.

    Returns:
        uint8[h w 3] RGB.
    """
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
