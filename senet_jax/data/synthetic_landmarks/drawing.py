"""Pictures as files, drawn in this process or in several.

Most of a picture is Python's work, so that threads of one process do not draw sooner than one.
"""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

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
    """
    if processes == 1:
        yield draw_here
        return
    with multiprocessing.get_context("spawn").Pool(processes, _begin) as pool:
        yield lambda function, *arguments: pool.apply(function, arguments)


def _begin() -> None:
    # The command that has begun them ends them; and there are as many of them as cores.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
