"""Accuracy, memory and latency of search over storages and indices.

  python -m benchmarks.search_table --rows=100000

Writes a generated database (deleted at the end): distractors around centres, and for each query 20
images that resemble it ever less. Exact search reads it from files of float32, float16, bfloat16
and int8; faiss, if it is installed, searches it exactly, by inverted lists, by product quantisers
and by binary codes. Each search has a process of its own. A row of the table tells:

  bytes   of a descriptor
  mAP     of the images that resemble the query, in the first 100 items, x 100
  recall  in per cent, of the first 10 items of exact search in float32 among the first 10
  MiB     anonymous memory at most; of faiss also while the index is built
  build   seconds to write the files or to build the index
  one     milliseconds for one query, asked alone; the median
  each    milliseconds for each query, when all are asked together
"""

import argparse
import dataclasses
import importlib.util
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.memory import Measured, in_own_process
from benchmarks.planted import write_database
from senet_jax.metrics.average_precision import average_precision
from senet_jax.search import exact as search
from senet_jax.search.backends import recall
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.faiss_index import Faiss
from senet_jax.search.ranked_list import RankedList
from senet_jax.search.storage import STORAGES, quantise
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import open_array
from senet_jax.system.optional import install_command

POSITIVES = 20
FOUND = 100
ALONE = 10
"""How many queries are asked one by one."""


@dataclasses.dataclass(frozen=True, eq=False)
class Searched:
    """What a search found, and what it took beside memory."""

    ranked: RankedList
    descriptor_bytes: float
    build_seconds: float
    one_seconds: float
    each_seconds: float


def main() -> None:
    flags = _flags()
    # Ever less of the query in an image, beside noise of weight one.
    weights = np.linspace(0.9, 0.1, POSITIVES).tolist()
    planted = [
        dict(zip(positives_of(query), weights, strict=True)) for query in range(flags.queries)
    ]
    first_rows = POSITIVES * flags.queries
    rows = max(flags.rows, first_rows)
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        queries, paths = write_database(
            pathlib.Path(folder), planted, first_rows, rows, flags.width
        )
        print(f"{rows:,} x {flags.width}, {len(queries)} queries")
        print(_line("", "bytes", "mAP", "recall", "MiB", "build", "one", "each"), flush=True)
        exact = None
        for storage in STORAGES:
            written = in_own_process(write_stored, storage, paths)
            searched = in_own_process(search_stored, queries, written.value)
            exact = exact or searched.value.ranked
            _print_row(storage, searched, exact, written.seconds)
            for path in written.value:
                path.unlink()
        if importlib.util.find_spec("faiss") is None:
            print(f"no faiss to search with; {install_command('faiss')}")
            return
        lists = 2 ** round(np.log2(rows) / 2)
        for index in ("Flat", f"IVF{lists},Flat", "PQ64np", f"IVF{lists},PQ64np", "LSH"):
            searched = in_own_process(search_by_faiss, index, queries, paths)
            _print_row(f"faiss {index}", searched, exact, searched.value.build_seconds)


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.search_table", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--folder", help="where the database is written, 4 bytes a number")
    return parser.parse_args()


def positives_of(query: int) -> range:
    return range(POSITIVES * query, POSITIVES * (query + 1))


def write_stored(storage: str, paths: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """Quantises files, one after the other."""
    stored = [path.with_name(f"{path.stem}_{storage}.npy") for path in paths]
    for path, target in zip(paths, stored, strict=True):
        np.save(target, quantise(np.load(path), storage))
    return stored


def search_stored(queries: np.ndarray, paths: Sequence[pathlib.Path]) -> Searched:
    """Exact search of files."""
    parts = tuple(map(open_array, paths))
    database = BlockedDatabase(parts)
    size = sum(part.nbytes for part in parts) / database.size
    return _timed(lambda some: search.top_k(some, database, FOUND), queries, size, 0)


def search_by_faiss(index: str, queries: np.ndarray, paths: Sequence[pathlib.Path]) -> Searched:
    """Search by an index that is built first."""
    start = time.perf_counter()
    built = Faiss(index).prepare(BlockedDatabase(tuple(map(open_array, paths))))
    build_seconds = time.perf_counter() - start
    size = built.index.sa_code_size()
    return _timed(lambda some: built.top_k(some, FOUND), queries, size, build_seconds)


def _timed(
    find: Callable[[np.ndarray], RankedList],
    queries: np.ndarray,
    descriptor_bytes: float,
    build_seconds: float,
) -> Searched:
    def seconds(some: np.ndarray) -> float:
        start = time.perf_counter()
        find(some)
        return time.perf_counter() - start

    ranked = find(queries)  # Compiles, and reads the files into the system's cache.
    each_seconds = seconds(queries) / len(queries)
    find(queries[:1])
    alone = [seconds(queries[query : query + 1]) for query in range(min(ALONE, len(queries)))]
    return Searched(ranked, descriptor_bytes, build_seconds, statistics.median(alone), each_seconds)


def _print_row(name: str, searched: Measured, exact: RankedList, build_seconds: float) -> None:
    found: Searched = searched.value
    line = _line(
        name,
        f"{found.descriptor_bytes:.0f}",
        f"{100 * _mean_average_precision(found.ranked):.2f}",
        f"{100 * recall(exact, found.ranked, 10):.1f}",
        f"{searched.peak_bytes / 2**20:.0f}",
        f"{build_seconds:.1f}",
        f"{1e3 * found.one_seconds:.1f}",
        f"{1e3 * found.each_seconds:.2f}",
    )
    print(line, flush=True)


def _mean_average_precision(ranked: RankedList) -> float:
    scores = []
    for query in range(len(ranked.ranks)):
        positions = ranked.positions(query, np.array(positives_of(query)))
        scores.append(average_precision(np.sort(positions[positions >= 0]), POSITIVES))
    return float(np.mean(scores))


def _line(name: str, *cells: str) -> str:
    return f"{name:20}" + "".join(f"{cell:>9}" for cell in cells)


if __name__ == "__main__":
    run_command(main)
