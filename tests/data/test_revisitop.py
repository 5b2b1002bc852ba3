import hashlib
import json
import os
import pickle

import cv2
import numpy as np
import pytest

from senet_jax.data import revisitop
from senet_jax.data.revisitop import (
    Photograph,
    UnreadableImage,
    ground_truth_files,
    load_dataset,
    load_distractors,
)
from senet_jax.system.errors import UserError

from .pictures import (
    MINIPHOTOS,
    encoded,
    needs_miniphotos,
    picture,
    with_exif_orientation,
    write_dataset,
)


def _write_distractors(root, listed=None, files=()):
    folder = root / "noise" / "jpg"
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).touch()
    if listed is not None:
        (root / "noise" / "noise.txt").write_bytes(listed)
    return folder


@pytest.mark.parametrize("suffix", [".pkl", ".json"])
def test_dataset_knows_every_photograph(tmp_path, suffix):
    truth = write_dataset(tmp_path, "town", boxes=[[0, 0, 10.5, 10], [1, 2, 3, 4]], suffix=suffix)
    dataset = load_dataset(tmp_path, "town")
    folder = tmp_path / "town" / "jpg"
    assert dataset.name == "town"
    assert dataset.ground_truth.image_names == tuple(truth["imlist"])
    assert [image.path for image in dataset.images] == [
        folder / f"{name}.jpg" for name in truth["imlist"]
    ]
    assert {image.box for image in dataset.images} == {None}
    assert [(query.path, query.box) for query in dataset.queries] == [
        (folder / "q.jpg", (0, 0, 10.5, 10)),
        (folder / "r.jpg", (1, 2, 3, 4)),
    ]
    assert [(query.path, query.box) for query in dataset.whole_queries] == [
        (folder / "q.jpg", None),
        (folder / "r.jpg", None),
    ]


def test_dataset_without_boxes(tmp_path):
    write_dataset(tmp_path, "town", boxes=None)
    assert [query.box for query in load_dataset(tmp_path, "town").queries] == [None, None]


@needs_miniphotos
def test_dataset_of_photographs():
    dataset = load_dataset(MINIPHOTOS.parent, MINIPHOTOS.name)
    assert (len(dataset.images), len(dataset.queries)) == (38, 5)
    paths = {photograph.path for photograph in dataset.images + dataset.queries}
    assert paths <= set((MINIPHOTOS / "jpg").iterdir())
    assert dataset.queries[0].box == (60, 60, 700, 730)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a\0b"])
@pytest.mark.parametrize("key", ["imlist", "qimlist"])
def test_names_stay_in_the_folder(tmp_path, key, name):
    truth = write_dataset(tmp_path, "town")
    truth[key][1] = name
    (tmp_path / "town" / "gnd_town.pkl").write_bytes(pickle.dumps(truth))
    with pytest.raises(UserError, match="leaves the folder"):
        load_dataset(tmp_path, "town")


def test_names_may_go_down(tmp_path):
    assert Photograph(tmp_path, "a/b.jpg").path == tmp_path / "a" / "b.jpg"


def test_names_with_other_endings_and_in_folders(tmp_path):
    write_dataset(tmp_path, "town")
    folder = tmp_path / "town" / "jpg"
    (folder / "deep").mkdir()
    for file in ("a.JPG", "b.png", "deep/c.jpeg", "q.jpg"):
        (folder / file).touch()
    dataset = load_dataset(tmp_path, "town")
    assert [image.file_name for image in dataset.images] == ["a.JPG", "b.png", "deep/c.jpeg"]
    assert [query.file_name for query in dataset.queries] == ["q.jpg", "r.jpg"]
    assert dataset.missing == (
        f"1 of 5 listed images are not in {folder}, 'r.jpg' for one; there are 4 images, 'a.JPG' "
        "for one"
    )
    (folder / "r.webp").touch()
    assert load_dataset(tmp_path, "town").missing is None


def test_two_ground_truths(tmp_path):
    truth = write_dataset(tmp_path, "town")
    (tmp_path / "town" / "gnd_town.json").write_text(json.dumps(truth))
    with pytest.raises(UserError, match=r"both .*gnd_town.pkl and gnd_town.json are there; remove"):
        load_dataset(tmp_path, "town")


@pytest.mark.parametrize("load", [load_dataset, load_distractors])
def test_missing_root(tmp_path, load):
    with pytest.raises(UserError, match=r"no folder .*nowhere, in which town was looked for"):
        load(tmp_path / "nowhere", "town")


@pytest.mark.parametrize("load", [load_dataset, load_distractors])
def test_missing_dataset_names_those_that_are_there(tmp_path, load):
    with pytest.raises(UserError, match=r"no folder .*town; .* has none with photographs"):
        load(tmp_path, "town")
    write_dataset(tmp_path, "village")
    write_dataset(tmp_path, "city")
    with pytest.raises(UserError, match=r"no folder .*town; .* has city, village with photographs"):
        load(tmp_path, "town")


def test_missing_ground_truth(tmp_path):
    write_dataset(tmp_path, "city")
    (tmp_path / "town" / "jpg").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no gnd_town.pkl or gnd_town.json in .*town; .* has city"):
        load_dataset(tmp_path, "town")


@pytest.mark.parametrize("read", [load_dataset, ground_truth_files])
def test_a_ground_truth_of_another_name_is_named(tmp_path, read):
    write_dataset(tmp_path, "town").clear()
    (tmp_path / "town").rename(tmp_path / "village")
    with pytest.raises(UserError, match=r"no gnd_village.pkl or .* but 'gnd_town.pkl'; give that"):
        read(tmp_path, "village")


