"""The time and memory that a long ranking will take, printed after its first blocks."""

import sys
import time
from collections.abc import Callable

import jax

from senet_jax.search.database import BlockedDatabase
from senet_jax.system.progress import Progress, clear, format_seconds

LONG_SECONDS = 10
"""Shorter rankings print nothing."""
EXTRA_BLOCKS = 2
"""Blocks in memory besides one a device: one that is read, one that waits."""
SCORE_ARRAYS = 6
"""Arrays in memory of the size of a block's scores: scores, copies, counters."""


class RankingForecast:
    """Times the first blocks of a ranking, and prints once how long all of them will take.

    Args:
        database: what is ranked.
        query_count: for how many queries.
        clock: seconds since any fixed moment.
        write: takes one line.
    """

    def __init__(
        self,
        database: BlockedDatabase,
        query_count: int,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    ):
        self._database, self._query_count = database, query_count
        self._clock, self._write = clock, write
        self._devices = jax.local_device_count()
        self._blocks, self._start = 0, 0.0

    def advance(self) -> None:
        """Counts one more block as ranked."""
        self._blocks += 1
        # On each device the first block waits for the compiler, the second one does not.
        if self._blocks == self._devices:
            self._start = self._clock()
        elif self._blocks == 2 * self._devices:
            rounds = len(self._database.starts) / self._devices
            seconds = (self._clock() - self._start) * rounds
            if seconds >= LONG_SECONDS and not Progress.quiet:
                clear()
                self._write(self._line(seconds))

    def _line(self, seconds: float) -> str:
        database = self._database
        return (
            f"ranking {database.size:,} rows of {database.width:,} numbers for "
            f"{self._query_count:,} queries on {self._devices} devices takes about "
            f"{format_seconds(seconds)} and at most {self.memory_bytes / 2**20:.0f} MiB"
        )

    @property
    def memory_bytes(self) -> int:
        """The most memory of blocks and scores; memory-mapped float32 files take far less."""
        blocks, scored = self._devices + EXTRA_BLOCKS, self._devices + 1
        numbers = blocks * self._database.width + scored * SCORE_ARRAYS * self._query_count
        return 4 * self._database.block_rows * numbers
