import json
import os
import pickle
import sys

import numpy as np
import pytest

from senet_jax.data.builder import build
from senet_jax.data.prepared import PreparedImages, open_prepared
from senet_jax.system.errors import UserError

from .pictures import encoded, picture, with_exif_orientation
from .sources import content, source


def test_reads_what_was_prepared(tmp_path):
    turned = with_exif_orientation(encoded(picture(40, 56)), 6)
    images = source(contents={2: turned, 5: b"text"})
    images.keys[9] = os.fsdecode(b"\xe9.jpg")
    report = build(images, tmp_path / "town", images_per_shard=4)
    prepared = open_prepared(tmp_path / "town")
    assert prepared.name == "town"
    assert prepared.class_names == images.class_names
    assert prepared.fingerprint == report["fingerprint"]
    assert len(prepared) == 9
    kept = [0, 1, 2, 3, 4, 6, 7, 8, 9]
    np.testing.assert_array_equal(prepared.labels, images.labels[kept])
    for place, index in enumerate(kept):
        expected = turned if index == 2 else content(index)
        assert prepared.read(place) == (images.keys[index], expected)
        assert prepared.as_source().read(place) == expected
    assert prepared.as_source().keys == [images.keys[index] for index in kept]
    assert prepared.as_source().sha256 != images.sha256


def test_a_moved_dataset_stays_readable_also_in_another_process(tmp_path):
    build(source(), tmp_path / "town")
    (tmp_path / "town").rename(tmp_path / "village")
    prepared = pickle.loads(pickle.dumps(open_prepared(tmp_path / "village")))
    assert prepared.read(3) == ("1/0.jpg", content(3))


def test_what_is_no_dataset(tmp_path):
    with pytest.raises(UserError, match=r"town is no prepared dataset; make one with python -m"):
        open_prepared(tmp_path / "town")
    with pytest.raises(UserError, match=r"none of the 1 images"):
        build(source((1,), {0: b"text"}), tmp_path / "town")
    with pytest.raises(UserError, match="is no prepared dataset"):
        open_prepared(tmp_path / "town")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 4, 2], "the label 4 at image 1, but 4 classes"),
        ([0, -1, 2], "the label -1 at image 1"),
        ([0, 1], r"3 images and labels int32\[2\]"),
    ],
)
def test_labels_out_of_range(labels, message):
    with pytest.raises(UserError, match=message):
        PreparedImages("town", list("abcd"), np.array(labels, np.int32), "", [{}] * 3)


def _changed(file, change):
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def _names_a_module(features):
    label = features["featuresDict"]["features"]["label"]
    label["pythonClassName"] = "antigravity.Label"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "report.json").write_text("[]"), "lacks a name"),
        (lambda folder: (folder / "report.json").write_text('{"name": 1}'), "lacks a name"),
        (lambda folder: (folder / "features.json").write_text("{}"), "is not whole"),
        (lambda folder: (folder / "features.json").unlink(), "cannot read .*features.json"),
        (lambda folder: (folder / "dataset_info.json").write_text("{"), "is not whole"),
        (lambda folder: (folder / "labels.npy").write_text("labels"), "not an array"),
        (lambda folder: [path.unlink() for path in folder.glob("*array_record*")], "is not whole"),
        (lambda folder: _changed(folder / "features.json", _names_a_module), "antigravity.Label"),
    ],
)
def test_a_damaged_dataset_is_one_line(tmp_path, damage, message):
    build(source(), tmp_path / "town")
    damage(tmp_path / "town")
    with pytest.raises(UserError, match=message) as raised:
        open_prepared(tmp_path / "town")
    assert str(raised.value).isprintable()
    assert "antigravity" not in sys.modules


def test_a_damaged_record_is_one_line(tmp_path):
    build(source(), tmp_path / "town")
    (file,) = (tmp_path / "town").glob("*array_record*")
    content = file.read_bytes()
    prepared = open_prepared(tmp_path / "town")
    file.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    with pytest.raises(UserError, match=r"image \d of town cannot be read: .*; prepare it again"):
        for index in range(len(prepared)):
            prepared.read(index)
