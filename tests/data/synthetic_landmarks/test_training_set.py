import dataclasses

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks import TINY, training_source
from senet_jax.data.transforms import decode

SOURCE = training_source(TINY)


def test_each_landmark_is_a_class_and_families_follow_one_another():
    count = TINY.training_families * TINY.siblings
    assert len(SOURCE.class_names) == count
    np.testing.assert_array_equal(SOURCE.labels, np.repeat(np.arange(count), TINY.training_views))
    assert SOURCE.class_names[TINY.siblings] == "family-0001-0"
    first_of_class = SOURCE.keys[:: TINY.training_views]
    assert first_of_class == [f"{name}-000" for name in SOURCE.class_names]


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 2, 3), (3, 1, 0)])
def test_pictures_are_the_worlds(place):
    family, sibling, view = place
    index = SOURCE.keys.index(f"family-{family:04d}-{sibling}-{view:03d}")
    difference = decode(SOURCE.read(index)).astype(int) - TINY.training_view(*place)
    assert abs(difference).mean() < 4, "but for the compression"
    others = [decode(SOURCE.read(i)) for i in (index - 1, (index + 1) % len(SOURCE.keys))]
    for other in others:
        assert abs(other.astype(int) - TINY.training_view(*place)).mean() > 4


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"side": 48}, {"training_families": 5}, {"training_views": 5}]
)
def test_another_world_is_another_source(change):
    assert training_source(dataclasses.replace(TINY, **change)).sha256 != SOURCE.sha256


def test_the_evaluated_splits_do_not_change_the_source():
    world = dataclasses.replace(TINY, distractors=50, evaluation_families=9)
    assert training_source(world).sha256 == SOURCE.sha256
