import errno
import os

import numpy as np
import pytest

from senet_jax.data import held_out
from senet_jax.data.held_out import HeldOut, choose, ground_truth, without, write
from senet_jax.data.revisitop import load_dataset, read_image
from senet_jax.data.transforms import decode
from senet_jax.system.errors import UserError

from .sources import content, source


def _counts(images, indices):
    return np.bincount(images.labels[list(indices)], minlength=len(images.class_names)).tolist()


@pytest.mark.parametrize(
    ("counts", "share", "queries", "database"),
    [
        # A class of three stays, one of four gives two, a large one its share.
        ((3, 4, 10, 30), 0.1, [0, 1, 1, 1], [0, 1, 1, 2]),
        ((4, 4), 0.5, [1, 1], [1, 1]),
        ((20, 20), 0.5, [5, 5], [5, 5]),
        # Nothing could be mistaken for the images of a single class.
        ((3, 40), 0.1, [0, 0], [0, 0]),
        ((3, 3), 0.1, [0, 0], [0, 0]),
        ((40, 40), 0.0, [0, 0], [0, 0]),
    ],
)
def test_how_many_of_each_class(counts, share, queries, database):
    images = source(counts)
    found = choose(images, share)
    assert _counts(images, found.queries) == queries
    assert _counts(images, found.database) == database
    left = without(images, found)
    assert set(left.keys).isdisjoint(images.keys[i] for i in (*found.queries, *found.database))
    assert len(left.keys) + len(found.queries) + len(found.database) == len(images.keys)
    assert left.class_names == images.class_names


def test_the_choice_is_the_same_every_time_and_no_order_of_names():
    images = source((40, 40))
    found = choose(images, 0.2)
    assert choose(images, 0.2).queries == found.queries
    assert sorted((*found.queries, *found.database)) != [*range(8), *range(40, 48)]


def test_what_is_left_keeps_its_label_and_its_bytes():
    images = source((4, 5))
    left = without(images, HeldOut([0, 5], [2, 8]))
    assert left.keys == ["0/1.jpg", "0/3.jpg", "1/0.jpg", "1/2.jpg", "1/3.jpg"]
    assert left.labels.tolist() == [0, 0, 1, 1, 1]
    assert [left.read(i) for i in range(5)] == [content(i) for i in (1, 3, 4, 6, 7)]


def test_what_cannot_be_read_is_not_held_out():
    missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    broken = dict.fromkeys((0, 1), b"no image") | dict.fromkeys((2, 3, 4), missing)
    images = source((8, 8, 8), contents=broken | dict.fromkeys(range(9, 16), missing))
    found = choose(images, 0.5)
    assert _counts(images, found.queries) == [1, 0, 2]  # Of three that can be read, and of one.
    assert not set(broken) & {*found.queries, *found.database}


def test_it_is_a_dataset_of_the_benchmark(tmp_path):
    images = source((4, 8))
    found = choose(images, 0.5)
    write(images, found, tmp_path / "town_held_out")
    dataset = load_dataset(tmp_path, "town_held_out")
    assert [len(entry) for entry in dataset.ground_truth.easy] == [1, 2, 2]
    assert dataset.ground_truth.boxes is None
    for photographs, indices in (
        (dataset.queries, found.queries),
        (dataset.images, found.database),
    ):
        for photograph, index in zip(photographs, indices, strict=True):
            np.testing.assert_array_equal(read_image(photograph.path), decode(content(index)))
    for query, items in zip(found.queries, dataset.ground_truth.easy, strict=True):
        assert {images.labels[found.database[i]] for i in items} == {images.labels[query]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["town_held_out"]
    assert held_out.check_place(tmp_path / "town_held_out", ground_truth(images, found))
    for other in (choose(images, 0.25), HeldOut()):
        with pytest.raises(UserError, match="holds something else than the images that are held"):
            held_out.check_place(tmp_path / "town_held_out", ground_truth(images, other))


def test_names_of_files_that_differ_in_their_ending_or_are_long():
    images = source((3, 3))
    images.keys[:] = ["a/x.jpg", "a/x.png", "a_x.jpg", "b" * 90 + "1.jpg", "b" * 90 + "2.jpg", "c"]
    truth = ground_truth(images, HeldOut([0, 1, 2], [3, 4, 5]))
    assert truth["qimlist"] == ["a_x", "a_x_2", "a_x_3"]
    assert truth["imlist"] == ["b" * 60, "b" * 60 + "_2", "c"]
