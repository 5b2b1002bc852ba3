"""What is around a building: sky, clouds, skyline and ground."""

import functools

import cv2
import numpy as np

from senet_jax.data.synthetic_landmarks.camera import Camera
from senet_jax.data.synthetic_landmarks.light import Light
from senet_jax.data.synthetic_landmarks.palette import Colour, bgr, mixed, shaded
from senet_jax.data.synthetic_landmarks.views import View

_TILE_PIXELS = 128
_TILE_UNITS = 2.0
_CLOUD_COVER = {"clear": 0.1, "clouds": 0.5, "haze": 0.3, "rain": 0.75, "snow": 0.7}


def draw_sky(side: int, light: Light, view: View, rng: np.random.Generator) -> np.ndarray:
    """uint8[s s 3]: a gradient from zenith to horizon, clouds, and stars at night."""
    # The sky is smooth: a quarter of the pixels will do.
    small = max(16, side // 2)
    down = np.linspace(0, 1, small, dtype=np.float32)[:, None] ** 0.8
    gradient = np.array(light.zenith) * (1 - down) + np.array(light.horizon) * down
    field = _clouds()
    top, left = rng.integers(0, field.shape[0] // 2, 2)
    cut = field[top : top + field.shape[0] // 2, left : left + field.shape[1] // 2]
    cut = cv2.resize(cut, (small, small))
    cover = _CLOUD_COVER[view.weather]
    alpha = np.clip((cut - (1 - cover)) * 2.5, 0, 0.85)[..., None]
    cloud = np.array(mixed(light.horizon, shaded((255, 255, 255), light.ambient.mean() + 0.1), 0.6))
    sky = gradient[:, None, :] + (cloud - gradient[:, None, :]) * alpha
    sky = cv2.resize(sky.astype(np.float32).astype(np.uint8), (side, side))
    if view.moment == "night" and view.weather == "clear":
        stars = (rng.random((24, 2)) * [side, 0.6 * side]).astype(int)
        sky[stars[:, 1], stars[:, 0]] = bgr("#dfe6f5")
    return sky


@functools.lru_cache(maxsize=1)
def _clouds() -> np.ndarray:
    """float32[256 512] in [0, 1], even in distribution: noise of several scales, wider than high."""
    rng = np.random.default_rng(0)
    field = np.zeros((256, 512), np.float32)
    for octave in range(5):
        cells = rng.normal(0, 1, (6 << octave, 5 << octave)).astype(np.float32)
        field += cv2.resize(cells, (512, 256), interpolation=cv2.INTER_CUBIC) / 1.7**octave
    ranks = np.argsort(np.argsort(field, axis=None, kind="stable"), kind="stable")
    return (ranks / field.size).astype(np.float32).reshape(field.shape)


def draw_skyline(canvas: np.ndarray, camera: Camera, light: Light, rng: np.random.Generator) -> None:
    """Hazy roofs and trees along the horizon."""
    side = canvas.shape[0]
    count = 11
    lefts = np.linspace(-0.05, 0.95, count) * side + rng.uniform(-0.03, 0.03, count) * side
    widths = rng.uniform(0.06, 0.14, count) * side
    heights = rng.uniform(0.015, 0.085, count) * side
    rows = camera.horizon(lefts + widths / 2)
    tones = rng.uniform(0.25, 0.5, count)
    far = shaded(bgr("#6f8296"), float(light.ambient.mean()))
    kinds = rng.integers(0, 3, count)
    for left, width, height, row, tone, kind in zip(
        lefts, widths, heights, rows, tones, kinds, strict=True
    ):
        colour = mixed(light.horizon, far, 0.4 + tone)
        x0, x1, top = round(left), round(left + width), round(row - height)
        bottom = round(row + 0.05 * side)
        middle = (x0 + x1) // 2
        if kind == 0:
            cv2.rectangle(canvas, (x0, top), (x1, bottom), colour, -1)
        elif kind == 1:
            gable = [[x0, bottom], [x0, top], [middle, round(top - 0.3 * width)], [x1, top]]
            cv2.fillPoly(canvas, [np.array([*gable, [x1, bottom]], np.int32)], colour)
        else:
            axes = ((x1 - x0) // 2 + 1, max(1, round(0.7 * height)))
            cv2.ellipse(canvas, (middle, round(row)), axes, 0, 0, 360, colour, -1)


def draw_ground(
    canvas: np.ndarray,
    camera: Camera,
    light: Light,
    view: View,
    shadows: list[np.ndarray],
) -> None:
    """The ground below the horizon, with cast shadows.

    Args:
        canvas: uint8[s s 3], drawn into.
        camera: the camera.
        light: the light.
        view: the view.
        shadows: float64[n 3] each, polygons on the ground.
    """
    side = canvas.shape[0]
    snowed = view.weather == "snow"
    tile = _ground_tiles()[view.ground % len(_ground_tiles())]
    if snowed:
        tile = cv2.addWeighted(tile, 0.25, np.full_like(tile, 245), 0.75, 0)
    tile = lit_image(tile, light.level * 0.92)
    units = np.diag([_TILE_UNITS / _TILE_PIXELS, _TILE_UNITS / _TILE_PIXELS, 1])
    ground = cv2.warpPerspective(
        tile,
        camera.ground_homography() @ units,
        (side, side),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    if shadows:
        mask = np.zeros((side, side), np.uint8)
        for shadow in shadows:
            outline = camera.project_outline(shadow)
            if len(outline) >= 3:
                cv2.fillPoly(mask, [np.round(outline).clip(-9999, 9999).astype(np.int32)], 255)
        mask = cv2.blur(mask, (1 + side // 64, 1 + side // 64))
        keep = cv2.cvtColor(255 - cv2.convertScaleAbs(mask, alpha=light.shadow), cv2.COLOR_GRAY2BGR)
        ground = cv2.multiply(ground, keep, scale=1 / 255)
    # Far tiles are smaller than pixels: they fade into their mean and the haze.
    rows = camera.horizon(np.array([0.0, side - 1.0]))
    below = np.arange(side) - rows.mean()
    fade = np.clip(1 - below / (0.16 * side), 0, 1)[:, None] ** 1.5
    mean = np.array(mixed(tuple(tile.mean((0, 1)).tolist()), light.horizon, 0.35))
    far = np.ascontiguousarray(np.broadcast_to(mean, (side, side, 3)).astype(np.uint8))
    weight = np.ascontiguousarray(np.broadcast_to(fade, (side, side)), np.float32)
    ground = cv2.blendLinear(far, ground, weight, 1 - weight)
    region = np.zeros((side, side), np.uint8)
    corners = [[0, rows[0]], [side, rows[1]], [side, side], [0, side]]
    cv2.fillPoly(region, [np.round(corners).astype(np.int32)], 255)
    cv2.copyTo(ground, region, canvas)


def lit_image(image: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """An image uint8[h w 3] under light of BGR `strength`, float64[3]."""
    levels = np.arange(256)[:, None] * strength
    return cv2.LUT(image, np.minimum(levels, 255).astype(np.uint8)[None])


@functools.lru_cache(maxsize=1)
def _ground_tiles() -> tuple[np.ndarray, ...]:
    """Patterns of the ground, each uint8[t t 3] that repeats without a seam."""
    rng = np.random.default_rng(1)
    return (
        _flags(rng, bgr("#bdb3a3"), 2),
        _flags(rng, bgr("#a9a59d"), 4),
        _flags(rng, bgr("#9a8c7c"), 8),
        _speckled(rng, bgr("#7c9a55"), 14),
        _speckled(rng, bgr("#cdbb95"), 9),
    )


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
