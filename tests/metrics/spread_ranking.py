"""A ranking over all local devices and processes; as a module, saved to compare it with others."""

import sys

import jax
import numpy as np

from senet_jax.metrics.average_precision import positions_by_score
from senet_jax.search.best_items import BestItems
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.system.distributed import join, parse_processes

SIZE, QUERIES, WIDTH = 600, 5, 33
# Many blocks, and less than there are processes.
BLOCK_ROWS = (64, 1024)


def rank(share: tuple[int, int] = (0, 1)) -> dict[str, np.ndarray]:
    """Every item's position int64[q n], the 50 best items int32[q 50], and all int32[q n].

    The 50 best are also those that were listed while the positions were counted.
    """
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((SIZE, WIDTH)).astype(np.float32)
    rows[::70] = rows[3]  # Ties within blocks and between them.
    queries = rng.standard_normal((QUERIES, WIDTH)).astype(np.float32)
    found = {}
    for block_rows in BLOCK_ROWS:
        database = BlockedDatabase((rows[:100], rows[100:]), {5, 500}, block_rows, share)
        counted: list[int] = []
        best = BestItems(QUERIES, 50)
        positions = positions_by_score(
            queries, database, [np.arange(SIZE)] * QUERIES, counted.append, best
        )
        assert sum(counted) == database.share_size
        found[f"positions {block_rows}"] = np.stack(positions)
        lists = best.lists(database)
        found[f"listed {block_rows}"] = lists.ranked.ranks
        found[f"similarities {block_rows}"] = lists.similarities
        for k in (50, SIZE):
            found[f"best {k} {block_rows}"] = top_k(queries, database, k).ranks
        np.testing.assert_array_equal(found[f"listed {block_rows}"], found[f"best 50 {block_rows}"])
    return found


if __name__ == "__main__":
    path, *processes = sys.argv[1:]
    if processes:
        join(parse_processes(processes[0].removeprefix("--distributed=")))
    index, count = jax.process_index(), jax.process_count()
    np.savez(f"{path}{index}", devices=jax.local_device_count(), **rank((index, count)))
