"""HTML of values: whatever comes from a file is escaped here, and nowhere else.

`Markup` is HTML that is ready; a plain string is text of unknown origin.
"""

import base64
import dataclasses
import html
from collections.abc import Iterable, Sequence
from typing import NewType

import numpy as np

from senet_jax.report.pictures import Thumbnail
from senet_jax.system.errors import printable, shortened, shown

Markup = NewType("Markup", str)
MISSING = "\N{EN DASH}"
_LONGEST_TEXT = 300


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        note: what it says besides, in smaller letters.
        value: the number that it is sorted by; a cell without one comes last.
    """

    text: str
    note: str = ""
    value: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: the first of them is the heading of the row.
        quoted: whether the numbers are those of others.
    """

    cells: Sequence[Cell]
    quoted: bool = False


def text(value: object) -> Markup:
    """A value as text in HTML or in an attribute: escaped, on one line, shortened.

    Characters that cannot be seen or that change the direction of writing are spelled out.
    """
    said = value if isinstance(value, str) else shown(value)
    return Markup(html.escape(shortened(printable(said), _LONGEST_TEXT), quote=True))


def per_cent(score: float) -> str:
    """A score in [0, 1] times 100, or a dash for NaN."""
    return MISSING if np.isnan(score) else f"{100 * score:.1f}"


def score_cell(score: float, note: str = "") -> Cell:
    """A cell of a score in [0, 1], which may be NaN."""
    return Cell(per_cent(score), note, None if np.isnan(score) else float(score))


def number(value: object, format_: str, unit: str = "") -> str:
    """A number of a file with its unit, or a dash where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return MISSING
    return format(float(value), format_) + unit


def join(parts: Iterable[str]) -> Markup:
    """Pieces of HTML one after the other."""
    return Markup("\n".join(parts))


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Row], sorted_by: int | None = None
) -> Markup:
    """A table that can be scrolled by itself where it is too wide.

    Args:
        caption: what it is about.
        columns: their headings.
        rows: of as many cells.
        sorted_by: the column by which the rows stand in order, from low to high; a script lets one
            sort them otherwise then.
    """
    head = "".join(
        f'<th scope="col"{_SORTED * (column == sorted_by)}>{text(name)}</th>'
        for column, name in enumerate(columns)
    )
    kind = "" if sorted_by is None else ' class="sortable"'
    return join(
        [
            f'<div class="wide" role="region" tabindex="0" aria-label="{text(caption)}">',
            f"<table{kind}><caption>{text(caption)}</caption>",
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *map(_row, rows),
            "</tbody></table></div>",
        ]
    )


def image(picture: Thumbnail, alternative: str) -> Markup:
    """A picture that is part of the page."""
    content = base64.b64encode(picture.jpeg).decode("ascii")
    return Markup(
        f'<img width="{picture.width}" height="{picture.height}" decoding="async" '
        f'alt="{text(alternative)}" src="data:image/jpeg;base64,{content}">'
    )


_SORTED = ' aria-sort="ascending"'


def _row(row: Row) -> str:
    heading, *cells = row.cells
    kind = ' class="quoted"' if row.quoted else ""
    others = "".join(f"<td{_value(cell)}>{_content(cell)}</td>" for cell in cells)
    return f'<tr{kind}><th scope="row">{_content(heading)}</th>{others}</tr>'


def _value(cell: Cell) -> str:
    return "" if cell.value is None else f' data-value="{cell.value:.9g}"'


def _content(cell: Cell) -> str:
    return text(cell.text) + (f" <small>{text(cell.note)}</small>" if cell.note else "")
