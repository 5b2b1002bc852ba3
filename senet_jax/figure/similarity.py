"""How alike a query is to a positive and to a hard negative, within the network.

Source: Figure S1 of the supplement. What is drawn over a photograph is, for each of its positions,
the largest cosine similarity to a position of the other one: of the trunk's last map F, of the
structure D, and of both fused; and beside them the similarity of the descriptors.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from senet_jax.features.similarity import similarity
from senet_jax.figure.heat import BAR, Seen, decimals_of, draw_bar, draw_heat, draw_photograph
from senet_jax.figure.paper import LARGE, in_style, new_figure, title, without_ticks
from senet_jax.report.curve import COLOURS
from senet_jax.report.figure import GRID, QUIET

_LARGEST = 1.4  # Inches of a column.
_FLATTEST = 0.6


@in_style
def draw_similarity(query: Seen, others: Mapping[str, Seen], width: float) -> Figure:
    """Draws two rows for each other photograph, the query and itself, with a column for each map.

    Colours mean the same in all pictures of a column. The number below a picture is the mean over
    its positions.

    Args:
        query: the query.
        others: what it is compared with, by what it is.
        width: of the figure, in inches; with few columns it is narrower.
    """
    letters = {query.trunk: "F", "structure": "D", "fused": r"F$^s$"}
    alike = {name: similarity(query.maps, other.maps) for name, other in others.items()}
    maps = [name for name in letters if all(name in found for found in alike.values())]
    columns, rows = 2 + len(maps), 2 * len(others)
    inches = min(width / columns, _LARGEST)
    seen_of_row = [seen for other in others.values() for seen in (query, other)]
    # As high as their pictures, unless the text would not fit.
    heights = [float(np.clip(_aspect(seen), _FLATTEST, 1)) for seen in seen_of_row]
    figure = new_figure(columns * inches, (sum(heights) + 0.5) * inches)
    [*grid, bars] = figure.subplots(rows + 1, columns, height_ratios=[*heights, BAR])
    grid = np.array(grid)
    names = [what for name in others for what in ("query", name)]
    for axes, name, seen in zip(grid[:, 0], names, seen_of_row, strict=True):
        draw_photograph(axes, seen, inches)
        axes.set_ylabel(name, fontsize=LARGE, parse_math=False)
    for column, of_map in enumerate(maps, 1):
        heats = [
            found[of_map].max(axis=others)
            for found in alike.values()
            for others in ((2, 3), (0, 1))
        ]
        limits = float(min(map(np.min, heats))), float(max(map(np.max, heats)))
        decimals = decimals_of(limits)
        for axes, seen, heat in zip(grid[:, column], seen_of_row, heats, strict=True):
            drawn = draw_heat(axes, seen, heat, limits, inches)
            axes.set_xlabel(f"{heat.mean():.{decimals}f}", labelpad=2)
        draw_bar(figure, bars[column], drawn, limits)
        grid[0, column].set_title(letters[of_map])
    for place, other in enumerate(others.values()):
        _draw_descriptors(grid[2 * place, -1], _cosine(query, other))
        grid[2 * place, -1].set_box_aspect(heights[2 * place])
        grid[2 * place + 1, -1].set_visible(False)
    title(grid[0, -1], "descriptor")
    for axes in (bars[0], bars[-1]):
        axes.set_visible(False)
    return figure


def _draw_descriptors(axes: Axes, value: float) -> None:
    """A bar from 0 to 1."""
    without_ticks(axes)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.barh([0.5], [1], height=0.16, color=GRID)
    axes.barh([0.5], [max(value, 0)], height=0.16, color=COLOURS[0])
    axes.text(0.5, 0.64, f"{value:.3f}", horizontalalignment="center", fontsize=LARGE)
    for end in (0, 1):
        axes.text(end, 0.26, str(end), horizontalalignment=("left", "right")[end], color=QUIET)


def _aspect(seen: Seen) -> float:
    height, width = seen.pixels.shape[:2]
    return height / width


def _cosine(a: Seen, b: Seen) -> float:
    one, other = (seen.maps["descriptor"].astype(np.float64) for seen in (a, b))
    return float(one @ other / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-30))
