"""What all pictures of a report have in common."""

import os

from matplotlib.figure import Figure

from senet_jax.system.files import atomic_write

INK = "#22272b"
QUIET = "#6b747c"
GRID = "#e3e7ea"
_DOTS_PER_INCH = 100


def make_figure(width: int, height: int) -> Figure:
    """An empty white figure, its size in pixels."""
    inches = (width / _DOTS_PER_INCH, height / _DOTS_PER_INCH)
    return Figure(figsize=inches, dpi=_DOTS_PER_INCH, facecolor="white")


def save_png(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure pixel by pixel as it is; see `atomic_write`."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DOTS_PER_INCH)
