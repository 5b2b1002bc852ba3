import itertools

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks.grammar import DOORS, WINDOWS, draw_family
from senet_jax.data.synthetic_landmarks.parts import PARTS, Cell

STYLE = draw_family(np.random.default_rng(0), 1)[0].style
ACCENT = (40, 200, 120)
SIZE = 64


def _drawn(kind, margin=0):
    side = SIZE + 2 * margin
    image = np.full((side, side, 3), STYLE.wall, np.uint8)
    panes = np.zeros((side, side), np.uint8)
    inside = np.s_[margin : margin + SIZE, margin : margin + SIZE]
    PARTS[kind](Cell(image[inside], panes[inside], 7, STYLE, ACCENT))
    return image, panes


def test_every_kind_of_the_grammar_is_drawn():
    assert set(PARTS) == {*WINDOWS, *DOORS}


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_is_large_and_shows_its_colour(kind):
    image, panes = _drawn(kind)
    changed = (image != STYLE.wall).any(-1)
    assert changed.mean() > 0.25
    # The niche and the pointed window show it darkened or as a frame.
    towards_accent = image.astype(int) @ np.array([-1, 2, -1])
    assert (towards_accent[changed] > 60).mean() > 0.05
    assert set(np.unique(panes)) <= {0, 7}


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_stays_in_its_cell(kind):
    margin = 16
    image, panes = _drawn(kind, margin)
    outside = np.ones(panes.shape, bool)
    outside[margin : margin + SIZE, margin : margin + SIZE] = False
    assert (image[outside] == STYLE.wall).all()
    assert not panes[outside].any()


def test_kinds_are_told_apart_when_small():
    small = {kind: _drawn(kind)[0].reshape(8, 8, 8, 8, 3).mean((1, 3)) for kind in PARTS}
    for a, b in itertools.combinations(PARTS, 2):
        assert np.abs(small[a] - small[b]).mean() > 6, (a, b)


def test_what_is_drawn_over_glass_hides_it():
    _, panes = _drawn("rectangular")
    assert panes[SIZE // 2 + 8, SIZE // 2 + 8] == 7
    assert panes[SIZE // 2 + 8, SIZE // 2] == 0, "the bar between two panes is no glass"
