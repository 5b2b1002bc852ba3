import collections

import numpy as np
import pytest

from senet_jax.data.sampling import (
    ClassMembers,
    GroupedImages,
    Grouping,
    Purpose,
    ShuffledImages,
    random_generator,
    shuffled,
)
from senet_jax.system.errors import UserError


def _labels(*counts):
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def test_random_numbers_depend_on_seed_purpose_and_key():
    def draw(*arguments):
        return random_generator(*arguments).integers(2**62)

    assert draw(1, Purpose.IMAGE, 5) == draw(1, Purpose.IMAGE, 5)
    draws = [
        draw(seed, purpose, *key)
        for seed in (0, 1, 2**32, 2**32 + 1)
        for purpose in Purpose
        for key in ((), (0,), (1,), (0, 0), (1, 0), (0, 1))
    ]
    assert len(set(draws)) == len(draws)


def test_each_pass_is_another_permutation():
    stream = [shuffled(50, position, 3, Purpose.EPOCH) for position in range(200)]
    passes = [stream[start : start + 50] for start in range(0, 200, 50)]
    assert all(sorted(each) == list(range(50)) for each in passes)
    assert len(set(map(tuple, passes))) == 4
    backwards = [shuffled(50, position, 3, Purpose.EPOCH) for position in reversed(range(200))]
    assert backwards[::-1] == stream
    assert [shuffled(50, position, 4, Purpose.EPOCH) for position in range(50)] != passes[0]


def test_permutations_are_even():
    counts = np.zeros((4, 4))
    for position in range(4 * 2000):
        counts[position % 4, shuffled(4, position, 0, Purpose.EPOCH)] += 1
    # The standard deviation of a count is sqrt(2000 / 4 * 3 / 4), about 19.
    assert abs(counts - 500).max() < 100


def test_members_of_classes_against_a_search():
    labels = np.random.default_rng(0).integers(0, 7, 60).astype(np.int32)
    labels[labels == 3] = 4
    members = ClassMembers(labels, 9)
    assert len(members) == 9
    for label in range(9):
        assert members[label].tolist() == [i for i in range(60) if labels[i] == label]


def test_a_partner_is_any_other_image_of_the_class():
    members = ClassMembers(np.array([0, 1, 0, 0, 2]), 3)
    rng = np.random.default_rng(0)
    assert {members.partner(2, 0, rng) for _ in range(50)} == {0, 3}
    assert members.partner(4, 2, rng) == 4


def test_an_epoch_has_every_image_once():
    order = ShuffledImages(23, seed=5)
    assert order.examples_per_epoch == 23
    epochs = [[order(position) for position in range(23 * e, 23 * e + 23)] for e in range(3)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_groups_stand_whole_with_some_images_of_each_class():
    labels = np.random.default_rng(1).permutation(_labels(*[5, 3, 4, 6, 2, 5]))
    order = GroupedImages(ClassMembers(labels, 6), Grouping(classes=2, views=2), seed=0)
    assert order.examples_per_epoch == 3 * 2 * 2
    images = np.array([order(position) for position in range(12 * 30)])
    blocks = labels[images].reshape(30, 3, 4)
    for epoch in blocks:
        assert sorted(map(tuple, epoch)) == [(0, 0, 1, 1), (2, 2, 3, 3), (4, 4, 5, 5)]
    assert len({tuple(epoch[:, 0]) for epoch in blocks}) > 1
    assert (images[::2] != images[1::2]).any()


def test_the_images_of_a_class_come_equally_often():
    labels = _labels(5, 3)
    order = GroupedImages(ClassMembers(labels, 2), Grouping(classes=2, views=2), seed=0)
    seen = [order(position) for position in range(4 * 15)]
    counts = collections.Counter(seen)
    assert [counts[image] for image in range(8)] == [6] * 5 + [10] * 3
    of_first_class = [image for image in seen if labels[image] == 0]
    for start in range(0, 30, 5):
        assert sorted(of_first_class[start : start + 5]) == list(range(5))


def test_classes_draw_their_images_apart():
    order = GroupedImages(ClassMembers(_labels(9, 9), 2), Grouping(classes=2, views=9), seed=0)
    seen = [order(position) for position in range(18)]
    assert seen[:9] != [image - 9 for image in seen[9:]]


def test_more_views_than_images_repeat_them():
    order = GroupedImages(ClassMembers(_labels(1, 2), 2), Grouping(classes=2, views=2), seed=0)
    assert [order(position) for position in range(2)] == [0, 0]
    assert sorted(order(position) for position in range(2, 4)) == [1, 2]


@pytest.mark.parametrize(
    ("counts", "grouping", "message"),
    [
        ((1, 1, 1), (2, 1), "3 classes do not make whole groups of 2"),
        ((1, 0, 1), (3, 1), "the class 1 has no image"),
        ((1, 1), (0, 1), "groups of 0 classes with 1 images"),
        ((1, 1), (2, 0), "groups of 2 classes with 0 images"),
    ],
)
def test_groups_that_cannot_be(counts, grouping, message):
    with pytest.raises(UserError, match=message):
        GroupedImages(ClassMembers(_labels(*counts), len(counts)), Grouping(*grouping), seed=0)
