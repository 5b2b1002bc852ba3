"""Ctrl-C and SIGTERM as exceptions in the main thread; none of them is lost."""

import contextlib
import math
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator
from typing import Any

PREEMPTED_EXIT_CODE = os.EX_TEMPFAIL
INTERRUPTED_EXIT_CODE = 130

_RAISE_AGAIN_SECONDS = 0.01
_IMPORT_SECONDS = 20.0
"""How long an import is waited for; a config file is imported too, and may hang."""


class Terminated(BaseException):
    """SIGTERM, as `KeyboardInterrupt` is Ctrl-C: its text, if any, says what is saved."""


_EXCEPTIONS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
_EXIT_CODES = {signal.SIGINT: INTERRUPTED_EXIT_CODE, signal.SIGTERM: PREEMPTED_EXIT_CODE}


def hold() -> None:
    """Blocks the signals until `raised` is entered: an interrupted import leaves a traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _EXCEPTIONS)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Raises `KeyboardInterrupt` at Ctrl-C and `Terminated` at SIGTERM, after an import under way.

    A second one ends the process at once: the first may be waiting for a compiler. One that Python
    drops is raised again: it drops what is raised in a `__del__` and in callbacks of its garbage
    collector, of which JAX has one.
    """
    is_ending, raised_by = False, math.inf

    def end(number: int, frame: types.FrameType | None) -> None:
        nonlocal is_ending, raised_by
        if is_ending:
            os.write(2, b"\nended at once; run the same command again\n")
            os._exit(_EXIT_CODES[signal.Signals(number)])
        raised_by = min(raised_by, time.monotonic() + _IMPORT_SECONDS)
        if _is_importing(frame) and time.monotonic() < raised_by:
            _send_again(number)
            return
        is_ending = True
        raise _EXCEPTIONS[signal.Signals(number)]

    def on_dropped(dropped: Any) -> None:
        nonlocal is_ending
        numbers = [number for number, kind in _EXCEPTIONS.items() if kind is dropped.exc_type]
        if not numbers:
            former_hook(dropped)
            return
        is_ending = False
        _send_again(numbers[0])

    former_hook, sys.unraisablehook = sys.unraisablehook, on_dropped
    formers = {number: signal.signal(number, end) for number in _EXCEPTIONS}
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _EXCEPTIONS)
        yield
    finally:
        for number, former in formers.items():
            signal.signal(number, former)
        sys.unraisablehook = former_hook


def _send_again(number: int) -> None:
    """Sends a signal to the main thread, soon."""
    again = (threading.main_thread().ident, number)
    threading.Timer(_RAISE_AGAIN_SECONDS, signal.pthread_kill, again).start()


def _is_importing(frame: types.FrameType | None) -> bool:
    """Whether code runs within an import, which would leave a traceback or half a module."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
