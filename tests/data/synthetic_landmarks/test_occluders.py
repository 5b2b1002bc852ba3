import dataclasses

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks.light import light_of
from senet_jax.data.synthetic_landmarks.occluders import OCCLUDERS
from senet_jax.data.synthetic_landmarks.views import draw_view

VIEW = dataclasses.replace(draw_view(np.random.default_rng(0), "easy"), moment="day")


def _drawn(kind, view, seed=1):
    canvas = np.full((200, 200, 3), 255, np.uint8)
    draw, _ = OCCLUDERS[kind]
    draw(canvas, (100.0, 150.0), 80.0, light_of(view), np.random.default_rng(seed))
    return canvas


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_a_thing_stands_on_its_foot_and_has_its_height(kind):
    ys, xs = np.nonzero((_drawn(kind, VIEW) != 255).any(-1))
    assert 150 - 5 <= ys.max() <= 150 + 8
    assert 150 - 1.2 * 80 <= ys.min() <= 150 - 0.8 * 80
    assert abs(xs.mean() - 100) < 20


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_a_thing_is_darker_at_night(kind):
    night = dataclasses.replace(VIEW, moment="night")
    assert _drawn(kind, night).mean() < _drawn(kind, VIEW).mean()


def test_no_two_trees_are_alike():
    assert (_drawn("tree", VIEW, 1) != _drawn("tree", VIEW, 2)).any()
