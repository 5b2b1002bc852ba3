"""Descriptors in files: those of the queries, and a database in one file or several."""

import os
from collections.abc import Sequence

import numpy as np

from senet_jax.search.database import BlockedDatabase, as_float32, check_descriptors
from senet_jax.system.files import open_array


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
