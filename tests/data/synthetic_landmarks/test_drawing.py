import os
import pathlib
import signal
import sys
import time

import pytest

from senet_jax.data.synthetic_landmarks import TINY, drawing, training_source, write_evaluation
from senet_jax.system.errors import UserError
from tests.processes import started


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


def _processes_that_draw(pid):
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for thread in threads for child in thread.read_text().split()]
    return [child for child in children if b"spawn_main" in _command_of(child)]


def _command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _wait(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_processes_end_with_a_command_that_is_killed(tmp_path):
    made = f"--target={tmp_path}", "--processes=2"
    command = [sys.executable, "-m", "senet_jax.data.prepare", "synthetic_landmarks", *made]
    with started(command, 1, os.environ) as (process,):
        _wait(lambda: len(_processes_that_draw(process.pid)) == 2)
        children = _processes_that_draw(process.pid)
        process.kill()
        try:
            _wait(lambda: not any(map(_command_of, children)))
        finally:
            for child in filter(_command_of, children):
                os.kill(child, signal.SIGKILL)
