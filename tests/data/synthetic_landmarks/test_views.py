import dataclasses

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks.views import (
    GROUNDS,
    MOMENTS,
    RANGES,
    SEVERITIES,
    WEATHERS,
    draw_view,
)


def _views(severity, count=200):
    return [draw_view(np.random.default_rng([1, i]), severity) for i in range(count)]


def test_a_view_is_a_value_of_its_seed():
    assert _views("hard", 3) == _views("hard", 3)
    assert len(set(_views("hard"))) == 200


@pytest.mark.parametrize("severity", SEVERITIES)
def test_views_stay_within_their_ranges(severity):
    ranges = RANGES[severity]
    for view in _views(severity):
        assert view.severity == severity
        assert ranges.yaw[0] <= abs(view.yaw) <= ranges.yaw[1]
        assert abs(view.roll) <= ranges.roll
        for name in ("eye", "distance", "extent", "occluders", "occluder_height", "blur", "noise"):
            low, high = getattr(ranges, name)
            assert low <= getattr(view, name) <= high, name
        assert ranges.jpeg_quality[0] <= view.jpeg_quality < ranges.jpeg_quality[1]
        assert max(map(abs, view.offset)) <= 1
        assert view.moment in MOMENTS and view.weather in WEATHERS and view.ground in GROUNDS


def _means(severity):
    views = _views(severity)
    dark = [view.moment in ("dusk", "night") for view in views]
    foul = [view.weather in ("haze", "rain", "snow") for view in views]
    return np.array(
        [
            np.mean([abs(view.yaw) for view in views]),
            -np.mean([view.extent for view in views]),
            np.mean([view.occluders * view.occluder_height for view in views]),
            np.mean([view.blur for view in views]),
            np.mean([view.noise for view in views]),
            -np.mean([view.jpeg_quality for view in views]),
            np.mean(dark),
            np.mean(foul),
        ]
    )


def test_hard_is_harder_than_easy_in_every_respect():
    assert (_means("hard") > _means("easy")).all()


def test_junk_is_seen_from_farther_off_and_more_from_aside_than_hard():
    for junk, hard in zip(_views("junk"), _views("hard"), strict=True):
        assert abs(junk.yaw) > abs(hard.yaw)
        assert junk.extent < 0.5 * hard.extent
    # Moments and weathers, the last two, are drawn alike.
    assert (_means("junk")[:6] > _means("hard")[:6]).all()


def test_a_query_is_an_easy_view():
    for name in (field.name for field in dataclasses.fields(RANGES["easy"])):
        query, easy = getattr(RANGES["query"], name), getattr(RANGES["easy"], name)
        if name in ("extent", "occluders"):
            assert easy[0] <= query[0] and query[1] <= easy[1]
        else:
            assert query == easy


def test_all_kinds_of_light_and_ground_occur():
    views = _views("hard")
    assert {view.moment for view in views} == set(MOMENTS)
    assert {view.weather for view in views} == set(WEATHERS)
    assert {view.ground for view in views} == set(GROUNDS)
    assert {view.yaw > 0 for view in views} == {True, False}
