"""How a chosen point of a photograph resembles the rest of it, within the network.

Source: section 3 of the paper. The self-similarity module compares its map q at each position with
q in a window around it, channel by channel. What is drawn are the cosine similarities of the point
to all positions, by the trunk's last map F and by q, and the mean over the channels of what the
module sees in its window.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from senet_jax.figure.heat import BAR, Seen, draw_bar, draw_heat, draw_photograph
from senet_jax.figure.paper import in_style, new_figure
from senet_jax.report.curve import COLOURS
from senet_jax.system.errors import UserError

_LARGEST = 1.9  # Inches of a column.


@in_style
def draw_self_similarity(seen: Seen, point: tuple[float, float], width: float) -> Figure:
    """Draws the photograph with the point, and what resembles it.

    Args:
        seen: the photograph.
        point: x and y in its pixels; centres are integers.
        width: of the figure, in inches; with few columns it is narrower.

    Raises:
        UserError: the point is outside of the photograph.
    """
    height, length = seen.pixels.shape[:2]
    x, y = point
    if not (0 <= x < length and 0 <= y < height):
        raise UserError(
            f"the point {x:g},{y:g} is outside of the photograph, which is {length}x{height}"
        )
    [row], [column] = seen.positions(np.array([x]), np.array([y]))
    heats = {"F": _cosines(seen.maps[seen.trunk], row, column)}
    if "self_similarity" in seen.maps:
        heats["q"] = _cosines(seen.maps["q"], row, column)
        heats["window"] = _window(seen, row, column)
    columns = 1 + len(heats)
    inches = min(width / columns, _LARGEST)
    figure = new_figure(columns * inches, inches * max(1, height / length) + 0.55)
    [first, *others], bars = figure.subplots(2, columns, height_ratios=[1, BAR])
    bars[0].set_visible(False)
    draw_photograph(first, seen, inches)
    first.set_title("photograph")
    _mark(first, x, y)
    for axes, bar, (name, heat) in zip(others, bars[1:], heats.items(), strict=True):
        limits = float(np.nanmin(heat)), float(np.nanmax(heat))
        drawn = draw_heat(axes, seen, heat, limits, inches)
        axes.set_title(name)
        _mark(axes, x, y)
        draw_bar(figure, bar, drawn, limits)
    return figure


def _cosines(maps: np.ndarray, row: int, column: int) -> np.ndarray:
    """Of each position with one of them: float32[h w c] -> float32[h w]."""
    norms = np.linalg.norm(maps, axis=-1)
    products = maps @ maps[row, column]
    return products / np.maximum(norms * norms[row, column], np.finfo(np.float32).tiny)


def _window(seen: Seen, row: int, column: int) -> np.ndarray:
    """What the module sees of a position, where it lies in the map; NaN elsewhere: float32[h w]."""
    around = seen.maps["self_similarity"][row, column].mean(axis=-1)  # [u v]
    rows, columns = seen.grid
    radius = len(around) // 2
    padded = np.full((rows + 2 * radius, columns + 2 * radius), np.nan, np.float32)
    padded[row : row + len(around), column : column + len(around)] = around
    return padded[radius : radius + rows, radius : radius + columns]


def _mark(axes: Axes, x: float, y: float) -> None:
    for colour, size, thickness in (("white", 7, 2.2), (COLOURS[1], 6, 1.2)):
        axes.plot(x, y, marker="+", color=colour, markersize=size, markeredgewidth=thickness)
