import dataclasses

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks import lens
from senet_jax.data.synthetic_landmarks.light import light_of
from senet_jax.data.synthetic_landmarks.views import draw_view

PLAIN = dataclasses.replace(
    draw_view(np.random.default_rng(0), "easy"),
    moment="day",
    weather="clear",
    blur=0.0,
    noise=0.0,
    gain=(1.0, 1.0, 1.0),
    gamma=1.0,
    jpeg_quality=100,
)
CANVAS = np.kron(
    np.random.default_rng(1).integers(30, 220, (16, 16, 3)), np.ones((8, 8, 1), int)
).astype(np.uint8)


def _exposed(**changes):
    view = dataclasses.replace(PLAIN, **changes)
    return lens.expose(CANVAS, 64, view, np.random.default_rng(2)).astype(float)


def _error(**changes):
    return np.abs(_exposed(**changes) - CANVAS[::2, ::2]).mean()


def test_a_perfect_lens_only_shrinks():
    assert _exposed().shape == (64, 64, 3)
    # JPEG halves the resolution of colour, whatever its quality.
    gray = np.array([0.114, 0.587, 0.299])
    assert np.abs((_exposed() - CANVAS[::2, ::2]) @ gray).mean() < 1.5


@pytest.mark.parametrize(
    ("name", "mild", "strong"),
    [("blur", 0.4, 0.9), ("noise", 4.0, 16.0), ("jpeg_quality", 80, 20), ("gamma", 1.1, 1.4)],
)
def test_each_fault_grows_with_its_parameter(name, mild, strong):
    assert _error() < _error(**{name: mild}) < _error(**{name: strong})


def test_gain_is_per_channel_blue_first():
    plain, warm = (_exposed(**c).mean((0, 1)) for c in ({}, {"gain": (0.8, 1.0, 1.1)}))
    # What comes out brighter than 255 is cut off, and tones are whole numbers.
    np.testing.assert_allclose(warm / plain, (0.8, 1.0, 1.1), atol=0.03)


def test_haze_pulls_everything_to_the_horizon():
    view = dataclasses.replace(PLAIN, weather="haze")
    light = light_of(view)
    hazy = CANVAS.copy()
    lens.draw_haze(hazy, light, view)
    before, after = (np.abs(image - np.array(light.horizon)) for image in (CANVAS, hazy))
    assert (after <= before + 1).all() and after.mean() < 0.7 * before.mean()
    untouched = CANVAS.copy()
    lens.draw_haze(untouched, light_of(PLAIN), PLAIN)
    assert (untouched == CANVAS).all()


@pytest.mark.parametrize(("weather", "falls"), [("rain", True), ("snow", True), ("clear", False)])
def test_rain_and_snow_are_drawn(weather, falls):
    view = dataclasses.replace(PLAIN, weather=weather)
    image = np.full((128, 128, 3), 90, np.uint8)
    lens.draw_precipitation(image, light_of(view), view, np.random.default_rng(3))
    brighter = (image > 90).any(-1).mean()
    assert (0.005 < brighter < 0.3) if falls else brighter == 0
