import pytest

from senet_jax.data.image_folder import image_folder
from senet_jax.errors import UserError


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
