"""What a photographer finds: viewpoint, light, weather, things in the way, and the lens.

A view is a value, drawn from a seed; the picture is a function of landmark, view and size alone.
"""

import dataclasses

import numpy as np

SEVERITIES = ("query", "easy", "hard", "junk")
"""How far a view is from a plain photograph of the front."""

MOMENTS = ("day", "morning", "evening", "overcast", "dusk", "night")
GROUNDS = ("flags", "slabs", "cobbles", "grass", "gravel")
WEATHERS = ("clear", "clouds", "haze", "rain", "snow")


@dataclasses.dataclass(frozen=True)
class View:
    """A view of a landmark.

    Attributes:
        severity: one of `SEVERITIES`.
        yaw: radians aside from the front's middle, positive to the left.
        eye: the camera's height, as a share of the wall's.
        distance: from the front's middle, in heights of the wall.
        roll: radians.
        extent: the building's larger side, as a share of the picture's.
        offset: where the building lies in the picture, each in [-1, 1].
        moment: one of `MOMENTS`.
        weather: one of `WEATHERS`.
        ground: one of `GROUNDS`; no landmark stands on a ground of its own.
        sun_azimuth: radians from straight before the front, positive to the right.
        sun_elevation: radians above the horizon.
        occluders: how many trees, people, poles and cars stand between.
        occluder_height: the height of the tallest, as a share of the wall's.
        blur: the standard deviation of the lens's blur, in 64ths of the picture's side.
        noise: the standard deviation of the sensor's noise, in grey levels.
        gain: what the three channels are multiplied by (white balance and exposure), BGR.
        gamma: the exponent of the tone curve.
        jpeg_quality: of the compression, from 1 to 100.
        detail_seed: seeds what has no parameter of its own: leaves, clouds, who is at home.
    """

    severity: str
    yaw: float
    eye: float
    distance: float
    roll: float
    extent: float
    offset: tuple[float, float]
    moment: str
    weather: str
    ground: str
    sun_azimuth: float
    sun_elevation: float
    occluders: int
    occluder_height: float
    blur: float
    noise: float
    gain: tuple[float, float, float]
    gamma: float
    jpeg_quality: int
    detail_seed: int


@dataclasses.dataclass(frozen=True)
class Ranges:
    """The ranges from which a severity's views are drawn, evenly; weights need not add up to 1."""

    yaw: tuple[float, float]
    eye: tuple[float, float]
    distance: tuple[float, float]
    roll: float
    extent: tuple[float, float]
    moments: tuple[float, ...]
    weathers: tuple[float, ...]
    occluders: tuple[int, int]
    occluder_height: tuple[float, float]
    blur: tuple[float, float]
    noise: tuple[float, float]
    cast: float
    jpeg_quality: tuple[int, int]


_EASY = Ranges(
    yaw=(0.0, 0.35),
    eye=(0.2, 0.55),
    distance=(2.2, 4.0),
    roll=0.03,
    extent=(0.75, 0.95),
    moments=(5, 2, 2, 2, 0.5, 0.5),
    weathers=(5, 4, 0.5, 0.3, 0.3),
    occluders=(0, 2),
    occluder_height=(0.2, 0.45),
    blur=(0.0, 0.3),
    noise=(0.5, 2.0),
    cast=0.05,
    jpeg_quality=(70, 95),
)
RANGES: dict[str, Ranges] = {
    "query": dataclasses.replace(_EASY, extent=(0.8, 0.94), occluders=(0, 1)),
    "easy": _EASY,
    "hard": Ranges(
        yaw=(0.35, 0.7),
        eye=(0.15, 0.8),
        distance=(1.7, 3.5),
        roll=0.08,
        extent=(0.55, 0.88),
        moments=(3, 2, 2, 2, 1, 1),
        weathers=(2, 3, 2, 2, 2),
        occluders=(2, 4),
        occluder_height=(0.35, 0.65),
        blur=(0.2, 0.5),
        noise=(2.0, 5.0),
        cast=0.1,
        jpeg_quality=(35, 70),
    ),
    "junk": Ranges(
        yaw=(0.9, 1.25),
        eye=(0.15, 0.8),
        distance=(2.0, 4.0),
        roll=0.1,
        extent=(0.12, 0.25),
        moments=(3, 2, 2, 2, 1, 1),
        weathers=(2, 3, 2, 2, 2),
        occluders=(3, 6),
        occluder_height=(0.6, 0.9),
        blur=(0.3, 0.7),
        noise=(3.0, 6.0),
        cast=0.1,
        jpeg_quality=(30, 60),
    ),
}


def draw_view(rng: np.random.Generator, severity: str) -> View:
    """A view from the ranges of its severity."""
    ranges = RANGES[severity]

    def uniform(low_high):
        return float(rng.uniform(*low_high))

    def weighted(names, weights):
        edges = np.cumsum(weights)
        return names[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]

    low_sun = (0.25, 0.45)
    moment = weighted(MOMENTS, ranges.moments)
    exposure = 1 + uniform((-ranges.cast, ranges.cast))
    warmth = uniform((-ranges.cast, ranges.cast))
    return View(
        severity=severity,
        yaw=uniform(ranges.yaw) * (1 if rng.random() < 0.5 else -1),
        eye=uniform(ranges.eye),
        distance=uniform(ranges.distance),
        roll=uniform((-ranges.roll, ranges.roll)),
        extent=uniform(ranges.extent),
        offset=(uniform((-0.9, 0.9)), uniform((-0.3, 0.9))),
        moment=moment,
        weather=weighted(WEATHERS, ranges.weathers),
        ground=GROUNDS[int(rng.integers(len(GROUNDS)))],
        sun_azimuth=uniform((-1.5, 1.5)),
        sun_elevation=uniform(low_sun if moment in ("morning", "evening") else (0.6, 1.1)),
        occluders=int(rng.integers(ranges.occluders[0], ranges.occluders[1] + 1)),
        occluder_height=uniform(ranges.occluder_height),
        blur=uniform(ranges.blur),
        noise=uniform(ranges.noise),
        gain=(exposure - warmth, exposure, exposure + warmth),
        gamma=1 + uniform((-2 * ranges.cast, 2 * ranges.cast)),
        jpeg_quality=int(rng.integers(*ranges.jpeg_quality)),
        detail_seed=int(rng.integers(2**32)),
    )
