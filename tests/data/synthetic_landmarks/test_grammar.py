import dataclasses
import itertools

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks.grammar import (
    DOORS,
    MIN_DIFFERING,
    ROOFS,
    STOREYS,
    WINDOWS,
    differing_share,
    draw_family,
)

FAMILIES = [draw_family(np.random.default_rng([1, i]), siblings=4) for i in range(60)]


def _differing_cells(a, b):
    cells = [
        a[storey][bay] != b[storey][bay] for storey in range(STOREYS) for bay in range(len(a[0]))
    ]
    return sum(cells) / len(cells)


@pytest.mark.parametrize("siblings", [2, 4, 8])
def test_siblings_share_everything_but_the_arrangement(siblings):
    for seed in range(20):
        family = draw_family(np.random.default_rng([2, seed]), siblings)
        assert len(family) == siblings
        for a, b in itertools.combinations(family, 2):
            assert a.style == b.style
            assert a.parts == b.parts
            assert _differing_cells(a.arrangement, b.arrangement) >= MIN_DIFFERING >= 0.4


def test_differing_share_counts_cells():
    for family in FAMILIES[:10]:
        a, b, *_ = (landmark.arrangement for landmark in family)
        assert differing_share(a, b) == pytest.approx(_differing_cells(a, b), abs=1e-12)
        assert differing_share(a, a) == 0


def test_first_siblings_do_not_depend_on_the_count():
    few = draw_family(np.random.default_rng(3), 2)
    many = draw_family(np.random.default_rng(3), 6)
    assert many[:2] == few


def test_a_front_has_one_door_on_the_ground_and_three_or_four_kinds_of_window():
    for landmark in itertools.chain(*FAMILIES):
        arrangement = landmark.arrangement
        assert len(arrangement) == STOREYS
        assert {len(storey) for storey in arrangement} == {landmark.style.bays} <= {3, 4}
        assert sum(kind in DOORS for kind in arrangement[0]) == 1
        assert not any(kind in DOORS for storey in arrangement[1:] for kind in storey)
        windows = {kind: n for kind, n in landmark.parts.items() if kind in WINDOWS}
        assert len(windows) in (3, 4)
        assert max(windows.values()) - min(windows.values()) <= 1


def test_each_kind_of_part_has_a_colour_of_its_own():
    for landmark, *_ in FAMILIES:
        accents = dict(landmark.style.accents)
        assert set(accents) == set(landmark.parts)
        assert len(set(accents.values())) == len(accents)


def test_families_use_the_whole_vocabulary():
    landmarks = [family[0] for family in FAMILIES]
    assert {kind for landmark in landmarks for kind in landmark.parts} == {*WINDOWS, *DOORS}
    assert {landmark.style.roof for landmark in landmarks} == set(ROOFS)
    assert len({landmark.style for landmark in landmarks}) == len(landmarks)


def test_a_landmark_is_a_value():
    again = draw_family(np.random.default_rng([1, 0]), siblings=4)
    assert again == FAMILIES[0]
    assert hash(again[0]) == hash(FAMILIES[0][0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        again[0].style.depth = 1.0
