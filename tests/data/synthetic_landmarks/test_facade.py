import dataclasses

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks.facade import front_wall, side_wall
from senet_jax.data.synthetic_landmarks.grammar import WALL_TEXTURES, draw_family

SCALE = 40
FAMILY = draw_family(np.random.default_rng(4), 4)


def _cell_limits(style, storey, bay):
    """The rows and columns of a cell in a wall of `SCALE` pixels per unit."""
    below = sum(style.storey_heights[:storey])
    height = sum(style.storey_heights) + 0.15
    top = (height - below - style.storey_heights[storey]) * SCALE
    bottom = (height - below) * SCALE
    left = (0.1 + bay) * style.bay_width * SCALE
    return top, bottom, left, left + style.bay_width * SCALE


def test_a_changed_cell_changes_nothing_else():
    landmark = FAMILY[0]
    rows = [list(storey) for storey in landmark.arrangement]
    storey, bay = 1, 2
    others = [k for k in landmark.parts if k != rows[storey][bay]]
    rows[storey][bay] = others[0]
    changed = dataclasses.replace(landmark, arrangement=tuple(map(tuple, rows)))
    difference = front_wall(landmark, SCALE).image != front_wall(changed, SCALE).image
    ys, xs = np.nonzero(difference.any(-1))
    top, bottom, left, right = _cell_limits(landmark.style, storey, bay)
    assert len(ys) > 100
    assert top - 2 <= ys.min() and ys.max() <= bottom + 2
    assert left - 2 <= xs.min() and xs.max() <= right + 2


def test_panes_carry_the_number_of_their_cell():
    landmark = FAMILY[0]
    panes = front_wall(landmark, SCALE).panes
    found = 0
    for storey in range(3):
        for bay in range(landmark.style.bays):
            number = storey * landmark.style.bays + bay + 1
            ys, xs = np.nonzero(panes == number)
            if len(ys):
                found += 1
                top, bottom, left, right = _cell_limits(landmark.style, storey, bay)
                assert top - 1 <= ys.min() and ys.max() <= bottom + 1
                assert left - 1 <= xs.min() and xs.max() <= right + 1
    assert found >= 3


def test_siblings_have_the_same_colours_in_other_places():
    walls = [front_wall(landmark, SCALE).image.astype(float) for landmark in FAMILY]
    for wall in walls[1:]:
        np.testing.assert_allclose(wall.mean((0, 1)), walls[0].mean((0, 1)), atol=3)
        assert np.abs(wall - walls[0]).mean() > 8


@pytest.mark.parametrize("texture", WALL_TEXTURES)
def test_wall_textures_differ(texture):
    style = FAMILY[0].style
    plain = side_wall(dataclasses.replace(style, wall_texture="plaster"), SCALE)
    wall = side_wall(dataclasses.replace(style, wall_texture=texture), SCALE)
    assert wall.image.shape == plain.image.shape == (*wall.panes.shape, 3)
    assert (texture == "plaster") == np.array_equal(wall.image, plain.image)


def test_resolution_changes_the_size_alone():
    small, large = (front_wall(FAMILY[0], scale).image for scale in (32, 64))
    assert np.abs(np.subtract((2 * small.shape[0], 2 * small.shape[1]), large.shape[:2])).max() <= 2
    np.testing.assert_allclose(small.mean((0, 1)), large.mean((0, 1)), atol=4)
