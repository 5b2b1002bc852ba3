import dataclasses

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks.building import FRONT, building_mesh
from senet_jax.data.synthetic_landmarks.grammar import (
    ROOFS,
    STOREYS,
    WINDOWS,
    Landmark,
    draw_family,
)
from senet_jax.data.synthetic_landmarks.scene import building_box, camera_of, render
from senet_jax.data.synthetic_landmarks.views import SEVERITIES, draw_view

FAMILY = draw_family(np.random.default_rng(6), 4)
PLAIN = dataclasses.replace(
    draw_view(np.random.default_rng(0), "easy"),
    moment="day",
    weather="clear",
    occluders=0,
    blur=0.0,
    noise=0.0,
    jpeg_quality=100,
)


def _view(severity, seed):
    return draw_view(np.random.default_rng([7, seed]), severity)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_box_is_in_the_picture_and_holds_the_front(severity):
    for seed in range(40):
        view, landmark = _view(severity, seed), FAMILY[seed % 4]
        box = building_box(landmark, view, 64)
        assert (box == box.round()).all() and (box >= 0).all() and (box <= 64).all()
        (front,) = (f for f in building_mesh(landmark.style).faces if f.surface == FRONT)
        corners = camera_of(landmark, view, 64).project(front.corners)
        assert (corners >= box[:2]).all() and (corners <= box[2:]).all()
        assert (box[2:] - box[:2]).max() == pytest.approx(view.extent * 64, abs=2)


@pytest.mark.parametrize("roof", ROOFS)
def test_box_is_where_the_building_is_drawn(roof):
    style = dataclasses.replace(FAMILY[0].style, roof=roof, podium=0.0)
    landmark = dataclasses.replace(FAMILY[0], style=style)
    repainted = dataclasses.replace(
        landmark,
        style=dataclasses.replace(
            style,
            **dict.fromkeys(("wall", "trim", "roof_colour"), (255, 0, 255)),
        ),
    )
    difference = np.abs(render(landmark, PLAIN, 96).astype(int) - render(repainted, PLAIN, 96))
    # Fainter differences are the compression's.
    ys, xs = np.nonzero(difference.max(-1) > 40)
    drawn = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    np.testing.assert_allclose(drawn, building_box(landmark, PLAIN, 96), atol=3)


def test_siblings_differ_in_the_front_alone():
    first, second = (render(landmark, PLAIN, 96).astype(int) for landmark in FAMILY[:2])
    (front,) = (f for f in building_mesh(FAMILY[0].style).faces if f.surface == FRONT)
    corners = camera_of(FAMILY[0], PLAIN, 96).project(front.corners)
    ys, xs = np.nonzero(np.abs(first - second).max(-1) > 40)
    assert len(ys) > 100
    assert (corners.min(0) - 2 <= [xs.min(), ys.min()]).all()
    assert (corners.max(0) + 2 >= [xs.max(), ys.max()]).all()


@pytest.mark.parametrize(("storey", "bay"), [(0, 0), (1, 2), (2, 0)])
def test_a_part_is_seen_where_the_camera_puts_its_cell(storey, bay):
    style = FAMILY[0].style
    kinds = [kind for kind in FAMILY[0].parts if kind in WINDOWS]
    rows = [[kinds[0]] * style.bays for _ in range(STOREYS)]
    plain = Landmark(style, tuple(map(tuple, rows)))
    rows[storey][bay] = kinds[1]
    changed = Landmark(style, tuple(map(tuple, rows)))
    left = -style.width / 2 + (0.1 + bay) * style.bay_width
    low = style.podium + sum(style.storey_heights[:storey])
    high = low + style.storey_heights[storey]
    corners = [[x, y, 0] for x in (left, left + style.bay_width) for y in (low, high)]
    pixels = camera_of(plain, PLAIN, 96).project(np.array(corners))
    pictures = [render(landmark, PLAIN, 96).astype(int) for landmark in (plain, changed)]
    ys, xs = np.nonzero(np.abs(pictures[0] - pictures[1]).max(-1) > 40)
    assert len(ys) > 10
    assert (pixels.min(0) - 2 <= [xs.min(), ys.min()]).all()
    assert (pixels.max(0) + 2 >= [xs.max(), ys.max()]).all()


def test_lamps_are_lit_at_night():
    night = dataclasses.replace(PLAIN, moment="night")
    pictures = [render(landmark, night, 64).astype(int) for landmark in FAMILY]
    warm = [(p[..., 2] - p[..., 0] > 60) & (p[..., 2] > 180) for p in pictures]
    assert max(mask.sum() for mask in warm) > 10


def test_an_occluder_hides_a_part_of_the_building():
    hidden = dataclasses.replace(PLAIN, occluders=4, occluder_height=0.8)
    plain, occluded = (render(FAMILY[0], view, 64).astype(int) for view in (PLAIN, hidden))
    x1, y1, x2, y2 = building_box(FAMILY[0], PLAIN, 64).astype(int)
    assert (np.abs(plain - occluded)[y1:y2, x1:x2].max(-1) > 30).mean() > 0.03


@pytest.mark.parametrize("side", [32, 64, 161])
def test_size_is_free_and_shows_the_same_scene(side):
    picture = render(FAMILY[0], PLAIN, side)
    assert picture.shape == (side, side, 3) and picture.dtype == np.uint8
    box = building_box(FAMILY[0], PLAIN, side) / side
    np.testing.assert_allclose(box, building_box(FAMILY[0], PLAIN, 512) / 512, atol=2 / side)
    assert picture.std() > 20


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_picture_is_a_function_of_its_values(severity):
    for seed in range(5):
        first = render(FAMILY[0], _view(severity, seed), 64)
        render(FAMILY[1], _view(severity, seed + 100), 64)
        assert (first == render(FAMILY[0], _view(severity, seed), 64)).all()
