import os

import pytest

from senet_jax.data.gldv2 import gldv2_clean
from senet_jax.system.errors import UserError

IDS = ["0123456789abcdef", "fedcba9876543210", "00ff00ff00ff00ff"]


def _list(tmp_path, text):
    path = tmp_path / "train_clean.csv"
    path.write_text(text, encoding="utf-8")
    return path


def _write_tree(folder):
    """Writes images at the places that the published data set has them."""
    for place, content in {
        "0/1/2/0123456789abcdef.jpg": b"first",
        "f/e/d/fedcba9876543210.jpg": b"second",
        "0/0/f/00ff00ff00ff00ff.jpg": b"third",
    }.items():
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_bytes(content)


def test_classes_are_renumbered_in_the_order_of_their_ids(tmp_path):
    _write_tree(tmp_path)
    text = f"\ufefflandmark_id,images\r\n103,{IDS[0]} {IDS[1]}\r\n20,{IDS[2]}\r\n"
    source = gldv2_clean(_list(tmp_path, text), tmp_path)
    assert source.class_names == ["20", "103"]
    assert source.keys == [IDS[2], IDS[0], IDS[1]]
    assert source.labels.tolist() == [0, 1, 1]
    assert [source.read(index) for index in range(3)] == [b"third", b"first", b"second"]


def test_a_very_long_line(tmp_path):
    ids = [f"{i:016x}" for i in range(20_000)]
    source = gldv2_clean(_list(tmp_path, f"landmark_id,images\n7,{' '.join(ids)}\n"), tmp_path)
    assert source.keys == ids


def test_a_missing_image_is_an_error_of_the_file(tmp_path):
    source = gldv2_clean(_list(tmp_path, f"landmark_id,images\n1,{IDS[0]}\n"), tmp_path)
    with pytest.raises(FileNotFoundError):
        source.read(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with nothing"),
        ("id,url,landmark_id\n", "begins with 'id,url,landmark_id'"),
        ("landmark_id,images\n", "lists no image"),
        ("landmark_id,images\n5\n", "line 2, is '5'"),
        ("landmark_id,images\n5,\n", "line 2, is '5,'"),
        ("landmark_id,images\n5,aaa\nx,bbb\n", "line 3, is 'x,bbb'"),
        ("landmark_id,images\n5,ab\n", "line 2, lists the image 'ab'"),
        ("landmark_id,images\n5,../../etc\n", "line 2, lists the image '../../etc'"),
        ("landmark_id,images\n5,aaa\n6,bbb\n05,ccc\n", "landmark 05 on the lines 2 and 4"),
        ("landmark_id,images\n5,aaa\n6,bbb aaa\n", "the image 'aaa' 2 times"),
    ],
)
def test_wrong_lists_are_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        gldv2_clean(_list(tmp_path, text), tmp_path)


def test_list_that_is_no_text(tmp_path):
    path = tmp_path / "train_clean.csv"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match="no list of images"):
        gldv2_clean(path, tmp_path)


def test_missing_list_and_missing_folder(tmp_path):
    with pytest.raises(UserError, match=r"train_clean.csv: No such file"):
        gldv2_clean(tmp_path / "train_clean.csv", tmp_path)
    with pytest.raises(UserError, match=r"no folder .*images"):
        gldv2_clean(_list(tmp_path, "landmark_id,images\n1,abc\n"), tmp_path / "images")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("9" * 5_000 + ",abc", "line 2, is '999"),
        ("1," + "a" * 5_000, "lists the image 'aaa"),
        ("1,abc\x00", "lists the image 'abc\\\\x00'"),
        ("\x1b[2J,abc", "line 2, is '\\\\x1b"),
        ('"1","abc"', "line 2, is"),
        ("1,../a", "lists the image '../a'"),
    ],
)
def test_a_hostile_line_is_one_printable_line(tmp_path, line, message):
    (tmp_path / "list.csv").write_text(f"landmark_id,images\n{line}\n")
    with pytest.raises(UserError, match=message) as raised:
        gldv2_clean(tmp_path / "list.csv", tmp_path)
    assert str(raised.value).isprintable() and len(str(raised.value)) < 500


def test_only_a_regular_list_is_read(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(UserError, match="it is no regular file; check the path"):
        gldv2_clean(tmp_path / "list.csv", tmp_path)


def test_only_a_regular_image_is_read(tmp_path):
    (tmp_path / "list.csv").write_text("landmark_id,images\n1,abc\n")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    os.mkfifo(tmp_path / "a" / "b" / "c" / "abc.jpg")
    with pytest.raises(OSError, match="it is no regular file"):
        gldv2_clean(tmp_path / "list.csv", tmp_path).read(0)
