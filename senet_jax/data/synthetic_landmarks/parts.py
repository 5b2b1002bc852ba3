"""Draws the shared vocabulary of parts, each in one cell of a front.

Every part draws in its cell's own unit square, (0, 0) top left and (1, 1) bottom right, with a
colour of its own kind: at 64 pixels a cell is a dozen pixels wide, and must still be readable.
"""

from collections.abc import Callable

import cv2
import numpy as np

from senet_jax.data.synthetic_landmarks.grammar import Style
from senet_jax.data.synthetic_landmarks.palette import WHITE, Colour, bgr, mixed, shaded

Outline = np.ndarray
"""float64[n 2], a closed polygon in a cell's unit square."""

_STONE = bgr("#d9d2c4")
_RECESS = bgr("#2b2724")


class Cell:
    """One cell of a front, and how to draw in it; what reaches out of it is cut off.

    Args:
        image: uint8[h w 3], the cell's part of the front; drawn into.
        panes: uint8[h w], 0 where there is no glass, else the number of the cell; drawn into.
        number: this cell's number, from 1.
        style: the family's style.
        accent: the colour of the part's kind.
    """

    def __init__(
        self, image: np.ndarray, panes: np.ndarray, number: int, style: Style, accent: Colour
    ):
        self._image, self._panes, self._number = image, panes, number
        height, width = panes.shape
        self._size = np.array([width, height])
        self.trim, self.glass, self.wall = style.trim, style.glass, style.wall
        self.accent = accent
        self.aspect = width / height

    def _pixels(self, outline: Outline) -> np.ndarray:
        return np.round(np.asarray(outline) * self._size).astype(np.int32)

    def fill(self, outline: Outline, colour: Colour) -> None:
        """Fills a polygon; it hides the glass behind it."""
        corners = [self._pixels(outline)]
        cv2.fillPoly(self._image, corners, colour)
        cv2.fillPoly(self._panes, corners, 0)

    def pane(self, outline: Outline, colour: Colour) -> None:
        """Fills a polygon with glass: dark below the lintel, lighter where it mirrors the sky."""
        self.fill(outline, colour)
        self.fill(_lower_part(outline, 0.45), mixed(colour, bgr("#9fc3d8"), 0.28))
        cv2.fillPoly(self._panes, [self._pixels(outline)], self._number)

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: Colour) -> None:
        """Draws a bar of 4 % of the cell's width; it hides the glass behind it."""
        first, last = self._pixels(np.array([start, end])).tolist()
        thickness = max(1, round(0.04 * self._size[0]))
        cv2.line(self._image, first, last, colour, thickness)
        cv2.line(self._panes, first, last, 0, thickness)

    def disc(self, x: float, y: float, radius: float) -> Outline:
        """A circle; the radius counts in cell widths."""
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        radii = np.array([radius, radius * self.aspect])
        return np.array([x, y]) + radii * np.stack([np.cos(angles), np.sin(angles)], 1)


def _box(left: float, top: float, right: float, bottom: float) -> Outline:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _arch(left: float, top: float, right: float, bottom: float, rise: float = 0.28) -> Outline:
    angles = np.linspace(np.pi, 0, 12)
    middle, half = (left + right) / 2, (right - left) / 2
    curve = np.stack([middle + half * np.cos(angles), top + rise * (1 - np.sin(angles))], 1)
    return np.concatenate([curve, [[right, bottom], [left, bottom]]])


def _lancet(left: float, top: float, right: float, bottom: float) -> Outline:
    steps = np.linspace(0, 1, 8)
    middle, spring = (left + right) / 2, top + 0.36 * (bottom - top)
    rising = np.stack(
        [left + (middle - left) * steps**1.8, spring + (top - spring) * steps**0.9], 1
    )
    falling = rising[::-1] * [-1, 1] + [left + right, 0]
    return np.concatenate([rising, falling, [[right, bottom], [left, bottom]]])


def _lower_part(outline: Outline, share: float) -> Outline:
    top, bottom = outline[:, 1].min(), outline[:, 1].max()
    return np.maximum(outline, [-np.inf, bottom - share * (bottom - top)])


def _grown(outline: Outline, by: float) -> Outline:
    middle = (outline.min(0) + outline.max(0)) / 2
    half = (outline.max(0) - outline.min(0)) / 2
    return middle + (outline - middle) * (half + by) / half


def _opening(cell: Cell, outline: Outline, frame: Colour) -> None:
    """A framed window: shadow line, frame, reveal, glass, sill."""
    cell.fill(_grown(outline, 0.095), shaded(cell.wall, 0.62))
    cell.fill(_grown(outline, 0.075), frame)
    cell.fill(outline, _RECESS)
    cell.pane(np.maximum(outline, [0, outline[:, 1].min() + 0.04]), cell.glass)
    left, right, bottom = outline[:, 0].min(), outline[:, 0].max(), outline[:, 1].max()
    cell.fill(_box(left - 0.1, bottom + 0.08, right + 0.1, bottom + 0.13), shaded(cell.wall, 0.6))
    cell.fill(_box(left - 0.12, bottom + 0.03, right + 0.12, bottom + 0.09), cell.trim)


