"""What a piece of work takes when it has a process to itself: seconds and anonymous memory.

Anonymous memory is what is neither a mapped file nor shared: a process's own.
"""

import dataclasses
import multiprocessing
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

from senet_jax.system.errors import UserError

_STATUS = pathlib.Path("/proc/self/status")
_SAMPLING_SECONDS = 0.005


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a piece of work gave and took.

    Attributes:
        value: what it returned.
        seconds: without the start of its process and the imports.
        peak_bytes: of anonymous memory, above that of the process before the work.
    """

    value: Any
    seconds: float
    peak_bytes: int


def anonymous_bytes() -> int | None:
    """The anonymous memory of this process, None where the kernel does not tell it."""
    return memory_bytes(_STATUS, "RssAnon") if _STATUS.exists() else None


def memory_bytes(status: pathlib.Path, kind: str) -> int:
    """The memory of a process by its status file: `VmRSS` is resident, `RssAnon` anonymous."""
    lines = status.read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(kind))


def in_own_process(function: Callable, *arguments: Any) -> Measured:
    """Calls a function of a module in a new process, which imports that module and ends with it.

    Raises:
        UserError: the kernel does not tell how much anonymous memory a process has.
    """
    if anonymous_bytes() is None:
        raise UserError(f"there is no {_STATUS}, which tells anonymous memory; measure on Linux")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (function, arguments))


def _measure(function, arguments):
    before = peak = anonymous_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_SAMPLING_SECONDS):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        value = function(*arguments)
    finally:
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    return Measured(value, seconds, peak - before)
