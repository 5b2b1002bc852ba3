"""A generated database: distractors around centres, and for each query images that resemble it."""

import concurrent.futures
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from senet_jax.search.storage import no_rows, quantise
from senet_jax.system.files import open_array

SHARD_ROWS = 100_000
CENTRES = 1000
CENTRE_WEIGHT = 0.75
"""Of a centre in each distractor and query beside noise of weight one: so far they resemble."""
_WRITTEN_AT_ONCE = 4096


def write_database(
    folder: pathlib.Path,
    planted: Sequence[Mapping[int, float]],
    first_rows: int,
    rows: int,
    width: int,
    storage: str = "float32",
) -> tuple[np.ndarray, list[pathlib.Path]]:
    """Writes unit descriptors in parts, the database and shards of distractors.

    Args:
        folder: where the parts are written.
        planted: for each query the items that resemble it, and the query's weight in each of them
            beside noise of weight one.
        first_rows: how many rows the first part has; all that is planted is in it.
        rows: how many rows all parts have.
        width: the length of a descriptor.
        storage: of the parts, see `quantise`.

    Returns:
        The queries float32[q d], and the files of the parts.
    """
    rng = np.random.default_rng(0)
    centres = _unit(_noise(rng, CENTRES, width))
    queries = _around_centres(rng, centres, len(planted))
    nothing = no_rows(width, storage)
    paths = []
    for start, stop in [(0, first_rows), *_shards(first_rows, rows)]:
        paths.append(folder / f"part{len(paths)}.npy")
        shape = stop - start, *nothing.shape[1:]
        part = np.lib.format.open_memmap(paths[-1], "w+", nothing.dtype, shape)
        chunks = [
            (part[row : row + _WRITTEN_AT_ONCE], np.random.default_rng([start + row, 1]))
            for row in range(0, len(part), _WRITTEN_AT_ONCE)
        ]
        fill = functools.partial(_fill, centres=centres, storage=storage)
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            list(pool.map(fill, *zip(*chunks, strict=True)))
        part.flush()
    database = np.lib.format.open_memmap(paths[0], "r+")
    weights = np.zeros((len(queries), first_rows), np.float32)
    for query, items in enumerate(planted):
        weights[query, list(items)] = list(items.values())
    resembling = np.flatnonzero(weights.any(axis=0))
    planted_rows = _unit(
        _unit(_noise(rng, len(resembling), width)) + weights[:, resembling].T @ queries
    )
    database[resembling] = quantise(planted_rows, storage)
    database.flush()
    return queries, paths


def first_parts(paths: Sequence[pathlib.Path], rows: int) -> list[np.ndarray]:
    """Some first rows of all parts, mapped into memory."""
    parts = []
    for path in paths:
        parts.append(open_array(path)[:rows])
        rows -= len(parts[-1])
    return parts


def _shards(first: int, rows: int) -> list[tuple[int, int]]:
    return [(start, min(start + SHARD_ROWS, rows)) for start in range(first, rows, SHARD_ROWS)]


def _fill(chunk, rng, centres, storage):
    chunk[:] = quantise(_around_centres(rng, centres, len(chunk)), storage)


def _around_centres(rng, centres, count):
    nearest = centres[rng.integers(len(centres), size=count)]
    return _unit(_unit(_noise(rng, count, centres.shape[1])) + CENTRE_WEIGHT * nearest)


def _noise(rng, count, width):
    return rng.standard_normal((count, width), np.float32)


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
