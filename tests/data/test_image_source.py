import dataclasses

import numpy as np
import pytest

from senet_jax.data.image_source import ImageSource
from senet_jax.system.errors import UserError

SOURCE = ImageSource(
    name="town",
    class_names=["church", "tower"],
    keys=["a", "b", "c"],
    labels=np.array([0, 1, 1], np.int32),
    read=lambda index: b"",
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": []}, "town lists no image"),
        ({"keys": ["a", "b", "a"]}, "the image 'a' 2 times"),
        ({"class_names": ["church", "church"]}, "the class 'church' 2 times"),
        ({"class_names": ["church", ""]}, "has a class ''; give it a name of one line"),
        ({"class_names": ["church", " tower"]}, "has a class ' tower'"),
        ({"class_names": ["church", "to\nwer"]}, "give it a name of one line"),
        ({"class_names": ["church", "\udce9"]}, "in UTF-8"),
        ({"labels": np.array([0, 1], np.int32)}, r"3 images and labels int32\[2\]"),
        ({"labels": np.array([0, 1, 1])}, r"labels int64\[3\]; give int32\[3\]"),
        ({"labels": np.array([0, 1, 2], np.int32)}, "the label 2 at image 2, but 2 classes"),
        ({"labels": np.array([0, -1, 1], np.int32)}, "the label -1 at image 1.*from 0 to 1"),
    ],
)
def test_wrong_lists_are_one_line(change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SOURCE, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "village"},
        {"class_names": ["church", "house"]},
        {"keys": ["a", "b", "d"]},
        {"labels": np.array([0, 0, 1], np.int32)},
        {"class_names": ["church", "tower", "house"]},
        {"origin": {"seed": 1}},
    ],
)
def test_checksum_depends_on_names_labels_and_origin(change):
    assert dataclasses.replace(SOURCE, **change).sha256 != SOURCE.sha256
    assert dataclasses.replace(SOURCE, read=lambda index: b"other").sha256 == SOURCE.sha256
