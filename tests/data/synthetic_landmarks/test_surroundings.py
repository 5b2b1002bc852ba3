import dataclasses

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks import surroundings
from senet_jax.data.synthetic_landmarks.grammar import draw_family
from senet_jax.data.synthetic_landmarks.light import light_of
from senet_jax.data.synthetic_landmarks.scene import camera_of
from senet_jax.data.synthetic_landmarks.views import GROUNDS, draw_view

SIDE = 96
LANDMARK = draw_family(np.random.default_rng(1), 1)[0]
VIEW = dataclasses.replace(
    draw_view(np.random.default_rng(2), "easy"), moment="day", weather="clear", ground="grass"
)
CAMERA = camera_of(LANDMARK, VIEW, SIDE)
FAR_SHADOW = np.array([[500.0, 0, 500], [501, 0, 500], [501, 0, 501]])


def _ground(view, shadow=FAR_SHADOW):
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    surroundings.draw_ground(canvas, CAMERA, light_of(view), view, shadow)
    return canvas


def _sky(view):
    return surroundings.draw_sky(SIDE, light_of(view), view, np.random.default_rng(3))


@pytest.mark.parametrize("ground", GROUNDS)
def test_ground_lies_below_the_horizon(ground):
    canvas = _ground(dataclasses.replace(VIEW, ground=ground))
    rows = CAMERA.horizon(np.arange(SIDE))
    above = np.arange(SIDE)[:, None] < rows - 1
    below = np.arange(SIDE)[:, None] > rows + 1
    assert below.sum() > 500
    assert not canvas[above].any()
    assert canvas[below].any(-1).all()


def test_snow_whitens_and_grass_is_green():
    green = _ground(VIEW)[-1].mean(0)
    assert green[1] > green[0] and green[1] > green[2]
    white = _ground(dataclasses.replace(VIEW, weather="snow"))[-1].mean(0)
    assert white.min() > green.max()


def test_shadow_darkens_its_place_alone():
    shadow = np.array([[-1.0, 0, -1.4], [1, 0, -1.4], [1, 0, -0.4], [-1, 0, -0.4]])
    lit, dark = _ground(VIEW).astype(int), _ground(VIEW, shadow).astype(int)
    x, y = CAMERA.project(shadow.mean(0)[None])[0].round().astype(int)
    assert dark[y, x].sum() < 0.85 * lit[y, x].sum()
    assert (dark <= lit).all()
    # The blurred edge reaches a little farther than the outline.
    pixels = CAMERA.project(shadow)
    ys, xs = np.nonzero((dark != lit).any(-1))
    assert pixels[:, 0].min() - 3 < xs.min() and xs.max() < pixels[:, 0].max() + 3
    assert pixels[:, 1].min() - 3 < ys.min() and ys.max() < pixels[:, 1].max() + 3


def test_sky_goes_from_zenith_to_horizon():
    light = light_of(VIEW)
    sky = _sky(VIEW).astype(float)
    assert sky.shape == (SIDE, SIDE, 3)
    np.testing.assert_allclose(np.median(sky[:3], (0, 1)), light.zenith, atol=12)
    np.testing.assert_allclose(np.median(sky[-3:], (0, 1)), light.horizon, atol=12)


def test_clouds_cover_more_of_a_cloudy_sky():
    def spread(weather):
        view = dataclasses.replace(VIEW, weather=weather)
        return np.abs(_sky(view).astype(float) - np.median(_sky(view), 1)[:, None]).mean()

    assert spread("clouds") > 2 * spread("clear")


def test_stars_stand_in_a_clear_night_alone():
    night = dataclasses.replace(VIEW, moment="night")
    assert _sky(night).max() > 200
    assert _sky(dataclasses.replace(night, weather="rain")).max() < 200


def test_skyline_stands_on_the_horizon():
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    surroundings.draw_skyline(canvas, CAMERA, light_of(VIEW), np.random.default_rng(4))
    rows = CAMERA.horizon(np.arange(SIDE)).round().astype(int)
    drawn = canvas.any(-1)
    assert not drawn[: rows.min() - SIDE // 4].any()
    assert drawn[rows.min() - 2].mean() > 0.5
