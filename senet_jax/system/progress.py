"""Progress of long work on standard error: how much is done, the rate, and the time left."""

import collections
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import ClassVar, TextIO

_LOG_SECONDS = (2.0, 10.0, 30.0, 60.0)
_TERMINAL_SECONDS = (1.0, 0.2)
_WINDOW_SECONDS = 30.0
_ERASE_REST = "\x1b[K"
_COLUMNS = 80
"""Of terminals that do not tell."""
# Compilers work in threads of their own.
_LOCK = threading.RLock()


class Compiling:
    """The time spent compiling programs, in any thread; `runtime` registers it with JAX.

    Args:
        clock: seconds since any fixed moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._begun: dict[int, float] = {}
        self._spans: list[tuple[float, float]] = []
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        """The time in which something was compiled, until now."""
        with _LOCK:
            if not self._begun:
                return self._seconds
            last_end = self._spans[-1][1] if self._spans else -float("inf")
            return self._seconds + self._clock() - max(last_end, min(self._begun.values()))

    @property
    def is_under_way(self) -> bool:
        """Whether something is being compiled."""
        return bool(self._begun)

    def begin(self) -> None:
        """This thread begins to compile a program."""
        with _LOCK:
            self._begun[threading.get_ident()] = self._clock()
            Progress.redraw()

    def end(self, seconds: float) -> None:
        """This thread has compiled a program, or prepared to, in so many seconds up to now."""
        with _LOCK:
            was_told = self._begun.pop(threading.get_ident(), None) is not None
            end = self._clock()
            start = end - seconds
            # Threads compile at the same time, and one preparation is a part of another.
            while self._spans and self._spans[-1][0] >= start:
                former_start, former_end = self._spans.pop()
                self._seconds -= former_end - former_start
            if self._spans:
                start = max(start, self._spans[-1][1])
            self._spans.append((start, end))
            self._seconds += end - start
            if was_told:
                Progress.redraw()


COMPILING = Compiling()
"""Of this process."""


class Progress:
    """Shows `label: done/total unit, rate, ETA` every now and then, and the time at the end.

    On a terminal one line is redrawn; elsewhere lines are written at growing intervals. The rate is
    that of the last half minute, without the time of compilers, which is named beside it. Short
    work shows nothing.

    Args:
        label: what is being done.
        total: how many units there are.
        unit: what is counted, in the plural.
        seconds_between: the time to the first line, to the second one, ...; the last one stays.
        clock: seconds since any fixed moment.
        compiling: what is compiled meanwhile, by the same clock.
        stream: where the lines go; standard error where it is not given.

    Attributes:
        quiet: whether to show nothing at all, in a process for which another one shows progress.
    """

    quiet = False
    _latest: ClassVar["weakref.ref[Progress] | None"] = None

    def __init__(
        self,
        label: str,
        total: int,
        unit: str,
        seconds_between: tuple[float, ...] | None = None,
        clock: Callable[[], float] = time.monotonic,
        compiling: Compiling = COMPILING,
        stream: TextIO | None = None,
    ):
        self._label, self._total, self._unit = label, total, unit
        self._stream = stream or sys.stderr  # None where it is closed.
        is_terminal = self._stream is not None and self._stream.isatty()
        self._on_terminal = is_terminal and os.environ.get("TERM") != "dumb"
        default = _TERMINAL_SECONDS if self._on_terminal else _LOG_SECONDS
        self._seconds_between = default if seconds_between is None else seconds_between
        self._clock, self._compiling = clock, compiling
        self._done = self._lines = 0
        self._is_drawn = False
        self._start, self._compiled_before = clock(), compiling.seconds
        self._due = self._seconds_between[0]  # Since the start.
        # Seconds of work -> units that were done then; the first is the oldest that counts.
        self._window = collections.deque([(0.0, 0)])
        with _LOCK:
            clear()
            Progress._latest = weakref.ref(self)

    def advance(self, count: int = 1) -> None:
        """Counts `count` more units as done."""
        with _LOCK:
            was_finished = self._done >= self._total
            self._done += count
            if self._stream is None or self.quiet or was_finished:
                return
            elapsed, compiled = self._times()
            self._remember(elapsed - compiled)
            if self._done >= self._total:
                self._finish(elapsed, compiled)
            elif elapsed >= self._due:
                following = self._seconds_between[: self._lines + 2][-1]
                self._lines, self._due = self._lines + 1, elapsed + following
                self._write(self._under_way(elapsed, compiled))

    @staticmethod
    def redraw() -> None:
        """Redraws the line of the terminal, if there is one: a compiler begins or ends."""
        latest = _latest()
        if latest and latest._on_terminal and not latest.quiet and latest._done < latest._total:
            latest._write(latest._under_way(*latest._times()))

    def _times(self) -> tuple[float, float]:
        """The seconds since the start, and those of them in which something was compiled."""
        elapsed = self._clock() - self._start
        return elapsed, min(self._compiling.seconds - self._compiled_before, elapsed)

    def _remember(self, worked: float) -> None:
        if worked - self._window[-1][0] >= 1:
            self._window.append((worked, self._done))
        while len(self._window) > 2 and self._window[1][0] <= worked - _WINDOW_SECONDS:
            self._window.popleft()

    def _under_way(self, elapsed: float, compiled: float) -> str:
        before, done_before = self._window[0]
        done, seconds = self._done - done_before, elapsed - compiled - before
        figures = []
        if done and seconds > 0:
            left = (self._total - self._done) * seconds / done
            figures += [self._rate(done, seconds), f"ETA {format_seconds(left)}"]
        if self._compiling.is_under_way:
            figures.append("compiling")
        elif compiled >= 1:
            figures.append(f"{format_seconds(compiled)} went into compiling")
        return self._line(figures)

    def _finish(self, elapsed: float, compiled: float) -> None:
        if elapsed < self._seconds_between[0]:
            clear()
            return
        figures = [f"took {format_seconds(elapsed)}"]
        if elapsed > compiled:
            figures.insert(0, self._rate(self._done, elapsed - compiled))
        if compiled >= 1:
            figures.append(f"{format_seconds(compiled)} of it compiling")
        self._write(self._line(figures), ends=True)

    def _rate(self, done: int, seconds: float) -> str:
        return f"{done / seconds:.3g} {self._unit}/s"

    def _line(self, figures: Sequence[str]) -> str:
        done = f"{self._label}: {self._done:,}/{self._total:,} {self._unit}"
        return ", ".join([done, *figures])

    def _write(self, line: str, ends: bool = False) -> None:
        if self._on_terminal:
            columns = os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
            kept = max(len(self._label) - max(len(line) - (columns - 1), 0), 0)
            fitting = self._label[:kept] + line[len(self._label) :]
            line = f"\r{fitting[: columns - 1]}{_ERASE_REST}" + "\n" * ends
            self._is_drawn = not ends
        else:
            line += "\n"
        self._stream.write(line)
        self._stream.flush()


def _latest() -> Progress | None:
    return Progress._latest() if Progress._latest is not None else None


def clear() -> None:
    """Erases the line on the terminal, so that something else can be printed."""
    with _LOCK:
        latest = _latest()
        if latest and latest._is_drawn:
            latest._is_drawn = False
            latest._stream.write(f"\r{_ERASE_REST}")
            latest._stream.flush()


def format_seconds(seconds: float) -> str:
    """`75` -> `1m15s`, `8000` -> `2h13m`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
