import os

import numpy as np
import pytest

from senet_jax.data import file_state
from senet_jax.data.file_state import FILE_STATE, are_same, content_digest, file_states
from senet_jax.data.revisitop import Photograph


@pytest.fixture
def photographs(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(f"{name} content")
    return [Photograph(tmp_path, name) for name in "abc"]


def _unchanged(photographs, known):
    return are_same(file_states(photographs, known), known).tolist()


def test_states_of_files(photographs):
    states = file_states(photographs)
    assert states.dtype == FILE_STATE and states["size"].tolist() == [9, 9, 9]
    status = photographs[1].path.stat()
    assert states["mtime_ns"][1] == status.st_mtime_ns
    assert states["digest"][1].tobytes() == content_digest(photographs[1].path)
    assert len({digest.tobytes() for digest in states["digest"]}) == 3
    assert _unchanged(photographs, states) == [True] * 3


def test_files_that_keep_their_size_and_times_are_not_read(photographs, monkeypatch):
    known = file_states(photographs)
    monkeypatch.setattr(file_state, "content_digest", None)
    counts = []
    np.testing.assert_array_equal(file_states(photographs, known, counts.append), known)
    assert counts == [1, 1, 1]


def _same_size_and_time(path):
    status = path.stat()
    path.write_text("A content")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (lambda path: path.write_text("A content"), False),
        (_same_size_and_time, False),
        (lambda path: path.write_text("a contenT and more"), False),
        (lambda path: path.unlink(), False),
        (lambda path: (path.unlink(), os.mkfifo(path)), False),
        (lambda path: (path.unlink(), path.mkdir()), False),
        (lambda path: path.write_text("a content"), True),
        (lambda path: os.utime(path, (1, 1)), True),
        (lambda path: path.chmod(0o600), True),
        (lambda path: (path.unlink(), path.write_text("a content")), True),
    ],
)
def test_what_changes_a_file(photographs, change, is_same):
    known = file_states(photographs)
    change(photographs[0].path)
    assert _unchanged(photographs, known) == [is_same, True, True]


def test_a_file_that_cannot_be_read_is_the_same_as_none(tmp_path):
    photographs = [Photograph(tmp_path, name) for name in ("missing", "x" * 300)]
    known = file_states(photographs)
    assert known.tobytes() == bytes(known.nbytes)
    assert _unchanged(photographs, known) == [False, False]


def test_many_files(tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(file_state, "_FILES_PER_BLOCK", 2)
    states = file_states(photographs * 3)
    assert are_same(states, np.tile(file_states(photographs), 3)).all()
    assert len(file_states([])) == 0
