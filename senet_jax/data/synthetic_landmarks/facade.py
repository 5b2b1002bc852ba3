"""The walls of a building, drawn flat and once: a view only warps them."""

import functools
from typing import NamedTuple

import cv2
import numpy as np

from senet_jax.data.synthetic_landmarks.grammar import Landmark, Style
from senet_jax.data.synthetic_landmarks.palette import Colour, bgr, mixed, shaded
from senet_jax.data.synthetic_landmarks.parts import PARTS, Cell

_SUPERSAMPLING = 2


class Wall(NamedTuple):
    """A wall seen straight from the front, by even daylight.

    Attributes:
        image: uint8[h w 3], BGR.
        panes: uint8[h w], 0 where there is no glass, else the number of the cell (from 1).
    """

    image: np.ndarray
    panes: np.ndarray


@functools.lru_cache(maxsize=1024)
def front_wall(landmark: Landmark, pixels_per_unit: int) -> Wall:
    """The front of a building, without its roof."""
    style = landmark.style
    wall, scale = _bare_wall(style, style.width, pixels_per_unit)
    accents = dict(style.accents)
    rows = [[(kind, accents[kind]) for kind in storey] for storey in landmark.arrangement]
    _draw_cells(wall, scale, style, rows, style.margin)
    if style.pilasters:
        for bay in range(style.bays + 1):
            _pilaster(wall.image, (style.margin + bay * style.bay_width) * scale, scale, style)
    _eaves_shadow(wall.image, scale)
    return _finished(wall)


@functools.lru_cache(maxsize=512)
def side_wall(style: Style, pixels_per_unit: int) -> Wall:
    """The plain wall at the side: the same for every sibling."""
    wall, scale = _bare_wall(style, style.depth, pixels_per_unit)
    bays = max(1, round(style.depth / style.bay_width))
    rows = [[("rectangular", style.trim)] * bays] * len(style.storey_heights)
    _draw_cells(wall, scale, style, rows, 0)
    _eaves_shadow(wall.image, scale)
    return _finished(wall)


def _draw_cells(
    wall: Wall,
    scale: float,
    style: Style,
    rows: list[list[tuple[str, Colour]]],
    margin: float,
) -> None:
    """Draws parts, each a kind and its colour, storey by storey from the ground upwards."""
    floor = wall.panes.shape[0]
    edges = np.linspace(margin * scale, wall.panes.shape[1] - margin * scale, len(rows[0]) + 1)
    for storey, (row, height) in enumerate(zip(rows, style.storey_heights, strict=True)):
        ceiling = floor - height * scale
        for bay, (kind, accent) in enumerate(row):
            left, right = edges[bay : bay + 2].round().astype(int)
            place = np.s_[round(ceiling) : round(floor), left:right]
            number = storey * len(row) + bay + 1
            PARTS[kind](Cell(wall.image[place], wall.panes[place], number, style, accent))
        if storey < len(rows) - 1:
            _string_course(wall.image, ceiling, scale, style)
        floor = ceiling


def _bare_wall(style: Style, width: float, pixels_per_unit: int) -> tuple[Wall, float]:
    """A wall with its texture and stains, supersampled, and its pixels per unit."""
    scale = pixels_per_unit * _SUPERSAMPLING
    rows, columns = round(style.wall_height * scale), round(width * scale)
    image = np.full((rows, columns, 3), style.wall, np.uint8)
    _JOINTS[style.wall_texture](image, scale, style)
    # The stains are drawn at one size and stretched, so that they do not depend on the pixels.
    stains = np.random.default_rng(style.grain).normal(0, 1, (24, 24)).astype(np.float32)
    stains = cv2.resize(cv2.GaussianBlur(stains, (0, 0), 0.8), (columns, rows))
    shade = np.clip(1 + 0.045 * stains, 0.85, 1.12)
    shade[-round(0.22 * scale) :] *= 0.9
    image = np.clip(image * shade[..., None], 0, 255).astype(np.uint8)
    return Wall(image, np.zeros((rows, columns), np.uint8)), scale


def _plaster(image: np.ndarray, scale: float, style: Style) -> None:
    base = round(image.shape[0] - 0.22 * scale)
    image[base:] = shaded(style.wall, 0.82)


def _brick(image: np.ndarray, scale: float, style: Style) -> None:
    _courses(image, 0.11 * scale, 0.27 * scale, shaded(style.wall, 0.84))


def _ashlar(image: np.ndarray, scale: float, style: Style) -> None:
    _courses(image, 0.26 * scale, 0.55 * scale, shaded(style.wall, 0.87))


def _courses(image: np.ndarray, height: float, length: float, joint: Colour) -> None:
    """Horizontal joints, and vertical ones that change places from course to course."""
    rows, columns = image.shape[:2]
    thickness = max(1, round(height * 0.12))
    for course, top in enumerate(np.arange(0, rows, height)):
        y = round(top)
        image[y : y + thickness] = joint
        for x in np.arange(length * (0.5 if course % 2 else 1), columns, length):
            image[y : round(top + height), round(x) : round(x) + thickness] = joint


def _bands(image: np.ndarray, scale: float, style: Style) -> None:
    band = mixed(style.wall, style.trim, 0.45)
    for top in np.arange(0.16 * scale, image.shape[0], 0.32 * scale):
        image[round(top) : round(top + 0.12 * scale)] = band


def _timber(image: np.ndarray, scale: float, style: Style) -> None:
    beam = mixed(style.wall, bgr("#4a3626"), 0.5)
    thickness = round(0.055 * scale)
    rows, columns = image.shape[:2]
    for x in np.linspace(0, columns - thickness, max(2, round(columns / scale * 2))):
        image[:, round(x) : round(x) + thickness] = beam
    for y in np.arange(0, rows, 0.52 * scale):
        image[round(y) : round(y) + thickness] = beam


_JOINTS = {
    "plaster": _plaster,
    "brick": _brick,
    "ashlar": _ashlar,
    "bands": _bands,
    "timber": _timber,
}


def _string_course(image: np.ndarray, y: float, scale: float, style: Style) -> None:
    """The ledge between two storeys, and its shadow."""
    middle, half = round(y), max(1, round(0.025 * scale))
    image[middle - half : middle + half] = style.trim
    image[middle + half : middle + 2 * half] = shaded(style.wall, 0.65)


def _pilaster(image: np.ndarray, x: float, scale: float, style: Style) -> None:
    middle, half = round(x), max(1, round(0.035 * scale))
    left = max(0, middle - half)
    image[:, left : middle + half] = mixed(style.wall, style.trim, 0.75)
    image[:, middle + half : middle + half + max(1, half // 2)] = shaded(style.wall, 0.7)


def _eaves_shadow(image: np.ndarray, scale: float) -> None:
    rows = round(0.3 * scale)
    shade = np.linspace(0.5, 1, rows)[:, None, None] ** 0.7
    image[:rows] = (image[:rows] * shade).astype(np.uint8)


def _finished(wall: Wall) -> Wall:
    rows, columns = (side // _SUPERSAMPLING for side in wall.panes.shape)
    return Wall(
        cv2.resize(wall.image, (columns, rows), interpolation=cv2.INTER_AREA),
        cv2.resize(wall.panes, (columns, rows), interpolation=cv2.INTER_NEAREST),
    )
