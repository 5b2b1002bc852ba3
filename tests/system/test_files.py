import errno
import hashlib
import math
import os
import socket
import stat

import numpy as np
import pytest

from senet_jax.system.errors import UserError
from senet_jax.system.files import (
    atomic_write,
    local_path,
    open_array,
    read_json,
    read_regular,
    sha256_of_file,
    write_json,
)


def _write(path, text):
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent and temporary != path
        temporary.write_text(text)


def test_a_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "new" / "folders" / "a.txt"
    _write(path, "first")
    assert path.read_text() == "first"
    with atomic_write(path) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_its_mode_is_that_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    _write(tmp_path / "a.txt", "")
    assert stat.filemode((tmp_path / "a.txt").stat().st_mode) == stat.filemode(
        (tmp_path / "plain").stat().st_mode
    )


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
def test_what_stops_the_writing_leaves_the_old_file(tmp_path, fault):
    path = tmp_path / "a.txt"
    _write(path, "first")
    with pytest.raises(fault), atomic_write(path) as temporary:
        temporary.write_text("half of")
        raise fault
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    _write(path, "first")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=rf"cannot write {path}: No space left on device; choose"):
        _write(path, "second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_something_in_the_way(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"cannot write .*file/a\.txt: .*; choose a place"):
        _write(tmp_path / "file" / "a.txt", "")
    with pytest.raises(UserError, match=r"cannot write .*: Is a directory; choose a place"):
        _write(tmp_path, "")


def test_json_there_and_back(tmp_path):
    value = {"name": "Ö", "numbers": [1, 0.1, None]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text(encoding="utf-8").endswith("}\n")


def test_a_number_that_json_does_not_have_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"map": math.nan})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_broken_json_is_one_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is not valid JSON: .*; make it again"):
        read_json(tmp_path / "a.json")


def test_missing_json(tmp_path):
    with pytest.raises(UserError, match="No such file or directory; check the path"):
        read_json(tmp_path / "a.json")


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


def test_an_array_is_mapped_and_not_written(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    array = open_array(tmp_path / "a.npy")
    assert isinstance(array, np.memmap) and not array.flags.writeable
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_what_is_no_array(tmp_path):
    (tmp_path / "text.npy").write_text("text")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("text", "objects", "empty"):
        with pytest.raises(UserError, match=rf"{name}\.npy is not an array in a \.npy file"):
            open_array(tmp_path / f"{name}.npy")
    with pytest.raises(UserError, match="No such file"):
        open_array(tmp_path / "missing.npy")


def test_a_tilde_is_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/weights") == tmp_path / "weights"
    assert str(local_path("a:b/c")) == "a:b/c"


@pytest.mark.parametrize(
    "path", ["gs://bucket/a", "s3://a", "memory://a", "", "a\0b", "~nobody_here/a"]
)
def test_a_place_that_is_not_on_this_machine_is_refused(path):
    with pytest.raises(UserError):
        local_path(path)


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "file", 3) == b"abc"
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    for path, message in (
        (tmp_path, "Is a directory"),
        (tmp_path / "fifo", "it is no regular file"),
        (tmp_path / "socket", "No such device or address"),
        ("/dev/zero", "it is no regular file"),
        (tmp_path / "missing", "No such file or directory"),
    ):
        with pytest.raises(OSError) as raised:
            read_regular(path)
        assert raised.value.strerror == message
    with pytest.raises(OSError) as raised:
        read_regular(tmp_path / "file", 2)
    assert raised.value.strerror == "it has more than 2 bytes"


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"1" * 5_000,
        b"18446744073709551616",
        b"1e999",
        b"NaN",
        b"-Infinity",
        b"\xff",
        b"",
        b'{"a":1',
    ],
)
def test_what_is_no_plain_json_is_one_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is not valid JSON: .*; make it again"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "header",
    ["{" * 5_000, "1" * 5_000, "{'descr': 'O', 'fortran_order': False, 'shape': (1,)}", "a.b", "'"],
)
def test_a_hostile_header_is_one_line(tmp_path, header):
    data = header.encode() + b"\n"
    prefix = b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little")
    (tmp_path / "a.npy").write_bytes(prefix + data + bytes(8))
    with pytest.raises(UserError, match=r"a\.npy is not an array in a \.npy file"):
        open_array(tmp_path / "a.npy")
