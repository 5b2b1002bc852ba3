"""What is around a building: sky, clouds, skyline and ground."""

import functools
import math

import cv2
import numpy as np

from senet_jax.data.synthetic_landmarks.camera import Camera
from senet_jax.data.synthetic_landmarks.light import Light
from senet_jax.data.synthetic_landmarks.palette import WHITE, Colour, bgr, mixed, shaded
from senet_jax.data.synthetic_landmarks.views import View

_TILE_PIXELS = 128
_TILE_UNITS = 2.0
_CLOUD_COVER = {"clear": 0.1, "clouds": 0.5, "haze": 0.3, "rain": 0.75, "snow": 0.7}


def draw_sky(side: int, light: Light, view: View, rng: np.random.Generator) -> np.ndarray:
    """uint8[s s 3]: a gradient from zenith to horizon, clouds, and stars at night."""
    # The sky is smooth: a quarter of the pixels will do.
    small = side // 2
    down = np.linspace(0, 1, small)[:, None] ** 0.8
    gradient = np.array(light.zenith) * (1 - down) + np.array(light.horizon) * down
    sky = np.repeat(gradient.astype(np.uint8)[:, None], small, axis=1)
    cover = _CLOUD_COVER[view.weather]
    height, width = (length // 2 for length in _clouds().shape)
    top, left = rng.integers(0, height), rng.integers(0, width)
    field = cv2.resize(_clouds()[top : top + height, left : left + width], (small, small))
    share = np.clip((field - (1 - cover)) * 2.5, 0, 0.85)
    bright = shaded(WHITE, float(light.ambient.mean()) + 0.1)
    cloud = np.full_like(sky, mixed(light.horizon, bright, 0.6))
    sky = cv2.resize(cv2.blendLinear(cloud, sky, share, 1 - share), (side, side))
    if view.moment == "night" and view.weather == "clear":
        stars = (rng.random((24, 2)) * [side, 0.6 * side]).astype(int)
        sky[stars[:, 1], stars[:, 0]] = bgr("#dfe6f5")
    return sky


@functools.lru_cache(maxsize=1)
def _clouds() -> np.ndarray:
    """float32[256 512], evenly spread over [0, 1]: noise of several scales, stretched sideways."""
    rng = np.random.default_rng(0)
    field = np.zeros((256, 512), np.float32)
    for octave in range(5):
        cells = rng.normal(0, 1, (6 << octave, 5 << octave)).astype(np.float32)
        field += cv2.resize(cells, (512, 256), interpolation=cv2.INTER_CUBIC) / 1.7**octave
    ranks = np.argsort(np.argsort(field, axis=None, kind="stable"), kind="stable")
    return (ranks / field.size).astype(np.float32).reshape(field.shape)


def draw_skyline(
    canvas: np.ndarray, camera: Camera, light: Light, rng: np.random.Generator
) -> None:
    """Hazy roofs and trees along the horizon."""
    side = canvas.shape[0]
    count = 9
    lefts = (np.linspace(-0.06, 0.94, count) + rng.uniform(-0.03, 0.03, count)) * side
    rights = lefts + rng.uniform(0.07, 0.17, count) * side
    feet = camera.horizon((lefts + rights) / 2)
    tops = feet - rng.uniform(0.015, 0.085, count) * side
    far = shaded(bgr("#6f8296"), float(light.ambient.mean()))
    tones = rng.uniform(0.65, 0.9, count).tolist()
    kinds = rng.integers(0, 3, count).tolist()
    outlines = np.stack([lefts, tops, rights, feet], 1).astype(int).tolist()
    for (left, top, right, foot), tone, kind in zip(outlines, tones, kinds, strict=True):
        colour = mixed(light.horizon, far, tone)
        middle, half = (left + right) // 2, (right - left) // 2
        if kind == 0:
            cv2.ellipse(canvas, (middle, foot), (half, foot - top), 0, 0, 360, colour, -1)
            continue
        # The ground is drawn over what reaches below a tilted horizon.
        cv2.rectangle(canvas, (left, top), (right, foot + half), colour, -1)
        if kind == 1:
            gable = np.array([[left, top], [middle, top - half // 2], [right, top]], np.int32)
            cv2.fillPoly(canvas, [gable], colour)


def draw_ground(
    canvas: np.ndarray,
    camera: Camera,
    light: Light,
    view: View,
    shadow: np.ndarray,
) -> None:
    """The ground below the horizon, with the building's shadow.

    Args:
        canvas: uint8[s s 3], drawn into.
        camera: the camera.
        light: the light.
        view: the view.
        shadow: float64[n 3], a polygon on the ground.
    """
    side = canvas.shape[0]
    left, right = camera.horizon(np.array([0.0, side - 1.0])).tolist()
    top = math.floor(min(left, right))
    if top >= side:
        return
    top = max(top, 0)
    tile = _ground_tiles()[view.ground]
    if view.weather == "snow":
        tile = cv2.addWeighted(tile, 0.25, np.full_like(tile, 245), 0.75, 0)
    tile = lit_image(tile, light.level * 0.92)
    upwards = np.array([[1, 0, 0], [0, 1, -top], [0, 0, 1]])
    units = np.diag([_TILE_UNITS / _TILE_PIXELS, _TILE_UNITS / _TILE_PIXELS, 1])
    ground = cv2.warpPerspective(
        tile,
        upwards @ camera.ground_homography() @ units,
        (side, side - top),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    outline = camera.project_outline(shadow) - [0, top]
    if len(outline):
        _darken(ground, outline, light.shadow)
    _fade_far(ground, (left + right) / 2 - top, tile, light)
    region = np.zeros(ground.shape[:2], np.uint8)
    corners = [[0, left - top], [side, right - top], [side, side - top], [0, side - top]]
    cv2.fillPoly(region, [np.round(corners).astype(np.int32)], 255)
    cv2.copyTo(ground, region, canvas[top:])


def _darken(ground: np.ndarray, outline: np.ndarray, strength: float) -> None:
    mask = np.full(ground.shape[:2], 255, np.uint8)
    corners = np.round(outline).clip(-9999, 9999).astype(np.int32)
    cv2.fillPoly(mask, [corners], round(255 * (1 - strength)))
    softness = 1 + ground.shape[1] // 64
    mask = cv2.blur(mask, (softness, softness))
    cv2.multiply(ground, cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR), dst=ground, scale=1 / 255)


def _fade_far(ground: np.ndarray, horizon: float, tile: np.ndarray, light: Light) -> None:
    """Far tiles are smaller than pixels: they fade into their mean and the haze."""
    reach = 0.16 * ground.shape[1]
    rows = min(len(ground), math.ceil(horizon + reach))
    if rows <= 0:
        return
    share = np.clip(1 - (np.arange(rows) - horizon) / reach, 0, 1)[:, None, None] ** 1.5
    far = np.array(mixed(cv2.mean(tile)[:3], light.horizon, 0.35))
    ground[:rows] = ground[:rows] * (1 - share) + far * share


def lit_image(image: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """An image uint8[h w 3] under light of BGR `strength`, float64[3]."""
    levels = np.arange(256)[:, None] * strength
    return cv2.LUT(image, np.minimum(levels, 255).astype(np.uint8)[None])


@functools.lru_cache(maxsize=1)
def _ground_tiles() -> dict[str, np.ndarray]:
    """Patterns of the ground, each uint8[t t 3] that repeats without a seam."""
    rng = np.random.default_rng(1)
    return {
        "flags": _flags(rng, bgr("#a9a59d"), 4),
        "slabs": _flags(rng, bgr("#bdb3a3"), 2),
        "cobbles": _flags(rng, bgr("#9a8c7c"), 8),
        "grass": _speckled(rng, bgr("#7c9a55"), 14),
        "gravel": _speckled(rng, bgr("#cdbb95"), 9),
    }


def _flags(rng: np.random.Generator, colour: Colour, count: int) -> np.ndarray:
    """Square flags with joints, each of its own shade."""
    shades = cv2.resize(
        rng.uniform(0.88, 1.08, (count, count)),
        (_TILE_PIXELS, _TILE_PIXELS),
        interpolation=cv2.INTER_NEAREST,
    )
    tile = shades[..., None] * colour * rng.normal(1, 0.02, (_TILE_PIXELS, _TILE_PIXELS, 1))
    pitch = _TILE_PIXELS // count
    joint = max(2, pitch // 16)
    for start in range(0, _TILE_PIXELS, pitch):
        tile[start : start + joint] *= 0.8
        tile[:, start : start + joint] *= 0.8
    return np.clip(tile, 0, 255).astype(np.uint8)


def _speckled(rng: np.random.Generator, colour: Colour, contrast: float) -> np.ndarray:
    """Grass or gravel."""
    grain = rng.normal(0, 1, (_TILE_PIXELS, _TILE_PIXELS, 1)).astype(np.float32)
    grain = grain + 2.5 * cv2.blur(grain, (9, 9), borderType=cv2.BORDER_REFLECT)[..., None]
    return np.clip(np.array(colour) + contrast * grain, 0, 255).astype(np.uint8)
