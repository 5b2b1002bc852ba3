import os
import signal

import pytest

from senet_jax.data.synthetic_landmarks import TINY, drawing, training_source, write_evaluation
from senet_jax.system.errors import UserError


def test_other_processes_draw_the_same(tmp_path):
    write_evaluation(TINY, "validation", tmp_path / "here")
    with drawing(2) as draw:
        assert training_source(TINY, draw).read(7) == training_source(TINY).read(7)
        write_evaluation(TINY, "validation", tmp_path / "there", draw)
    places = [
        {path.name: path.read_bytes() for path in (tmp_path / root).rglob("*") if path.is_file()}
        for root in ("here", "there")
    ]
    assert places[0] == places[1] and len(places[0]) > 20


def _die():
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def test_a_process_that_is_killed_is_said():
    with pytest.raises(UserError, match="a process that draws was killed"), drawing(2) as draw:
        draw(_die)


def _nothing():
    return b""


def test_processes_end_with_what_they_draw_for():
    for _ in range(3):
        with drawing(2) as draw:
            assert draw(_nothing) == b""
    with pytest.raises(KeyboardInterrupt), drawing(2) as draw:
        draw(_nothing)
        raise KeyboardInterrupt
