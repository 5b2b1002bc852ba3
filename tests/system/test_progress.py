import fcntl
import io
import os
import pty
import struct
import termios
import threading

import jax
import pytest

from senet_jax.system.errors import UserError, run_command
from senet_jax.system.progress import COMPILING, Compiling, Progress, clear, format_seconds
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.system.signals import Terminated

COLUMNS = 60


class _Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
def lines(clock):
    """What is written to a log when after each (seconds, count) so many more units are done."""

    def run(total, steps, seconds_between=(2, 10, 30)):
        log = io.StringIO()
        progress = Progress("reading", total, "images", seconds_between, clock, stream=log)
        for seconds, count in steps:
            clock.seconds = seconds
            progress.advance(count)
        return log.getvalue().splitlines()

    return run


def test_quick_work_is_silent(lines):
    assert lines(3, [(0.5, 1), (1.0, 1), (1.9, 1)]) == []


def test_lines_in_a_log_become_sparse_and_one_ends_it(lines):
    steps = [(second, 10) for second in range(1, 101)]
    assert lines(1000, steps) == [
        "reading: 20/1,000 images, 10 images/s, ETA 1m38s",
        "reading: 120/1,000 images, 10 images/s, ETA 1m28s",
        "reading: 420/1,000 images, 10 images/s, ETA 58s",
        "reading: 720/1,000 images, 10 images/s, ETA 28s",
        "reading: 1,000/1,000 images, 10 images/s, took 1m40s",
    ]


def test_a_line_ends_whatever_was_not_quick(lines):
    assert lines(2, [(1, 1), (4, 1)]) == ["reading: 2/2 images, 0.5 images/s, took 4s"]
    assert lines(2, [(6, 1), (8, 1), (9, 0)])[1:] == ["reading: 2/2 images, 0.5 images/s, took 4s"]


def test_the_rate_is_that_of_late(lines):
    """Ten minutes at one a second, and then ten a second."""
    slow = [(second, 1) for second in range(1, 601)]
    fast = [(600 + second, 10) for second in range(1, 61)]
    assert lines(3000, slow + fast, seconds_between=(630,))[0] == (
        "reading: 900/3,000 images, 10 images/s, ETA 3m30s"
    )


def test_the_rate_of_slow_units(lines):
    assert lines(4, [(100, 1), (200, 1), (400, 1)])[-1] == (
        "reading: 3/4 images, 0.005 images/s, ETA 3m20s"
    )


def test_compilers_are_named_and_not_counted(clock):
    """`1/38 images, ETA 38m` was the compiler."""
    log, compiling = io.StringIO(), Compiling(clock)
    progress = Progress("describing", 38, "images", (2, 10), clock, compiling, log)
    for seconds, count in [(60, 1), (61, 1), (75, 14), (85, 10), (97, 12)]:
        if seconds == 60:
            clock.seconds = 0.5
            compiling.begin()
            clock.seconds = 59
            compiling.end(58.5)
        clock.seconds = seconds
        progress.advance(count)
    assert log.getvalue().splitlines() == [
        "describing: 1/38 images, 0.667 images/s, ETA 56s, 58s went into compiling",
        "describing: 16/38 images, 0.97 images/s, ETA 23s, 58s went into compiling",
        "describing: 26/38 images, 0.981 images/s, ETA 12s, 58s went into compiling",
        "describing: 38/38 images, 0.987 images/s, took 1m37s, 58s of it compiling",
    ]


def test_what_was_compiled_before_does_not_count(clock):
    log, compiling = io.StringIO(), Compiling(clock)
    clock.seconds = 100
    compiling.end(50)
    progress = Progress("describing", 2, "images", (2,), clock, compiling, log)
    clock.seconds = 104
    progress.advance(1)
    assert log.getvalue() == "describing: 1/2 images, 0.25 images/s, ETA 4s\n"


def test_time_in_which_several_threads_compile_counts_once(clock):
    compiling = Compiling(clock)

    def at(seconds, work, *arguments):
        clock.seconds = seconds
        work(*arguments)

    def in_a_thread(work, *arguments):
        thread = threading.Thread(target=work, args=arguments)
        thread.start()
        thread.join()

    at(1, compiling.begin)
    clock.seconds = 3
    assert (compiling.seconds, compiling.is_under_way) == (2, True)
    at(4, compiling.end, 1)  # Part of what was prepared for it.
    at(5, compiling.end, 4)
    assert (compiling.seconds, compiling.is_under_way) == (4, False)
    at(7, in_a_thread, compiling.end, 3)  # From 4 to 7.
    assert compiling.seconds == 6
    at(20, compiling.end, 1)
    assert compiling.seconds == 7


def test_jax_tells_when_it_compiles():
    use_compilation_cache()
    before, seen = COMPILING.seconds, []
    original = Compiling.begin

    def begin(self):
        original(self)
        seen.append(self.is_under_way)

    Compiling.begin = begin
    try:
        jax.jit(lambda x: (x @ x.T).sum() * 1.2345)(jax.numpy.ones((3, 3)))
    finally:
        Compiling.begin = original
    assert COMPILING.seconds > before and not COMPILING.is_under_way
    assert any(seen)


