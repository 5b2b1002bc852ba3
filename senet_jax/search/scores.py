"""The scores of queries with a database, block by block: dot products in float32.

Everything that ranks a database uses these scores. The same queries and the same block give the
same bits, so that an item has the same rank everywhere.
"""

import collections
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError


def scores_of_blocks(
    queries: np.ndarray, database: BlockedDatabase, starts: Iterable[int]
) -> Iterator[tuple[int, jax.Array]]:
    """The scores of some blocks, each on the device that it belongs to.

    The blocks of a share go to the local devices in turn, so every block is always computed by the
    same device. While they work, one block more is read.

    Args:
        queries: float32[q d], finite.
        database: whose blocks they are.
        starts: where some of its blocks start.

    Yields:
        Each block's start and its scores float32[q b]; -inf for rows that are not ranked by score.

    Raises:
        UserError: a descriptor that should be ranked is not finite, or its score is not.
    """
    devices = jax.local_devices()
    stride = database.block_rows * database.share[1]
    begun: collections.deque[tuple[int, jax.Array, jax.Array]] = collections.deque()
    try:
        for start in starts:
            device = devices[start // stride % len(devices)]
            begun.append((start, *_begin(queries, database, start, device)))
            if len(begun) > len(devices):
                yield _finished(*begun.popleft(), database)
        while begun:
            yield _finished(*begun.popleft(), database)
    finally:
        # It reads the database's memory, which may be gone next: at Ctrl-C the process ends.
        jax.block_until_ready([arrays for _, *arrays in begun])


def _begin(
    queries: np.ndarray, database: BlockedDatabase, start: int, device: Any
) -> tuple[jax.Array, jax.Array]:
    """Reads a block and has its scores computed; of the block only the device's copy is kept."""
    arrays = queries, database.read(start), database.is_ranked(start)
    return _dot_products(*jax.device_put(arrays, device))


def _finished(
    start: int, scores: jax.Array, are_finite: jax.Array, database: BlockedDatabase
) -> tuple[int, jax.Array]:
    """Waits for a block's scores; a score that is not finite is refused."""
    if not are_finite:
        _refuse(start, np.asarray(scores), database)
    return start, scores


def _refuse(start: int, scores: np.ndarray, database: BlockedDatabase) -> NoReturn:
    database.check_finite(start, database.read(start))
    query, row = np.argwhere(database.is_ranked(start) & ~np.isfinite(scores))[0]
    raise UserError(
        f"the dot product of query {query} with {database.name(start + row)} is "
        f"{scores[query, row]} in float32; scale the descriptors down"
    )


def gathered(found: np.ndarray, database: BlockedDatabase) -> np.ndarray:
    """Gathers an array from every process that ranks a database: [...] -> [p ...]."""
    if database.share[1] == 1:
        return found[None]
    return np.asarray(multihost_utils.process_allgather(found))


@jax.jit
def _dot_products(
    queries: jax.Array, block: jax.Array, is_ranked: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Scores float32[q b] of a block float32[b d], and whether all are finite that must be.

    A value that is not finite makes every score of its row not finite, so the scores tell.
    """
    products = jnp.matmul(block, queries.T, precision=jax.lax.Precision.HIGHEST).T
    are_finite = (jnp.isfinite(products) | ~is_ranked).all()
    return jnp.where(is_ranked, products, -jnp.inf), are_finite


@jax.jit
def products_with_own(queries: jax.Array, descriptors: jax.Array) -> jax.Array:
    """Each query's dot products with items of its own: float32[q d], [q m d] -> [q m]."""
    return jnp.einsum("qd,qmd->qm", queries, descriptors, precision=jax.lax.Precision.HIGHEST)