@pytest.mark.parametrize("load", [load_dataset, load_distractors])
def test_missing_photograph_folder(tmp_path, load):
    write_dataset(tmp_path, "city")
    write_dataset(tmp_path, "town")
    (tmp_path / "town" / "jpg").rmdir()
    with pytest.raises(UserError, match=r"no folder .*jpg; put the photographs .* has city with"):
        load(tmp_path, "town")


@pytest.mark.parametrize("load", [load_dataset, load_distractors])
@pytest.mark.parametrize("name", ["", ".", "..", "../town", "town/", "/town"])
def test_dataset_names_are_single_folders(tmp_path, load, name):
    write_dataset(tmp_path, "town")
    with pytest.raises(UserError, match="is no name of a dataset"):
        load(tmp_path, name)


@pytest.mark.parametrize(
    "listed",
    [b"b.jpg\na/c.png\nA d.JPG\n", b"\xef\xbb\xbfb.jpg\r\n\r\na/c.png\r\n  \r\nA d.JPG"],
    ids=["plain", "windows"],
)
def test_distractors_of_a_list(tmp_path, listed):
    folder = _write_distractors(tmp_path, listed, files=["unlisted.jpg"])
    distractors = load_distractors(tmp_path, "noise")
    assert distractors.name == "noise"
    assert [image.path for image in distractors.images] == [
        folder / "b.jpg",
        folder / "a" / "c.png",
        folder / "A d.JPG",
    ]
    assert distractors.sha256 == hashlib.sha256(b"b.jpg\na/c.png\nA d.JPG").hexdigest()


def test_distractors_of_a_folder(tmp_path):
    _write_distractors(tmp_path, files=["b.jpg", "é.png", "a.JPEG", "notes.txt", "B.jpg"])
    distractors = load_distractors(tmp_path, "noise")
    names = ["B.jpg", "a.JPEG", "b.jpg", "é.png"]
    assert [image.file_name for image in distractors.images] == names
    assert distractors.sha256 == hashlib.sha256("\n".join(names).encode()).hexdigest()


def test_distractors_in_folders_and_behind_links(tmp_path):
    folder = _write_distractors(tmp_path, files=["b.jpg"])
    (folder / "1" / "2").mkdir(parents=True)
    (folder / "1" / "2" / "a.jpg").touch()
    (folder / "1" / "notes.txt").touch()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.png").touch()
    (folder / "linked").symlink_to(tmp_path / "disk")
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere")
    distractors = load_distractors(tmp_path, "noise")
    names = ["1/2/a.jpg", "b.jpg", "gone.jpg", "linked/x.png"]
    assert [image.file_name for image in distractors.images] == names


def test_a_folder_of_distractors_that_cannot_be_listed(tmp_path, monkeypatch):
    folder = _write_distractors(tmp_path, files=["b.jpg"])
    monkeypatch.setattr(revisitop, "files_below", lambda _: (["b.jpg"], ["locked"]))
    with pytest.raises(UserError, match=rf"cannot list the folder {folder}/locked; check who may"):
        load_distractors(tmp_path, "noise")


def test_listed_distractors_that_are_not_there(tmp_path):
    _write_distractors(tmp_path, b"b.jpg\na\nc.jpg\n", files=["b.jpg", "a.PNG"])
    distractors = load_distractors(tmp_path, "noise")
    assert [image.file_name for image in distractors.images] == ["b.jpg", "a.PNG", "c.jpg"]
    assert distractors.missing.startswith("1 of 3 listed images are not in ")


def test_a_list_that_would_never_end(tmp_path):
    _write_distractors(tmp_path)
    os.mkfifo(tmp_path / "noise" / "noise.txt")
    with pytest.raises(UserError, match=r"cannot read .*noise.txt: it is no regular file"):
        load_distractors(tmp_path, "noise")


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (b"a.jpg\nb.jpg\r\na.jpg\n", "list 'a.jpg' 2 times"),
        (b"a.jpg\n../b.jpg\n", "'../b.jpg' leaves the folder"),
        (b"/etc/b.jpg\n", "'/etc/b.jpg' leaves the folder"),
        (b"\n  \r\n", "hold no image"),
        (None, "hold no image"),
        (b"\xff\xfe", "no list of names"),
    ],
)
def test_wrong_distractors(tmp_path, listed, message):
    _write_distractors(tmp_path, listed)
    with pytest.raises(UserError, match=message):
        load_distractors(tmp_path, "noise")


def test_list_that_is_a_folder(tmp_path):
    _write_distractors(tmp_path)
    (tmp_path / "noise" / "noise.txt").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*noise.txt: Is a directory"):
        load_distractors(tmp_path, "noise")


def test_read_image_is_imread(tmp_path):
    path = tmp_path / "turned.jpg"
    path.write_bytes(with_exif_orientation(encoded(picture(24, 40)), 6))
    image = revisitop.read_image(path)
    assert image.shape == (40, 24, 3)
    np.testing.assert_array_equal(image, cv2.imread(str(path)))


def test_unreadable_images(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("this is no picture")
    (tmp_path / "folder.jpg").mkdir()
    content = encoded(picture(240, 320), ".png")
    (tmp_path / "short.png").write_bytes(content[: len(content) // 2])
    os.mkfifo(tmp_path / "fifo.jpg")
    for name, message in {
        "missing.jpg": "No such file",
        "empty.jpg": "the file is empty",
        "text.jpg": "18 bytes are no image",
        "folder.jpg": "Is a directory",
        "short.png": "cut short",
        "fifo.jpg": "it is no regular file",
    }.items():
        with pytest.raises(UnreadableImage, match=message) as caught:
            revisitop.read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
