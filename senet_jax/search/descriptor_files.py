"""Descriptors in files: those of the queries, and a database in one file or several.

Or in folders with one file an image, `NAME.delg_global`, as DELG's public code writes them:
protocol buffers, each a `DatumProto`.
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from senet_jax.search.database import (
    MOST_NUMBERS,
    BlockedDatabase,
    as_float32,
    check_descriptors,
)
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import open_array, read_regular
from senet_jax.system.progress import Progress
from senet_jax.system.protobuf import datum

DELG_GLOBAL = ".delg_global"
_LIMIT_BYTES = 16 * MOST_NUMBERS


def open_descriptors(
    queries: str | os.PathLike,
    database: str | os.PathLike,
    distractors: Sequence[str | os.PathLike] = (),
) -> tuple[np.ndarray, BlockedDatabase]:
    """Opens files of descriptors that belong together.

    Args:
        queries: number[q d] or quantised, read into the memory.
        database: the same of n items, memory-mapped.
        distractors: files of items that follow those of the database.

    Returns:
        The queries as float32[q d], and the database.

    Raises:
        UserError: a file cannot be read or holds no descriptors, their widths differ, or a query is
            not finite.
    """
    array = open_array(queries)
    check_descriptors(array, str(queries))
    opened = BlockedDatabase(tuple(map(open_array, [database, *distractors])))
    array = as_float32(array)
    opened.check_queries(array, str(queries))
    return array, opened


def open_descriptors_of(path: str | os.PathLike, names: Sequence[str] | None = None) -> np.ndarray:
    """The descriptors of named images: of a `.npy` file, or of a folder of `NAME.delg_global`.

    Args:
        path: of the file or the folder.
        names: of the images, in the order of a folder's rows; None for all that are in it, sorted.

    Returns:
        What the file holds, memory-mapped, or float32[n d].

    Raises:
        UserError: a file is missing, cannot be read, or is none; those of a folder differ in width.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        return open_array(path)
    if names is None:
        files = (file.relative_to(folder).as_posix() for file in folder.rglob(f"*{DELG_GLOBAL}"))
        names = sorted(file.removesuffix(DELG_GLOBAL) for file in files)
    if not names:
        raise UserError(f"{folder} has no file *{DELG_GLOBAL}; name a folder that has some")
    progress = Progress(f"reading {folder.name}", len(names), "images")
    descriptors = np.zeros((0, 0), np.float32)
    for row, name in enumerate(names):
        path = folder / f"{name}{DELG_GLOBAL}"
        descriptor = read_delg_global(path)
        if not row:
            descriptors = np.empty((len(names), len(descriptor)), np.float32)
        if len(descriptor) != descriptors.shape[1]:
            raise UserError(
                f"{path} has {len(descriptor)} numbers, {names[0]}{DELG_GLOBAL} beside it "
                f"{descriptors.shape[1]}; write them by one network"
            )
        descriptors[row] = descriptor
        progress.advance()
    return descriptors


def read_delg_global(path: str | os.PathLike) -> np.ndarray:
    """The descriptor in a `.delg_global` file: float32[d], as it is.

    Raises:
        UserError: the file cannot be read, is none, or holds no finite numbers.
    """
    try:
        descriptor = datum(memoryview(read_regular(path, _LIMIT_BYTES)))
        if not 0 < len(descriptor) <= MOST_NUMBERS:
            raise ValueError(f"it has {len(descriptor):,} numbers, not 1 to {MOST_NUMBERS:,}")
        if not np.isfinite(descriptor).all():
            raise ValueError("a number is not finite")
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or reason(error)
        raise UserError(
            f"cannot read the descriptor {path}: {what}; every image needs such a file"
        ) from error
    return descriptor