def _rectangular(cell: Cell) -> None:
    _opening(cell, _box(0.28, 0.2, 0.72, 0.8), cell.accent)
    cell.line((0.5, 0.2), (0.5, 0.8), cell.trim)
    cell.line((0.28, 0.44), (0.72, 0.44), cell.trim)
    cell.fill(_box(0.2, 0.06, 0.8, 0.12), cell.trim)


def _arched(cell: Cell) -> None:
    _opening(cell, _arch(0.27, 0.15, 0.73, 0.82), cell.accent)
    cell.line((0.5, 0.15), (0.5, 0.82), cell.trim)
    cell.line((0.27, 0.43), (0.73, 0.43), cell.trim)
    cell.fill(np.array([[0.44, 0.02], [0.56, 0.02], [0.53, 0.16], [0.47, 0.16]]), cell.trim)


def _pointed(cell: Cell) -> None:
    _opening(cell, _lancet(0.29, 0.1, 0.71, 0.84), cell.accent)
    cell.line((0.5, 0.3), (0.5, 0.84), cell.accent)
    cell.fill(cell.disc(0.5, 0.35, 0.09), cell.accent)


def _twin(cell: Cell) -> None:
    cell.fill(_arch(0.1, 0.08, 0.9, 0.9, 0.3), shaded(cell.wall, 0.62))
    cell.fill(_arch(0.12, 0.1, 0.88, 0.9, 0.3), cell.accent)
    for left in (0.18, 0.55):
        cell.pane(_arch(left, 0.38, left + 0.27, 0.84, 0.14), cell.glass)
    cell.pane(cell.disc(0.5, 0.27, 0.08), cell.glass)
    cell.fill(_box(0.06, 0.88, 0.94, 0.94), cell.trim)


def _rose(cell: Cell) -> None:
    cell.fill(cell.disc(0.5, 0.5, 0.42), shaded(cell.wall, 0.6))
    cell.fill(cell.disc(0.5, 0.5, 0.4), cell.trim)
    cell.pane(cell.disc(0.5, 0.5, 0.33), cell.glass)
    for angle in np.arange(8) * np.pi / 4:
        x, y = 0.21 * np.cos(angle), 0.21 * np.sin(angle) * cell.aspect
        cell.fill(cell.disc(0.5 + x, 0.5 + y, 0.075), mixed(cell.accent, WHITE, 0.15))
    cell.fill(cell.disc(0.5, 0.5, 0.1), cell.accent)


def _clock(cell: Cell) -> None:
    cell.fill(cell.disc(0.5, 0.5, 0.43), shaded(cell.wall, 0.55))
    cell.fill(cell.disc(0.5, 0.5, 0.4), cell.accent)
    cell.fill(cell.disc(0.5, 0.5, 0.3), bgr("#f8f4e6"))
    for angle in np.arange(12) * np.pi / 6:
        x, y = 0.25 * np.cos(angle), 0.25 * np.sin(angle) * cell.aspect
        cell.fill(cell.disc(0.5 + x, 0.5 + y, 0.02), bgr("#3a322a"))
    cell.line((0.5, 0.5), (0.36, 0.5 - 0.12 * cell.aspect), bgr("#241f1a"))
    cell.line((0.5, 0.5), (0.68, 0.5 - 0.14 * cell.aspect), bgr("#241f1a"))


def _balcony(cell: Cell) -> None:
    _opening(cell, _box(0.29, 0.1, 0.71, 0.72), cell.trim)
    cell.line((0.5, 0.1), (0.5, 0.72), cell.trim)
    cell.fill(_box(0.1, 0.94, 0.9, 1.0), shaded(cell.wall, 0.55))
    cell.fill(_box(0.08, 0.88, 0.92, 0.95), cell.accent)
    cell.fill(_box(0.1, 0.6, 0.9, 0.66), cell.accent)
    for x in np.linspace(0.12, 0.88, 8):
        cell.fill(_box(x - 0.022, 0.64, x + 0.022, 0.9), cell.accent)


def _niche(cell: Cell) -> None:
    outline = _arch(0.3, 0.1, 0.7, 0.86, 0.22)
    cell.fill(_grown(outline, 0.08), cell.trim)
    cell.fill(outline, shaded(cell.accent, 0.55))
    cell.fill(np.array([[0.42, 0.38], [0.58, 0.38], [0.64, 0.8], [0.36, 0.8]]), _STONE)
    cell.fill(cell.disc(0.5, 0.32, 0.07), _STONE)
    cell.fill(_box(0.34, 0.78, 0.66, 0.86), shaded(_STONE, 0.85))
    cell.fill(_box(0.22, 0.9, 0.78, 0.96), cell.accent)


