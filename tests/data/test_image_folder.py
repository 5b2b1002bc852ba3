import os

import pytest

from senet_jax.data.image_folder import image_folder
from senet_jax.system.errors import UserError


def _write(folder, *places):
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(place.encode())


def test_a_folder_is_a_class(tmp_path):
    _write(tmp_path, "tower/b.png", "tower/a.jpg", "church/1/x.jpg", "church/one.jpg", "list.txt")
    _write(tmp_path, "tower/.hidden.jpg", "tower/.thumbnails/a.jpg", ".git/config")
    (tmp_path / "empty").mkdir()
    source = image_folder(tmp_path)
    assert source.class_names == ["church", "empty", "tower"]
    assert source.keys == ["church/1/x.jpg", "church/one.jpg", "tower/a.jpg", "tower/b.png"]
    assert source.labels.tolist() == [0, 0, 2, 2]
    assert [source.read(i).decode() for i in range(4)] == source.keys


def test_links_are_followed(tmp_path):
    _write(tmp_path, "disk/x.jpg", "disk/deep/y.jpg", "images/church/a.jpg")
    images = tmp_path / "images"
    (images / "tower").symlink_to(tmp_path / "disk")
    (images / "church" / "more").symlink_to(tmp_path / "disk" / "deep")
    (images / "church" / "up").symlink_to(images / "church")
    source = image_folder(images)
    assert source.class_names == ["church", "tower"]
    assert source.keys == ["church/a.jpg", "church/more/y.jpg", "tower/deep/y.jpg", "tower/x.jpg"]
    assert source.read(1) == b"disk/deep/y.jpg"


def test_what_cannot_be_read_is_listed(tmp_path, monkeypatch):
    _write(tmp_path, "church/a.jpg", "church/locked/b.jpg")
    (tmp_path / "church" / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "tower").symlink_to("nowhere")
    (tmp_path / "well").symlink_to("well")
    os.mkfifo(tmp_path / "church" / "fifo.jpg")
    scandir = os.scandir

    def refused(path):
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    source = image_folder(tmp_path)
    assert source.class_names == ["church", "tower", "well"]
    assert source.keys == [
        *("church/a.jpg", "church/fifo.jpg", "church/gone.jpg", "church/locked", "tower", "well")
    ]
    faults = [OSError, FileNotFoundError, OSError, FileNotFoundError, OSError]
    for index, fault in enumerate(faults, 1):
        with pytest.raises(fault):
            source.read(index)


def test_a_class_of_one_image_is_a_class(tmp_path):
    _write(tmp_path, "church/a.jpg", "tower/a.jpg")
    assert image_folder(tmp_path).labels.tolist() == [0, 1]


def test_no_folder_no_class_no_image(tmp_path):
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        image_folder(tmp_path / "nowhere")
    _write(tmp_path, "a.jpg")
    with pytest.raises(UserError, match="holds no folder; put the images of each class"):
        image_folder(tmp_path)
    (tmp_path / "church").mkdir()
    with pytest.raises(UserError, match="lists no image"):
        image_folder(tmp_path)
