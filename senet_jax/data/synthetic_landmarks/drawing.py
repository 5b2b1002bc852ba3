"""Pictures as files, drawn in this process or in several.

Most of a picture is Python's work, so that threads of one process do not draw sooner than one.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cv2
import numpy as np

from senet_jax.system.errors import UserError

Draw = Callable[..., bytes]
"""Takes a function of a module and its arguments, and gives what it gives; from any thread."""

_JPEG_QUALITY = 95


def jpeg(image: np.ndarray) -> bytes:
    """A picture's file; the compression that shows is part of the view, this one is mild."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def draw_here(function: Callable[..., bytes], *arguments: Any) -> bytes:
    """Draws in the thread of the caller."""
    return function(*arguments)


@contextlib.contextmanager
def drawing(processes: int) -> Iterator[Draw]:
    """How pictures are drawn; as many at once as there are processes and threads that ask.

    Args:
        processes: how many; with 1 there is no other than this one.

    Raises:
        UserError: from the function that draws, where one of the processes was killed.
    """
    if processes == 1:
        yield draw_here
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, _begin) as pool:

        def draw(function: Callable[..., bytes], *arguments: Any) -> bytes:
            try:
                return pool.submit(function, *arguments).result()
            except BrokenProcessPool as error:
                raise UserError(
                    "a process that draws was killed, perhaps for memory; run it again, with fewer "
                    "--processes"
                ) from error

        try:
            yield draw
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()
            raise


def _begin() -> None:
    # The command that has begun them ends them, by other means; and there are as many as cores.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_the_command, daemon=True).start()


def _end_with_the_command() -> None:
    """Ends this process where the command that has begun it was killed."""
    command = multiprocessing.parent_process()
    assert command is not None
    command.join()
    os._exit(1)
