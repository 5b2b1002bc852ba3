"""A ranking that processes make together, each in a process of its own; what each of them found."""

import json
import sys

import jax
import numpy as np

from senet_jax.distributed import join, parse_processes
from senet_jax.retrieval.average_precision import positions_by_score
from senet_jax.retrieval.blocks import BlockedDatabase
from senet_jax.retrieval.search import top_k

UNRANKED = (5, 40, 77)
ITEMS = ([0, 3, 99, 40], [], [5, 6, 7, 8, 50], [77])


def rankings(share=(0, 1)):
    """Lists and positions, in few blocks and in less than there are processes."""
    rng = np.random.default_rng(0)
    # Small integers: ties are many, and products are exact in any order of summation.
    rows = rng.integers(-2, 3, (101, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (len(ITEMS), 3)).astype(np.float32)
    items = [np.array(some, np.int64) for some in ITEMS]
    found = {}
    for block_rows in (8, 128):
        database = BlockedDatabase((rows,), UNRANKED, block_rows, share)
        told = []
        positions = positions_by_score(queries, database, items, told.append)
        assert sum(told) == database.share_size
        found[str(block_rows)] = {
            "positions": [some.tolist() for some in positions],
            **{str(k): top_k(queries, database, k).ranks.tolist() for k in (1, 20, 100, 101)},
        }
    return found


if __name__ == "__main__":
    join(parse_processes(sys.argv[1].removeprefix("--distributed=")))
    print(json.dumps(rankings((jax.process_index(), jax.process_count()))))