def _shutters(cell: Cell) -> None:
    _opening(cell, _box(0.34, 0.18, 0.66, 0.82), cell.trim)
    cell.line((0.5, 0.18), (0.5, 0.82), cell.trim)
    for left in (0.05, 0.73):
        cell.fill(_box(left - 0.015, 0.13, left + 0.235, 0.89), shaded(cell.wall, 0.6))
        cell.fill(_box(left, 0.14, left + 0.22, 0.87), cell.accent)
        for y in np.linspace(0.2, 0.8, 7):
            cell.line((left + 0.04, y), (left + 0.18, y), shaded(cell.accent, 0.72))


def _columns(cell: Cell) -> None:
    cell.fill(_box(0.2, 0.24, 0.8, 0.92), shaded(cell.accent, 0.5))
    cell.pane(_box(0.36, 0.34, 0.64, 0.92), cell.glass)
    for left in (0.1, 0.72):
        cell.fill(_box(left, 0.26, left + 0.18, 0.92), cell.trim)
        cell.fill(_box(left + 0.12, 0.26, left + 0.18, 0.92), shaded(cell.trim, 0.76))
        cell.fill(_box(left - 0.03, 0.24, left + 0.21, 0.31), cell.trim)
        cell.fill(_box(left - 0.03, 0.88, left + 0.21, 0.95), cell.trim)
    cell.fill(np.array([[0.02, 0.25], [0.98, 0.25], [0.5, 0.02]]), shaded(cell.wall, 0.6))
    cell.fill(np.array([[0.06, 0.23], [0.94, 0.23], [0.5, 0.05]]), cell.accent)


def _arcade(cell: Cell) -> None:
    cell.fill(_box(0.04, 0.24, 0.96, 0.86), cell.accent)
    for left in (0.1, 0.39, 0.68):
        cell.fill(_arch(left, 0.32, left + 0.22, 0.8, 0.12), _RECESS)
        cell.pane(_arch(left + 0.03, 0.38, left + 0.19, 0.8, 0.1), cell.glass)
    cell.fill(_box(0.02, 0.84, 0.98, 0.91), cell.trim)
    cell.fill(_box(0.02, 0.18, 0.98, 0.25), cell.trim)


def _medallion(cell: Cell) -> None:
    diamond = np.array([[0.5, 0.08], [0.9, 0.5], [0.5, 0.92], [0.1, 0.5]])
    cell.fill(_grown(diamond, 0.03), shaded(cell.wall, 0.6))
    cell.fill(diamond, cell.trim)
    cell.fill(_grown(diamond, -0.09), cell.accent)
    cell.fill(cell.disc(0.5, 0.5, 0.12), cell.trim)


def _door(cell: Cell) -> None:
    cell.fill(_box(0.16, 0.14, 0.84, 1.0), cell.trim)
    cell.fill(_box(0.25, 0.36, 0.75, 1.0), cell.accent)
    cell.pane(_box(0.25, 0.24, 0.75, 0.34), cell.glass)
    for left in (0.3, 0.54):
        for top in (0.42, 0.7):
            cell.fill(_box(left, top, left + 0.16, top + 0.22), shaded(cell.accent, 0.7))
    cell.line((0.5, 0.36), (0.5, 1.0), shaded(cell.accent, 0.5))
    cell.fill(np.array([[0.08, 0.16], [0.92, 0.16], [0.5, 0.0]]), shaded(cell.trim, 0.8))


def _portal(cell: Cell) -> None:
    outline = _arch(0.24, 0.22, 0.76, 1.0, 0.34)
    cell.fill(_grown(outline, 0.16), cell.trim)
    cell.fill(_grown(outline, 0.09), shaded(cell.trim, 0.72))
    cell.fill(outline, cell.accent)
    cell.pane(_arch(0.3, 0.28, 0.7, 0.54, 0.24), cell.glass)
    cell.line((0.5, 0.54), (0.5, 1.0), shaded(cell.accent, 0.5))
    for left in (0.29, 0.55):
        cell.fill(_box(left, 0.62, left + 0.16, 0.92), shaded(cell.accent, 0.7))


PARTS: dict[str, Callable[[Cell], None]] = {
    "rectangular": _rectangular,
    "arched": _arched,
    "pointed": _pointed,
    "twin": _twin,
    "rose": _rose,
    "clock": _clock,
    "balcony": _balcony,
    "niche": _niche,
    "shutters": _shutters,
    "columns": _columns,
    "arcade": _arcade,
    "medallion": _medallion,
    "door": _door,
    "portal": _portal,
}
"""How each kind of part is drawn."""
