import dataclasses
import errno
import functools
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from senet_jax.data import builder
from senet_jax.data.builder import build
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress

from .pictures import with_broken_pixels
from .sources import COUNTS, content, source

REPOSITORY = pathlib.Path(__file__).parents[2]
MISSING = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
LOCKED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _records(dataset):
    data = tfds.builder_from_directory(dataset).as_data_source(
        split="train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    return [data[index] for index in range(len(data))]


def _files(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def reading_through(take, images):
    """The same source; `take` is given each index before it is read."""

    def read(index):
        take(index)
        return images.read(index)

    return dataclasses.replace(images, read=read)


@pytest.mark.parametrize("images_per_shard", [3, 4096])
def test_tfds_reads_what_was_written(tmp_path, images_per_shard):
    images = source()
    report = build(images, tmp_path / "town", images_per_shard)
    records = _records(tmp_path / "town")
    assert [record["key"].decode() for record in records] == images.keys
    assert [record["label"] for record in records] == images.labels.tolist()
    assert [record["image"] for record in records] == [content(i) for i in range(10)]
    info = tfds.builder_from_directory(tmp_path / "town").info
    assert info.name == "town"
    assert info.features["label"].names == images.class_names
    assert info.splits["train"].num_examples == 10
    assert info.splits["train"].num_bytes == sum(len(content(i)) for i in range(10))
    assert len(info.splits["train"].shard_lengths) == -(-10 // images_per_shard)
    np.testing.assert_array_equal(np.load(tmp_path / "town" / "labels.npy"), images.labels)
    assert json.loads((tmp_path / "town" / "report.json").read_text()) == report
    assert os.listdir(tmp_path) == ["town"]
    beside = {"dataset_info.json", "features.json", "label.labels.txt", "labels.npy", "report.json"}
    assert {name for name in os.listdir(tmp_path / "town") if "array_record" not in name} == beside


def test_dropped_images_are_counted_by_reason_and_the_labels_stay(tmp_path):
    faults = {1: b"text", 3: MISSING, 5: LOCKED, 8: with_broken_pixels(content(8)), 9: MISSING}
    report = build(source(contents=faults), tmp_path / "town", images_per_shard=4)
    assert report["images"] == 5
    assert report["classes"] == len(COUNTS)
    assert report["classes_with_one_image"] == 0
    assert report["classes_without_image"] == 2
    assert {reason: entry["count"] for reason, entry in report["dropped"].items()} == {
        "missing": 2,
        "unreadable": 3,
    }
    assert report["dropped"]["missing"]["images"] == {
        "1/0.jpg": "No such file or directory",
        "3/1.jpg": "No such file or directory",
    }
    unreadable = report["dropped"]["unreadable"]["images"]
    assert list(unreadable) == ["0/1.jpg", "2/1.jpg", "3/0.jpg"]
    assert "4 bytes are no image" in unreadable["0/1.jpg"]
    assert unreadable["2/1.jpg"] == "Permission denied"
    assert [record["label"] for record in _records(tmp_path / "town")] == [0, 0, 2, 2, 2]


def test_a_class_with_one_image_stays_and_is_counted(tmp_path):
    report = build(source(), tmp_path / "town")
    assert report["classes_with_one_image"] == 1
    assert 1 in np.load(tmp_path / "town" / "labels.npy")


def test_a_shard_without_an_image(tmp_path):
    build(source(contents={2: MISSING, 3: b"text"}), tmp_path / "town", images_per_shard=2)
    assert [record["label"] for record in _records(tmp_path / "town")] == [0, 0, 2, 2, 2, 2, 3, 3]


KILLED = """
import os
import pathlib
import signal
import subprocess
import sys
import signal
import sys

from senet_jax.data.builder import build
from tests.data.test_builder import reading_through
from tests.data.sources import source

def killing(index):
    if index == 7:
        os.kill(os.getpid(), signal.SIGKILL)

build(reading_through(killing, source()), sys.argv[1], images_per_shard=3)
"""


def test_a_kill_that_nothing_can_catch(tmp_path):
    dataset = tmp_path / "town"
    done = subprocess.run([sys.executable, "-c", KILLED, dataset], cwd=REPOSITORY)
    assert done.returncode == -signal.SIGKILL
    assert not dataset.exists()
    reads = []
    build(reading_through(reads.append, source()), dataset, images_per_shard=3)
    assert sorted(reads) == [6, 7, 8, 9]
    assert [record["image"] for record in _records(dataset)] == [content(i) for i in range(10)]
    assert not list(dataset.glob(".*"))


class _Killed(Exception):
    pass


@pytest.mark.parametrize("fatal", range(10))
def test_a_kill_costs_no_finished_shard(tmp_path, fatal):
    images = source(contents={2: MISSING})
    build(images, tmp_path / "whole", images_per_shard=3)
    dataset = tmp_path / "town"

    with pytest.raises(_Killed):
        build(source(contents={2: MISSING, fatal: _Killed()}), dataset, images_per_shard=3)
    assert not dataset.exists()
    reads = []
    build(reading_through(reads.append, images), dataset, images_per_shard=3)
    assert sorted(reads) == list(range(fatal // 3 * 3, 10))
    assert [r | {"image": hash(r["image"])} for r in _records(dataset)] == [
        r | {"image": hash(r["image"])} for r in _records(tmp_path / "whole")
    ]
    same = ("labels.npy", "report.json", "features.json", "label.labels.txt", "dataset_info.json")
    whole = _files(tmp_path / "whole")
    assert _files(dataset).keys() == whole.keys()
    assert {name: _files(dataset)[name] for name in same} == {name: whole[name] for name in same}


@pytest.mark.parametrize("step", ["write_metadata", "write_json"])
def test_a_kill_at_the_end_is_mended(tmp_path, monkeypatch, step):
    def killed(*arguments, **named):
        raise _Killed

    dataset = tmp_path / "town"
    with monkeypatch.context() as patch:
        if step == "write_metadata":
            patch.setattr(tfds.folder_dataset, "write_metadata", killed)
        else:
            write_json = builder.write_json
            patch.setattr(
                builder,
                "write_json",
                lambda path, value: (killed if path.name == "report.json" else write_json)(
                    path, value
                ),
            )
        with pytest.raises(_Killed):
            build(source(), dataset)
    assert not dataset.exists()
    reads = []
    build(reading_through(reads.append, source()), dataset)
    assert reads == []
    assert len(_records(dataset)) == 10


def test_what_a_kill_left_of_a_shard_does_not_stay(tmp_path):
    unfinished = tmp_path / "town.unfinished"
    unfinished.mkdir()
    (unfinished / ".town-train.array_record-00000-of-00001.x5_d").write_bytes(b"half")
    build(source(), tmp_path / "town")
    assert not list((tmp_path / "town").glob(".*"))


def test_finished_work_is_not_done_again(tmp_path):
    report = build(source(), tmp_path / "town")
    files, reads = _files(tmp_path / "town"), []
    assert build(reading_through(reads.append, source()), tmp_path / "town") == report
    assert (reads, _files(tmp_path / "town")) == ([], files)


def test_two_lists_never_mix(tmp_path):
    dataset = tmp_path / "town"
    with pytest.raises(_Killed):
        build(source(contents={9: _Killed()}), dataset, images_per_shard=3)
    for other, images_per_shard in ((source((2, 8)), 3), (source(), 4)):
        with pytest.raises(UserError, match="was begun with another list"):
            build(other, dataset, images_per_shard)
    build(source(), dataset, images_per_shard=3)
    with pytest.raises(UserError, match=r"another list of images \(10 of 4 classes\)"):
        build(source((2, 8)), dataset)


def test_a_folder_of_something_else_stays(tmp_path):
    (tmp_path / "town").mkdir()
    (tmp_path / "town" / "photo.jpg").write_bytes(b"")
    (tmp_path / "file").write_bytes(b"")
    for name in ("town", "file"):
        with pytest.raises(UserError, match="exists and is no prepared dataset"):
            build(source(), tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert build(source(), tmp_path / "empty")["images"] == 10


def test_no_image_at_all(tmp_path):
    faults = dict.fromkeys(range(3), MISSING)
    with pytest.raises(UserError, match=r"none of the 3 images of town .* 0/0.jpg .* missing"):
        build(source((3,), faults), tmp_path / "town")
    assert not (tmp_path / "town").exists()


def test_fingerprint_depends_on_names_labels_and_bytes(tmp_path):
    def fingerprint(name, images):
        return build(images, tmp_path / name)["fingerprint"]

    first = fingerprint("a", source())
    assert fingerprint("b", source(contents={2: content(2)})) == first
    renamed = source()
    renamed.keys[0] = "new.jpg"
    others = [
        fingerprint("c", renamed),
        fingerprint("d", dataclasses.replace(source(), labels=source((4, 2, 3, 1)).labels)),
        fingerprint("e", source(contents={2: content(7)})),
        fingerprint("f", source(contents={2: MISSING})),
    ]
    assert len({first, *others}) == 5


def test_names_that_are_no_text(tmp_path):
    images = source((2,))
    images.keys[1] = os.fsdecode(b"\xe9.jpg")
    build(images, tmp_path / "town")
    assert _records(tmp_path / "town")[1]["key"] == b"\xe9.jpg"


def test_progress_counts_what_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(builder, "Progress", functools.partial(Progress, seconds_between=(0,)))
    with pytest.raises(_Killed):
        build(source(contents={4: _Killed()}), tmp_path / "town", images_per_shard=3)
    capsys.readouterr()
    build(source(), tmp_path / "town", images_per_shard=3)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"preparing town: {done}/7 images" for done in range(1, 8)
    ]
