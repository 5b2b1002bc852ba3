"""Sun, sky light and the colours of the sky, by the time of day and the weather."""

import dataclasses
import functools

import numpy as np

from senet_jax.data.synthetic_landmarks.palette import Colour, bgr, mixed
from senet_jax.data.synthetic_landmarks.views import View


@dataclasses.dataclass(frozen=True, eq=False)
class Light:
    """The light of a view.

    Attributes:
        sun: float64[3], the BGR strength of the sun on a surface that faces it.
        ambient: float64[3], the BGR strength of the sky's light.
        direction: float64[3], of unit length, towards the sun.
        zenith: the sky's colour at the top of a picture.
        horizon: the sky's colour at the horizon.
        lit: the share of the windows with a lamp on.
        shadow: how much darker cast shadows are, in [0, 1].
    """

    sun: np.ndarray
    ambient: np.ndarray
    direction: np.ndarray
    zenith: Colour
    horizon: Colour
    lit: float
    shadow: float

    @functools.cached_property
    def level(self) -> np.ndarray:
        """float64[3], the BGR strength of the light on the ground."""
        return self.on(np.array([[0.0, 1.0, 0.0]]))[0]

    def on(self, normals: np.ndarray) -> np.ndarray:
        """The BGR strength of the light on surfaces with these normals, [n 3] to [n 3]."""
        facing = np.maximum(normals @ self.direction, 0)
        # The sky's light comes from above, so what looks down is darker.
        sky = 0.92 + 0.12 * normals[:, 1]
        return self.ambient * sky[:, None] + self.sun * facing[:, None]


@dataclasses.dataclass(frozen=True)
class _Moment:
    zenith: Colour
    horizon: Colour
    sun: tuple[float, float, float]
    ambient: tuple[float, float, float]
    lit: float = 0.0


_MOMENTS = {
    "day": _Moment(bgr("#4a90d9"), bgr("#cfe6f5"), (0.44, 0.48, 0.5), (0.66, 0.63, 0.6)),
    "morning": _Moment(bgr("#7fb2dd"), bgr("#fbe3cf"), (0.38, 0.47, 0.55), (0.66, 0.62, 0.6)),
    "evening": _Moment(bgr("#6c86b8"), bgr("#fbc48a"), (0.3, 0.46, 0.6), (0.6, 0.56, 0.57), 0.08),
    "overcast": _Moment(bgr("#b4bfc9"), bgr("#dde3e6"), (0.1, 0.1, 0.1), (0.84, 0.83, 0.82)),
    "dusk": _Moment(bgr("#34457f"), bgr("#f0a184"), (0.1, 0.12, 0.18), (0.62, 0.53, 0.53), 0.45),
    "night": _Moment(bgr("#0d1836"), bgr("#33456f"), (0.1, 0.08, 0.06), (0.62, 0.52, 0.45), 0.6),
}
_COVER = {"clear": 0.0, "clouds": 0.15, "haze": 0.4, "rain": 0.75, "snow": 0.7}
"""How far each weather hides the sun."""


def light_of(view: View) -> Light:
    """The light of a view: the time of day, dimmed and greyed by the weather."""
    moment = _MOMENTS[view.moment]
    cover = _COVER[view.weather]
    level = float(np.mean(moment.ambient))
    grey = mixed((0, 0, 0), bgr("#c3cbd2"), min(1.0, 1.15 * level**1.3))
    sun = np.array(moment.sun) * (1 - cover)
    ambient = np.array(moment.ambient) * (1 + 0.12 * cover)
    across = np.cos(view.sun_elevation)
    direction = np.array(
        [
            across * np.sin(view.sun_azimuth),
            np.sin(view.sun_elevation),
            -across * np.cos(view.sun_azimuth),
        ]
    )
    return Light(
        sun=sun,
        ambient=ambient,
        direction=direction,
        zenith=mixed(moment.zenith, grey, 0.8 * cover),
        horizon=mixed(moment.horizon, grey, 0.7 * cover),
        lit=moment.lit,
        shadow=float(sun.mean() / (sun.mean() + 0.6 * ambient.mean())),
    )
