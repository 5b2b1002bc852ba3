"""Searches a database of descriptors: for each query its best items, by dot product in float32.

QUERY.npy and DATABASE.npy hold descriptors, one a row: float16, float32, float64, integers, or
quantised ones. OUT.npy will hold int32 [queries, top], items best first, -1 where no more were
found, for python -m senet_jax.score --ranks and python -m senet_jax.rerank.
"""

import numpy as np

from senet_jax.search.backends import BACKENDS, check_top, read_backend
from senet_jax.search.descriptor_files import open_descriptors
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import atomic_write, local_path, local_paths
from senet_jax.system.progress import Progress
from senet_jax.system.spelling import settings_help


def main() -> None:
    """Reads, searches, and writes."""
    parser = CommandParser(
        prog="python -m senet_jax.search.arrays",
        description=f"{__doc__}\nBackends, with their settings:\n{settings_help(BACKENDS)}",
    )
    parser.add_argument(
        "queries", type=local_path, metavar="QUERY.npy", help="the queries' descriptors"
    )
    parser.add_argument(
        "database", type=local_path, metavar="DATABASE.npy", help="the database's descriptors"
    )
    parser.add_argument("out", type=local_path, metavar="OUT.npy", help="where lists are written")
    parser.add_argument(
        "--distractors",
        type=local_paths,
        default=[],
        metavar="D.npy,...",
        help="descriptors that follow the database's",
    )
    parser.add_argument(
        "--top", type=int, default=1000, metavar="N", help="the length of a list (default: 1000)"
    )
    parser.add_argument(
        "--backend",
        default="exact",
        metavar="NAME(SETTING=VALUE,...)",
        help="see above (default: exact)",
    )
    flags = parser.parse_args()
    check_top(flags.top)
    backend = read_backend(flags.backend)
    from senet_jax.system.runtime import use_compilation_cache

    use_compilation_cache()
    queries, database = open_descriptors(flags.queries, flags.database, flags.distractors)
    # A place that cannot be written is found out before the work, not after it.
    with atomic_write(flags.out) as temporary, temporary.open("wb") as file:
        index = backend.prepare(database, Progress("indexing", database.size, "rows").advance)
        searched = Progress("searching", database.size, "rows")
        np.save(file, index.top_k(queries, flags.top, searched.advance).ranks.astype(np.int32))
    print(f"wrote {flags.out}")


if __name__ == "__main__":
    run_command(main)
