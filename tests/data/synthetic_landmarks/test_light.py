import dataclasses

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks.light import light_of
from senet_jax.data.synthetic_landmarks.views import MOMENTS, WEATHERS, draw_view

VIEW = dataclasses.replace(
    draw_view(np.random.default_rng(0), "easy"),
    sun_azimuth=0.4,
    sun_elevation=0.7,
    weather="clear",
    moment="day",
)
FRONT = np.array([[0.0, 0.0, -1.0]])


def test_the_sun_lights_what_faces_it():
    light = light_of(VIEW)
    x, y, z = light.direction
    assert np.linalg.norm(light.direction) == pytest.approx(1)
    assert x > 0 and y > 0 and z < 0, "to the right of the front, above, before it"
    towards, away = light.on(np.stack([light.direction, -light.direction]))
    assert (towards > away).all()
    np.testing.assert_allclose(light.on(-FRONT)[0], light.ambient * 0.92)


@pytest.mark.parametrize("moment", MOMENTS)
def test_clouds_take_sun_and_shadow(moment):
    view = dataclasses.replace(VIEW, moment=moment)
    strengths = [light_of(dataclasses.replace(view, weather=w)) for w in ("clear", "rain")]
    assert strengths[0].sun.mean() > 2 * strengths[1].sun.mean()
    assert strengths[0].shadow > strengths[1].shadow > 0


@pytest.mark.parametrize("weather", WEATHERS)
def test_night_is_darker_than_dusk_than_day_and_lamps_come_on(weather):
    day, dusk, night = (
        light_of(dataclasses.replace(VIEW, moment=moment, weather=weather))
        for moment in ("day", "dusk", "night")
    )
    assert day.level.mean() > dusk.level.mean() > night.level.mean()
    assert np.mean(day.zenith) > np.mean(dusk.zenith) > np.mean(night.zenith)
    assert day.lit == 0 < dusk.lit < night.lit


def test_evening_is_warmer_than_day():
    day, evening = (
        light_of(dataclasses.replace(VIEW, moment=moment)) for moment in ("day", "evening")
    )
    assert evening.sun[2] / evening.sun[0] > day.sun[2] / day.sun[0]
