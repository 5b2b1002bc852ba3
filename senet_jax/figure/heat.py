"""Maps of a network in colours over the photograph that they are of."""

import math
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from senet_jax.api import Model
from senet_jax.data.revisitop import Photograph
from senet_jax.features.reader import read_part
from senet_jax.figure.paper import DOTS_PER_INCH, HEAT, without_ticks
from senet_jax.report.pictures import fitted

TRUNK = ("head", "s4")
"""What the last map of a trunk is called; the first of them that a network has."""
BAR = 0.07
"""The height of a bar of colours, beside that of a picture."""
_OPACITY = 0.65


class Seen:
    """A photograph, or a part of it, as a network sees it.

    Args:
        model: the network.
        photograph: with its box, if a part of it is looked at.

    Attributes:
        pixels: uint8[h w 3] BGR.
        corner: x and y of the first pixel in the photograph.
        maps: of the network, see `Model.maps`.
        trunk: the name of the last map of the trunk.

    Raises:
        UserError: the photograph cannot be read, or the box is not in it.
    """

    def __init__(self, model: Model, photograph: Photograph):
        part = read_part(photograph)
        self.pixels, self.corner = part.pixels, part.corner
        self.maps = model.maps(part.pixels, order="bgr")
        self.trunk = next(name for name in TRUNK if name in self.maps)
        self._stride, self._first = model.stride, model.first

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the last maps."""
        height, width = self.maps[self.trunk].shape[:2]
        return height, width

    def positions(self, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the last maps whose positions are nearest to pixels.

        Where the family of the network does not tell its stride, positions divide the photograph
        evenly.

        Args:
            xs: float[n], pixel centres are integers.
            ys: float[m].

        Returns:
            int[m] and int[n].
        """
        found = []
        for pixels, count, side in zip((ys, xs), self.grid, self.pixels.shape[:2], strict=True):
            stride = self._stride or side / count
            first = self._first if self._stride else (stride - 1) / 2
            found.append(np.clip(np.rint((pixels - first) / stride), 0, count - 1).astype(int))
        return found[0], found[1]


def draw_photograph(axes: Axes, seen: Seen, inches: float, grey: bool = False) -> None:
    """Draws a photograph, sharp enough for a long side of so many inches, in its own pixels."""
    picture = fitted(seen.pixels, round(inches * DOTS_PER_INCH))
    if grey:
        picture = np.repeat(picture.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    axes.imshow(picture, extent=_extent(seen), aspect="equal")
    without_ticks(axes)


def draw_heat(
    axes: Axes, seen: Seen, heat: np.ndarray, limits: tuple[float, float], inches: float
) -> AxesImage:
    """Draws a map, float[h w], over its photograph in grey; see `draw_photograph`."""
    draw_photograph(axes, seen, inches, grey=True)
    height, width = seen.pixels.shape[:2]
    dots = round(inches * DOTS_PER_INCH)
    x, y = ((np.arange(dots) + 0.5) * side / dots - 0.5 for side in (width, height))
    rows, columns = seen.positions(x, y)
    return axes.imshow(
        heat[rows[:, None], columns],
        extent=_extent(seen),
        aspect="equal",
        cmap=HEAT,
        alpha=_OPACITY,
        interpolation="nearest",
        vmin=limits[0],
        vmax=limits[1],
    )


def decimals_of(limits: tuple[float, float]) -> int:
    """How many decimals tell the ends of a range apart, two at least."""
    return max(2, 1 - math.floor(math.log10(max(limits[1] - limits[0], 1e-6))))


def draw_bar(figure: Figure, axes: Axes, drawn: AxesImage, limits: tuple[float, float]) -> None:
    """Draws a bar of colours, and writes its ends below it, within its length."""
    bar = figure.colorbar(drawn, cax=axes, orientation="horizontal")
    decimals = decimals_of(limits)
    cast(Any, bar.outline).set_visible(False)
    bar.set_ticks(list(limits), labels=[f"{limit:.{decimals}f}" for limit in limits])
    bar.ax.tick_params(length=0)
    left, right = bar.ax.get_xticklabels()
    left.set_horizontalalignment("left")
    right.set_horizontalalignment("right")


def _extent(seen: Seen) -> tuple[float, float, float, float]:
    """Left, right, lower and upper edge; pixel centres are integers."""
    height, width = seen.pixels.shape[:2]
    return -0.5, width - 0.5, height - 0.5, -0.5
