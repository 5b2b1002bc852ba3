import os
import pathlib
import unicodedata

import pytest

from senet_jax.data.folders import files_below, find_photographs

COMPOSED = unicodedata.normalize("NFC", "café")
DECOMPOSED = unicodedata.normalize("NFD", "café")


def _write(folder, *places):
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()


def test_everything_below(tmp_path):
    _write(tmp_path, "b", "a/2.jpg", "a/1.jpg", "a/deep/er/3", ".hidden", "a/._2.jpg", ".git/x")
    assert files_below(tmp_path) == (["a/1.jpg", "a/2.jpg", "a/deep/er/3", "b"], [])


def test_links_are_followed_once(tmp_path):
    _write(tmp_path, "elsewhere/x.jpg", "images/real/a.jpg")
    images = tmp_path / "images"
    (images / "far").symlink_to(tmp_path / "elsewhere")
    (images / "all").symlink_to(images / "real")  # Before `real` in the order of names.
    (images / "real" / "up").symlink_to("..")
    (images / "real" / "further_up").symlink_to(tmp_path)
    (images / "one.jpg").symlink_to("real/a.jpg")
    assert files_below(images) == (["far/x.jpg", "one.jpg", "real/a.jpg"], [])


def test_what_cannot_be_read_is_listed(tmp_path):
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "itself").symlink_to("itself")
    os.mkfifo(tmp_path / "fifo.jpg")
    assert files_below(tmp_path) == (["fifo.jpg", "gone.jpg", "itself"], [])


def test_folders_that_cannot_be_listed(tmp_path, monkeypatch):
    _write(tmp_path, "a/x", "locked/y", "z")
    scandir = os.scandir

    def refused(path):
        if pathlib.Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert files_below(tmp_path) == (["a/x", "z"], ["locked"])


@pytest.mark.parametrize(
    ("there", "listed", "found"),
    [
        ("a.jpg", "a", "a.jpg"),
        ("a.jpg a.png a b/a.jpg a.jpg.jpg", "a", "a.jpg"),
        ("a.jpg", "a.jpg", "a.jpg"),
        ("a.png", "a.png", "a.png"),
        ("a.JPG", "a", "a.JPG"),
        ("a.jpeg", "a", "a.jpeg"),
        ("a.png a.txt", "a", "a.png"),
        ("a.JPG", "a.jpg", "a.JPG"),
        ("st.mary.jpg", "st.mary", "st.mary.jpg"),
        ("st.mary.PNG", "st.mary", "st.mary.PNG"),
        ("b/a.jpg", "a", "b/a.jpg"),
        ("b/c/a.JPG", "a.jpg", "b/c/a.JPG"),
        ("b/a.jpg", "b/a", "b/a.jpg"),
        ("c/b/a.jpg", "b/a", "c/b/a.jpg"),
        ("b/a.jpg a.png", "a", "a.png"),
        (".a.jpg", ".a", ".a.jpg"),
        (f"{DECOMPOSED}.jpg", COMPOSED, f"{DECOMPOSED}.jpg"),
        (f"{COMPOSED}.jpg", DECOMPOSED, f"{COMPOSED}.jpg"),
        (f"b/{DECOMPOSED}.JPG", COMPOSED, f"b/{DECOMPOSED}.JPG"),
    ],
)
def test_a_name_finds_its_file(tmp_path, there, listed, found):
    _write(tmp_path, *there.split())
    assert find_photographs(tmp_path, [listed]) == ([found], None)


def test_a_name_goes_through_links(tmp_path):
    _write(tmp_path, "real/a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert find_photographs(tmp_path, ["link/a"]) == (["link/a.jpg"], None)


@pytest.mark.parametrize(
    ("there", "listed", "missed", "hint"),
    [
        ("b.png", "a", "a.jpg", "there are 1 images, 'b.png' for one"),
        ("a.txt", "a", "a.jpg", "there are 0 images"),
        ("a.txt", "a.png", "a.png", "there are 0 images"),
        ("a.png a.JPG", "a", "a.jpg", "it may be 'a.JPG', 'a.png'"),
        ("b/a.jpg c/a.jpg", "a", "a.jpg", "it may be 'b/a.jpg', 'c/a.jpg'"),
        ("a.jpg", "b/a", "b/a.jpg", "there are 1 images, 'a.jpg' for one"),
        ("ba.jpg", "a", "a.jpg", "there are 1 images, 'ba.jpg' for one"),
        ("\x1b[1m.jpg", "\x1b[2m", "\x1b[2m.jpg", r"there are 1 images, '\x1b[1m.jpg' for one"),
    ],
)
def test_or_the_line_says_what_is_there(tmp_path, there, listed, missed, hint):
    _write(tmp_path, *there.split())
    found, line = find_photographs(tmp_path, [listed])
    assert found == [missed]
    assert line == f"1 of 1 listed images are not in {tmp_path}, {missed!r} for one; {hint}"
    assert line.isprintable()


def test_how_many_are_missing(tmp_path):
    _write(tmp_path, "a.jpg", "1/c.jpg", "2/c.jpg")
    found, line = find_photographs(tmp_path, ["a", "b", "c", "d"])
    assert found == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert line == (
        f"3 of 4 listed images are not in {tmp_path}, 'c.jpg' for one; it may be '1/c.jpg', "
        "'2/c.jpg'"
    )


def test_a_folder_is_looked_at_once(tmp_path, monkeypatch):
    names = [f"{number}" for number in range(100)]
    _write(tmp_path, *(f"{name}.jpg" for name in names[:50]), *(f"{n}.JPG" for n in names[50:]))
    looks, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or scandir(path))
    found, line = find_photographs(tmp_path, names)
    assert len(set(found)) == 100 and line is None
    assert len(looks) == 1
