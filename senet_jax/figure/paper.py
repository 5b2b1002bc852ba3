"""What all figures have in common: their widths, letters and colours, and how they are written."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from senet_jax.report.figure import GRID, INK, QUIET
from senet_jax.system.errors import printable, shortened
from senet_jax.system.files import atomic_write

DOTS_PER_INCH = 300
SMALL, LARGE = 7, 8
"""Points, of notes and of titles."""
HEAT = "cividis"
"""A map of colours that grows lighter steadily; for colour-blind eyes it is the same."""
_LABEL = 40  # Characters.

_STYLE: Any = {
    "pdf.fonttype": 42,  # Letters stay letters.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": SMALL,
    "axes.titlesize": LARGE,
    "axes.labelsize": SMALL,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
}
in_style = mpl.rc_context(_STYLE)
"""Decorates a function that draws."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, its size in inches, that keeps its words from overlapping."""
    size = (width, height)
    return Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")


@in_style
def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure as its file's ending says, with letters that stay letters; atomically."""
    kind = pathlib.Path(path).suffix.removeprefix(".")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH)


def label(text: str, limit: int = _LABEL) -> str:
    """A name from elsewhere, short and on one line."""
    return shortened(printable(text), limit)


def apart(*choices: Sequence[str]) -> list[str]:
    """The first of several lists of names in which none is empty or there twice, else letters."""
    for names in choices:
        if all(names) and len(set(names)) == len(names):
            return list(names)
    return [chr(ord("A") + place) for place in range(len(choices[0]))]


def title(axes: Axes, text: str, **options: Any) -> None:
    """Writes a title; names in it are no formulas."""
    axes.set_title(text, parse_math=False, **options)


def legend_below(figure: Figure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Says below all axes what lines and marks are, by names from anywhere."""
    # A name that begins with _ would be left out.
    legend = figure.legend(handles, ["name"] * len(names), loc="outside lower left", ncols=2)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(label(name))
        text.set_parse_math(False)


def without_ticks(axes: Axes) -> None:
    """Leaves nothing but what is drawn."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)
