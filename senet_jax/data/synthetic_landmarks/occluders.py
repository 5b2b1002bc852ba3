"""Things that stand around and before a building: trees, people, poles and cars."""

from collections.abc import Callable

import cv2
import numpy as np

from senet_jax.data.synthetic_landmarks.light import Light
from senet_jax.data.synthetic_landmarks.palette import Colour, bgr

Draw = Callable[[np.ndarray, tuple[float, float], float, Light, np.random.Generator], None]
"""Draws onto a canvas, from the foot's pixel upwards, so many pixels high."""


def _under(light: Light, colour: Colour, factor: float = 1.0) -> Colour:
    strength = (light.level * factor).tolist()
    blue, green, red = (min(255, round(c * s)) for c, s in zip(colour, strength, strict=True))
    return blue, green, red


def _tree(
    canvas: np.ndarray,
    foot: tuple[float, float],
    height: float,
    light: Light,
    rng: np.random.Generator,
) -> None:
    x, y = foot
    trunk = max(1, round(0.05 * height))
    cv2.line(
        canvas,
        (round(x), round(y)),
        (round(x), round(y - 0.5 * height)),
        _under(light, bgr("#5c4534")),
        trunk,
    )
    leaves = _LEAVES[int(rng.integers(len(_LEAVES)))]
    sunward = 1 if light.direction[0] > 0 else -1
    crown = np.array([x, y - 0.68 * height])
    middles = crown + rng.normal(0, 1, (11, 2)).clip(-1.6, 1.6) * [0.13 * height, 0.14 * height]
    radii = rng.uniform(0.1, 0.17, 11) * height
    for factor, shift, shrink in ((0.62, 0.0, 1.0), (0.82, 0.025, 0.82), (1.0, 0.05, 0.5)):
        colour = _under(light, leaves, factor)
        moved = middles + np.array([sunward, -1]) * shift * height
        sizes = (radii * shrink).astype(int).tolist()
        for middle, radius in zip(moved.astype(int).tolist(), sizes, strict=True):
            cv2.circle(canvas, middle, max(1, radius), colour, -1)


_LEAVES = tuple(bgr(code) for code in ("#5d8a3c", "#74983f", "#3f7a4a", "#c08a34", "#8a9a4a"))


def _person(
    canvas: np.ndarray,
    foot: tuple[float, float],
    height: float,
    light: Light,
    rng: np.random.Generator,
) -> None:
    x, y = foot
    coat = _under(light, _COATS[int(rng.integers(len(_COATS)))])
    legs = _under(light, bgr("#39404f"))
    half = 0.13 * height
    for side in (-0.6, 0.6):
        start = (round(x + side * half), round(y))
        end = (round(x + 0.4 * side * half), round(y - 0.48 * height))
        cv2.line(canvas, start, end, legs, max(1, round(0.09 * height)))
    body = [[-1, 0.42], [1, 0.42], [0.8, 0.84], [-0.8, 0.84]]
    points = [[round(x + a * half), round(y - b * height)] for a, b in body]
    cv2.fillPoly(canvas, [np.array(points, np.int32)], coat)
    head = (round(x), round(y - 0.92 * height))
    skin = _under(light, _SKINS[int(rng.integers(len(_SKINS)))])
    cv2.circle(canvas, head, max(1, round(0.085 * height)), skin, -1)


_COATS = tuple(
    bgr(code) for code in ("#b03a48", "#2f5d8a", "#d9a441", "#4b6b4f", "#e4ded0", "#704a78")
)
_SKINS = tuple(bgr(code) for code in ("#e8b999", "#c68f6a", "#8a5a3c"))


def _lamp(
    canvas: np.ndarray,
    foot: tuple[float, float],
    height: float,
    light: Light,
    rng: np.random.Generator,
) -> None:
    x, y = foot
    iron = _under(light, bgr("#3a3d42"))
    top = (round(x), round(y - 0.93 * height))
    cv2.line(canvas, (round(x), round(y)), top, iron, max(1, round(0.035 * height)))
    glass = bgr("#ffe6a0") if light.lit > 0.2 else _under(light, bgr("#e9e6da"))
    cv2.circle(canvas, top, max(2, round(0.055 * height)), iron, -1)
    cv2.circle(canvas, top, max(1, round(0.042 * height)), glass, -1)


def _car(
    canvas: np.ndarray,
    foot: tuple[float, float],
    height: float,
    light: Light,
    rng: np.random.Generator,
) -> None:
    x, y = foot
    paint = _COATS[int(rng.integers(len(_COATS)))]

    def polygon(corners, colour):
        points = [[round(x + a * height), round(y - b * height)] for a, b in corners]
        cv2.fillPoly(canvas, [np.array(points, np.int32)], colour)

    polygon([(-1.35, 0.02), (1.35, 0.02), (1.35, 0.0), (-1.35, 0.0)], bgr("#1f1f1f"))
    polygon([(-1.4, 0.16), (1.4, 0.16), (1.35, 0.52), (-1.4, 0.58)], _under(light, paint))
    polygon([(-0.95, 0.55), (0.85, 0.53), (0.5, 0.98), (-0.65, 1.0)], _under(light, paint, 0.92))
    polygon([(-0.8, 0.58), (0.68, 0.57), (0.42, 0.9), (-0.58, 0.92)], _under(light, bgr("#5b7486")))
    for wheel in (-0.8, 0.8):
        middle = (round(x + wheel * height), round(y - 0.17 * height))
        cv2.circle(canvas, middle, max(1, round(0.2 * height)), bgr("#24262a"), -1)


OCCLUDERS: dict[str, tuple[Draw, float]] = {
    "tree": (_tree, 1.0),
    "person": (_person, 0.5),
    "lamp": (_lamp, 0.9),
    "car": (_car, 0.42),
}
"""How each kind is drawn, and its height as a share of the view's tallest."""
