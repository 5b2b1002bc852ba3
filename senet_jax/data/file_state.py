"""Which content a file has, so that what was made of it is never taken for that of another.

A million files cannot be read on every run. While a file's size and times are those of when it was
read, so is its content; where they are not, its bytes are read again, and tell.
"""

import concurrent.futures
import hashlib
import os
from collections.abc import Callable, Sequence

import numpy as np

from senet_jax.data.image_source import IMAGE_BYTES
from senet_jax.data.revisitop import Photograph
from senet_jax.system.files import read_regular
from senet_jax.system.threads import usable_cores

FILE_STATE = np.dtype(
    [("size", "<i8"), ("mtime_ns", "<i8"), ("ctime_ns", "<i8"), ("digest", "<u8", (2,))]
)
"""A file's size, times, and 128 bits of its content's BLAKE2b; zeros where it cannot be read."""

_STATUS = ["size", "mtime_ns", "ctime_ns"]
_DIGEST_BYTES = 16
# Each that waits to be looked at takes a kilobyte.
_FILES_PER_BLOCK = 4096


def content_digest(path: str | os.PathLike) -> bytes:
    """What tells the content of a file from any other.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    return digest_of(read_regular(path, IMAGE_BYTES))


def digest_of(content: bytes) -> bytes:
    """What tells the bytes of a file from any others."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def file_states(
    photographs: Sequence[Photograph],
    known: np.ndarray | None = None,
    on_files: Callable[[int], None] = lambda count: None,
) -> np.ndarray:
    """The states of photographs' files now.

    Args:
        photographs: n of them.
        known: `FILE_STATE`[n], their states at another time; a file that has kept its size and
            times is not read.
        on_files: told how many more were looked at.

    Returns:
        `FILE_STATE`[n].
    """
    if known is None:
        known = np.zeros(len(photographs), FILE_STATE)
    states = known.copy()
    with concurrent.futures.ThreadPoolExecutor(2 * usable_cores()) as pool:
        for start in range(0, len(photographs), _FILES_PER_BLOCK):
            part = slice(start, start + _FILES_PER_BLOCK)
            statuses = zip(*(known[field][part].tolist() for field in _STATUS), strict=True)
            changed = pool.map(_changed, photographs[part], statuses)
            for row, state in enumerate(changed, start):
                if state is not None:
                    states[row] = state
                on_files(1)
    return states


def _changed(photograph: Photograph, known: tuple[int, int, int]) -> tuple | None:
    """The state of a file, None if its size and times are those that are known."""
    try:
        # The status comes first: a file that is written after it has another one.
        now = os.stat(photograph.path)
        status = now.st_size, now.st_mtime_ns, now.st_ctime_ns
        if status == known:
            return None
        return *status, np.frombuffer(content_digest(photograph.path), np.uint64)
    except (OSError, ValueError):  # A name may hold what no name can.
        return 0, 0, 0, (0, 0)


def are_same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which files had the same content both times: bool[n]; one that cannot be read has none."""
    return (one["digest"] == other["digest"]).all(axis=-1) & (one["digest"] != 0).any(axis=-1)
