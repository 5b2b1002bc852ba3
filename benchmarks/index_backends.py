"""The backends of an index beside each other, with default settings: files, faiss, Milvus.

  python -m benchmarks.index_backends [--rows=100000] [--milvus_rows=N] [--photograph=FILE]

The rows are generated, see `planted`: unit vectors of noise around 1,000 centres; the queries are
others around the same centres. Each backend has processes of its own, one that inserts and one that
searches. `search_table` compares the kinds of faiss's indices. A row of the table tells:

  recall  in per cent, of the ten nearest rows of exact search among the ten that are found
  MB      on disk beside the descriptors, which the files of the index hold anyway
  insert  seconds until all rows are held and saved
  MiB     anonymous memory at most, while it inserts and while it searches
  open    seconds until what is held can be asked
  one     milliseconds for one query, the median of ten
  64      milliseconds for 64 queries at once

With a photograph and weights the parts of one search are printed as well: reading, describing,
searching; each the median of five, after everything was compiled.
"""

import argparse
import dataclasses
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.memory import in_own_process
from benchmarks.planted import write_database
from senet_jax.features.extract import extract
from senet_jax.features.runner import Describer
from senet_jax.features.scales import SCALES
from senet_jax.index.find import best_rows
from senet_jax.index.held import bring_up_to_date, open_held
from senet_jax.index.photographs import ShrunkPhotograph
from senet_jax.search.backends import recall
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path, open_array
from senet_jax.system.progress import Progress
from senet_jax.weights import load_weights

QUERIES = 64
TOP = 10
WIDTH = 1280
"""Of the default network's descriptors."""


@dataclasses.dataclass(frozen=True, eq=False)
class Searched:
    """What was found, and the seconds that it took."""

    ranks: np.ndarray
    open_seconds: float
    one_seconds: float
    all_seconds: float


def main() -> None:
    flags = _flags()
    milvus_rows = flags.milvus_rows or flags.rows
    backends = {"files": flags.rows, "faiss": flags.rows, "milvus": milvus_rows}
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        queries, paths = write_database(
            pathlib.Path(folder), [{}] * QUERIES, flags.rows, flags.rows, WIDTH
        )
        names = ("rows", "recall", "MB", "insert", "MiB", "MiB", "open", "one", "64")
        print(_line("", names), flush=True)
        exact = {}
        for text, rows in backends.items():
            place = pathlib.Path(folder) / text
            place.mkdir(exist_ok=True)
            before = _bytes_of(place)
            inserted = in_own_process(insert, place, paths[0], rows, text)
            size = _bytes_of(place) - before if text != "files" else 0
            searched = in_own_process(search, place, paths[0], rows, queries)
            if rows not in exact:
                exact[rows] = in_own_process(search_files, paths[0], rows, queries).value
            value: Searched = searched.value
            found = RankedList(value.ranks, rows)
            cells = (
                f"{rows:,}",
                f"{100 * recall(RankedList(exact[rows], rows), found, TOP):.1f}",
                f"{size / 1e6:.0f}",
                f"{inserted.seconds:.1f}",
                f"{inserted.peak_bytes / 2**20:.0f}",
                f"{searched.peak_bytes / 2**20:.0f}",
                f"{value.open_seconds:.2f}",
                f"{1e3 * value.one_seconds:.1f}",
                f"{1e3 * value.all_seconds:.0f}",
            )
            print(_line(text, cells), flush=True)
            bring_up_to_date(place, _database(paths[0], rows), "0", "files")
        if flags.photograph is not None:
            in_own_process(print_parts, flags.photograph, flags.weights, paths[0], flags.rows)


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:24}" + "".join(f"{cell:>9}" for cell in cells)


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.index_backends", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--milvus_rows", type=int, help="fewer, where Milvus takes too long")
    parser.add_argument("--photograph", type=local_path)
    parser.add_argument("--weights", type=local_path)
    parser.add_argument("--folder", help="where it is written, about 8 bytes a number")
    return parser.parse_args()


def insert(place: pathlib.Path, path: pathlib.Path, rows: int, text: str) -> None:
    bring_up_to_date(place, _database(path, rows), "0", text)


def search(place: pathlib.Path, path: pathlib.Path, rows: int, queries: np.ndarray) -> Searched:
    Progress.quiet = True
    database = _database(path, rows)
    start = time.perf_counter()
    held = open_held(place, database, "0")
    open_seconds = time.perf_counter() - start

    def ask(some: np.ndarray) -> np.ndarray:
        return np.stack([r[:TOP] for r, _ in best_rows(some, database, held, TOP)])

    ranks = ask(queries)
    ask(queries[:1])  # Compiles.
    one = _median(lambda: ask(queries[:1]), 10)
    return Searched(ranks, open_seconds, one, _median(lambda: ask(queries), 3))


def search_files(path: pathlib.Path, rows: int, queries: np.ndarray) -> np.ndarray:
    """What exact search finds."""
    with tempfile.TemporaryDirectory() as nothing:
        return search(pathlib.Path(nothing), path, rows, queries).ranks


def print_parts(
    photograph: pathlib.Path, weights: pathlib.Path, path: pathlib.Path, rows: int
) -> None:
    """The parts of a search for one photograph."""
    describer = Describer.of(load_weights(weights))
    query = ShrunkPhotograph(photograph.parent, photograph.name)
    database = _database(path, rows)
    with tempfile.TemporaryDirectory() as nothing:
        held = open_held(pathlib.Path(nothing), database, "0")
    vector = database.read(0)[:1]
    parts = {
        "read": query.read,
        "read and describe": lambda: extract(describer, [query], SCALES, label="queries"),
        f"search {rows:,} rows": lambda: best_rows(vector, database, held, TOP),
    }
    for name, part in parts.items():
        part()
        print(f"{name}: {1e3 * _median(part, 5):.0f} ms", flush=True)


def _database(path: pathlib.Path, rows: int) -> BlockedDatabase:
    return BlockedDatabase((open_array(path)[:rows],))


def _median(function: Callable[[], object], times: int) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _bytes_of(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    run_command(main)
