"""Ctrl-C and SIGTERM as exceptions in the main thread; none of them is lost."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

PREEMPTED_EXIT_CODE = os.EX_TEMPFAIL
INTERRUPTED_EXIT_CODE = 130

_RAISE_AGAIN_SECONDS = 0.01


class Terminated(BaseException):
    """SIGTERM, as `KeyboardInterrupt` is Ctrl-C: its text, if any, says what is saved."""


_EXCEPTIONS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
_EXIT_CODES = {signal.SIGINT: INTERRUPTED_EXIT_CODE, signal.SIGTERM: PREEMPTED_EXIT_CODE}


def hold() -> None:
    """Blocks the signals until `raised` is entered: an interrupted import leaves a traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _EXCEPTIONS)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Raises `KeyboardInterrupt` at Ctrl-C and `Terminated` at SIGTERM.

    A second one ends the process at once: the first may be waiting for a compiler. One that Python
    drops is raised again: it drops what is raised in a `__del__` and in callbacks of its garbage
    collector, of which JAX has one.
    """
    is_ending = False

    def end(number: int, _: object) -> None:
        nonlocal is_ending
        if is_ending:
            os.write(2, b"\nended at once; run the same command again\n")
            os._exit(_EXIT_CODES[signal.Signals(number)])
        is_ending = True
        raise _EXCEPTIONS[signal.Signals(number)]

    def on_dropped(dropped: Any) -> None:
        nonlocal is_ending
        numbers = [number for number, kind in _EXCEPTIONS.items() if kind is dropped.exc_type]
        if not numbers:
            former_hook(dropped)
            return
        is_ending = False
        again = (threading.main_thread().ident, numbers[0])
        threading.Timer(_RAISE_AGAIN_SECONDS, signal.pthread_kill, again).start()

    former_hook, sys.unraisablehook = sys.unraisablehook, on_dropped
    formers = {number: signal.signal(number, end) for number in _EXCEPTIONS}
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _EXCEPTIONS)
        yield
    finally:
        for number, former in formers.items():
            signal.signal(number, former)
        sys.unraisablehook = former_hook
