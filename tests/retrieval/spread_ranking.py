"""A ranking over all local devices; as a module, saved for comparison with other processes."""

import sys

import jax
import numpy as np

from senet_jax.retrieval.average_precision import positions_by_score
from senet_jax.retrieval.blocks import BlockedDatabase
from senet_jax.retrieval.search import top_k

SIZE, QUERIES, WIDTH, BLOCK_ROWS = 600, 5, 33, 64


def rank() -> tuple[np.ndarray, np.ndarray]:
    """Every item's position int64[q n], and the 50 best items int32[q 50]."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((SIZE, WIDTH)).astype(np.float32)
    rows[::70] = rows[3]  # Ties within blocks and between them.
    queries = rng.standard_normal((QUERIES, WIDTH)).astype(np.float32)
    database = BlockedDatabase((rows[:100], rows[100:]), {5, 500}, BLOCK_ROWS)
    positions = positions_by_score(queries, database, [np.arange(SIZE)] * QUERIES)
    return np.stack(positions), top_k(queries, database, 50).ranks


if __name__ == "__main__":
    positions, ranks = rank()
    np.savez(sys.argv[1], positions=positions, ranks=ranks, devices=jax.local_device_count())