class _Terminal:
    def __init__(self):
        self._reading, writing = pty.openpty()
        fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.stream = os.fdopen(writing, "w")

    def said(self):
        """What was written since it was asked before."""
        self.stream.write("$")
        self.stream.flush()
        said = ""
        while not said.endswith("$"):
            said += os.read(self._reading, 10_000).decode()
        return said[:-1]

    def close(self):
        self.stream.close()
        os.close(self._reading)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    # What is drawn here is forgotten at the end: the terminal is closed then.
    monkeypatch.setattr(Progress, "_latest", None)
    opened = _Terminal()
    yield opened
    opened.close()


def test_on_a_terminal_a_line_is_drawn_anew(terminal, clock):
    progress = Progress("reading", 100, "images", clock=clock, stream=terminal.stream)
    for tenth in range(1, 100):
        clock.seconds = tenth / 10
        progress.advance()
    drawn = terminal.said().split("\r")
    assert drawn[:2] == ["", "reading: 10/100 images, 10 images/s, ETA 9s\x1b[K"]
    assert 40 < len(drawn) < 50 and not any("\n" in line for line in drawn)
    clock.seconds = 10
    progress.advance()
    assert terminal.said() == "\rreading: 100/100 images, 10 images/s, took 10s\x1b[K\r\n"
    clear()
    assert terminal.said() == ""


def test_a_line_fits_the_terminal(terminal, clock):
    progress = Progress("x" * 300, 2, "images", clock=clock, stream=terminal.stream)
    clock.seconds = 5
    progress.advance()
    (line,) = terminal.said().split("\r")[1:]
    figures = ": 1/2 images, 0.2 images/s, ETA 5s"
    assert line == "x" * (COLUMNS - 1 - len(figures)) + figures + "\x1b[K"
    figures = "and " * 30
    progress = Progress("reading", 2, figures, clock=clock, stream=terminal.stream)
    clock.seconds = 10
    progress.advance()
    *_, line = terminal.said().split("\r")
    assert line.startswith(": 1/2 and and ") and len(line) == COLUMNS - 1 + len("\x1b[K")


def test_quick_work_leaves_nothing_on_the_terminal(terminal, clock):
    compiling = Compiling(clock)
    progress = Progress(
        "reading", 2, "images", clock=clock, compiling=compiling, stream=terminal.stream
    )
    progress.advance()
    assert terminal.said() == ""
    compiling.begin()
    assert terminal.said() == "\rreading: 1/2 images, compiling\x1b[K"
    compiling.end(0)
    assert terminal.said() == "\rreading: 1/2 images\x1b[K"
    progress.advance()
    assert terminal.said() == "\r\x1b[K"


def test_the_line_makes_room_for_what_is_printed(terminal, clock):
    progress = Progress("reading", 100, "images", clock=clock, stream=terminal.stream)
    clock.seconds = 2
    progress.advance()
    terminal.said()
    clear()
    clear()
    assert terminal.said() == "\r\x1b[K"
    clock.seconds = 3
    progress.advance()
    assert terminal.said().startswith("\rreading: 2/100")
    Progress("scoring", 1, "images", clock=clock, stream=terminal.stream)
    assert terminal.said() == "\r\x1b[K"


def test_a_terminal_that_cannot_draw_is_a_log(terminal, clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    progress = Progress("reading", 2, "images", clock=clock, stream=terminal.stream)
    clock.seconds = 5
    progress.advance()
    assert terminal.said() == "reading: 1/2 images, 0.2 images/s, ETA 5s\r\n"


def test_writes_to_standard_error(capsys):
    Progress("reading", 2, "images", seconds_between=(0,)).advance()
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("reading: 1/2 images, ")


def test_without_a_standard_error_it_is_silent(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", None)
    Progress("reading", 2, "images", seconds_between=(0,)).advance(2)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (75, "1m15s"), (3600, "1h00m"), (8000, "2h13m")],
)
def test_durations(seconds, text):
    assert format_seconds(seconds) == text


def test_a_quiet_process_says_nothing(lines, monkeypatch):
    monkeypatch.setattr(Progress, "quiet", True)
    assert lines(2, [(10, 1), (20, 1)]) == []


@pytest.mark.parametrize("stop", [UserError("wrong"), KeyboardInterrupt(), Terminated()])
def test_the_line_is_erased_before_the_line_of_an_error(terminal, clock, capsys, stop):
    def command():
        progress = Progress("reading", 2, "images", clock=clock, stream=terminal.stream)
        clock.seconds += 5
        progress.advance()
        terminal.said()
        raise stop

    with pytest.raises(SystemExit):
        run_command(command)
    assert terminal.said() == "\r\x1b[K"
    assert capsys.readouterr().err.count("\n") == 1
