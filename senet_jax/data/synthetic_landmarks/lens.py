"""What happens to a picture on its way to the file: weather, lens, sensor and compression."""

import functools

import cv2
import numpy as np

from senet_jax.data.synthetic_landmarks.light import Light
from senet_jax.data.synthetic_landmarks.palette import WHITE, mixed, shaded
from senet_jax.data.synthetic_landmarks.views import View
from senet_jax.data.transforms import decode

_HAZE = {"clear": 0.0, "clouds": 0.02, "haze": 0.38, "rain": 0.2, "snow": 0.16}


def draw_haze(canvas: np.ndarray, light: Light, view: View) -> None:
    """Veils all that is drawn so far in the colour of the horizon."""
    share = _HAZE[view.weather]
    if share:
        levels = np.arange(256)[:, None] * (1 - share) + share * np.array(light.horizon)
        cv2.LUT(canvas, levels.astype(np.uint8)[None], dst=canvas)


def draw_precipitation(
    canvas: np.ndarray, light: Light, view: View, rng: np.random.Generator
) -> None:
    """Rain's streaks or snow's flakes."""
    side = canvas.shape[0]
    if view.weather == "rain":
        colour = mixed(light.horizon, WHITE, 0.25)
        starts = rng.random((70, 2)) * side
        drops = starts + rng.uniform(0.03, 0.07, (70, 1)) * side * [0.25, 1]
        lines = np.stack([starts, drops], axis=1).astype(np.int32)
        streaks = canvas.copy()
        cv2.polylines(streaks, list(lines), False, colour, max(1, side // 200))
        cv2.addWeighted(canvas, 0.5, streaks, 0.5, 0, dst=canvas)
    elif view.weather == "snow":
        colour = shaded(WHITE, min(1.0, 0.55 + 0.5 * float(light.ambient.mean())))
        flakes = (rng.random((80, 2)) * side).astype(int).tolist()
        sizes = rng.uniform(0.002, 0.009, 80) * side
        for flake, size in zip(flakes, sizes.tolist(), strict=True):
            cv2.circle(canvas, flake, round(size), colour, -1)


def expose(canvas: np.ndarray, side: int, view: View, rng: np.random.Generator) -> np.ndarray:
    """The photograph uint8[s s 3] of a larger canvas: blur, tone, noise and JPEG."""
    image = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    sigma = view.blur * side / 64
    if sigma > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    tones = 255 * (np.arange(256)[:, None] / 255) ** view.gamma * np.array(view.gain)
    image = cv2.LUT(image, np.clip(tones, 0, 255).astype(np.uint8)[None])
    image = cv2.add(image, _grain(side, view.noise, rng), dtype=cv2.CV_8U)
    quality = [cv2.IMWRITE_JPEG_QUALITY, view.jpeg_quality]
    return decode(cv2.imencode(".jpg", image, quality)[1].tobytes())


def _grain(side: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """The sensor's noise, int16[s s 3]: a part of one large field, chosen at random."""
    field = _noise_field(side)
    top, left = rng.integers(0, side, 2)
    return np.round(field[top : top + side, left : left + side] * sigma).astype(np.int16)


@functools.lru_cache(maxsize=4)
def _noise_field(side: int) -> np.ndarray:
    """float32[2s 2s 3], standard normal."""
    return np.random.default_rng(2).standard_normal((2 * side, 2 * side, 3), np.float32)
