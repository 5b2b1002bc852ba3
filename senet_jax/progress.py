"""Progress of long work on standard error: how much, how fast, and how long it will take yet."""

import sys
import time
from collections.abc import Callable


class Progress:
    """Prints `label: done/total unit, rate, ETA` every few seconds, and a last line at the end.

    Work that ends within the first interval prints nothing.

    Args:
        label: what is being done.
        total: how many units there are.
        unit: what is counted, in the plural.
        interval_seconds: the time between two lines.
        clock: seconds since any fixed moment.
        write: takes one line.

    Attributes:
        quiet: print nothing at all, in a process whose work another one tells of.
    """

    quiet = False

    def __init__(
        self,
        label: str,
        total: int,
        unit: str,
        interval_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    ):
        self._label, self._total, self._unit = label, total, unit
        self._interval, self._clock, self._write = interval_seconds, clock, write
        self._done = 0
        self._start = self._last_line = clock()

    def advance(self, count: int = 1) -> None:
        """Counts `count` more units as done."""
        self._done += count
        now = self._clock()
        finished_late = self._done >= self._total and self._last_line > self._start
        if not self.quiet and (now - self._last_line >= self._interval or finished_late):
            self._last_line = now
            elapsed = max(now - self._start, 1e-9)
            rate = self._done / elapsed
            left = max(self._total - self._done, 0) / rate
            self._write(
                f"{self._label}: {self._done}/{self._total} {self._unit}, "
                f"{rate:.3g} {self._unit}/s, "
                + (f"ETA {format_seconds(left)}" if left else f"took {format_seconds(elapsed)}")
            )


def format_seconds(seconds: float) -> str:
    """`75` -> `1m15s`, `8000` -> `2h13m`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
