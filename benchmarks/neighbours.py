"""The neighbours of all rows: exact search beside inverted lists, and what the latter lose.

  python -m benchmarks.neighbours [--rows=20000,50000,200000] [--forecast=1000000]
      [--map_rows=100000] [--recall=0.95] [--folder=DIR]

The database is generated (deleted at the end). It has the structure of descriptors of parts of
photographs by EfficientNet-Lite0: variances that fall with the 0.8th power of the axis, few places
with many rows and many with few, a common mean; its neighbours are about as similar as theirs, and
take more probes to find. For each number of rows, the graph of 50 neighbours:

  exact    processor seconds of exact search, of 2,048 rows times as many as there are
  lists    processor seconds by inverted lists, with all that is learned and sampled for them
  ratio    of the two
  recall   of the mutual neighbours of a sample other than the one that chose the probes, per cent
  MiB      anonymous memory at most, by inverted lists

The forecast goes on as the seconds by lists grew from the last but one number of rows to the last.

Then the mean average precision, x 100, of queries whose 20 images are ever less similar, by dba and
by diffusion among `--map_rows` rows: from exact neighbours, and from those by inverted lists.
"""

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.memory import in_own_process
from senet_jax.metrics.average_precision import average_precision
from senet_jax.rerank.diffusion import Diffusion
from senet_jax.rerank.graph import joined
from senet_jax.rerank.method import DatabaseStage, Method, Resources
from senet_jax.rerank.neighbours import Neighbours, mutual_sample, nearest_others
from senet_jax.rerank.query_expansion import DatabaseAugmentation, expanded_queries
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.search.inverted_lists import InvertedLists
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import open_array
from senet_jax.system.progress import format_seconds

WIDTH = 2048
OTHERS = 49
POSITIVES = 20
FALL = 0.8
"""The power of an axis's number by which the variance falls."""
WITHIN, NOISE, MEAN = 0.6, 0.2, 0.8
"""Of a row, beside a place of length one: what differs within a place, noise, the mean of all."""
ROWS_OF_PLACE, TAIL = 8, 1.2
"""How many rows a place has in the mean, and the exponent of the Pareto distribution of them."""
ASKED = 2048
_WRITTEN_AT_ONCE = 4096
_BATCH = 1024


def main() -> None:
    flags = _flags()
    seconds = {}
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        path = pathlib.Path(folder) / "database.npy"
        print(
            "".join(f"{name:>10}" for name in ("rows", "exact", "lists", "ratio", "recall", "MiB"))
        )
        for rows in flags.rows:
            write_places(path, rows, 0)
            exact = in_own_process(exact_seconds, path).value
            lists = in_own_process(lists_by_recall, path, OTHERS, flags.recall)
            ranks, _, seconds[rows] = lists.value
            cells = (
                f"{rows:,}",
                f"{exact:.0f}",
                f"{seconds[rows]:.0f}",
                f"{seconds[rows] / exact:.3f}",
                f"{100 * in_own_process(mutual_recall, path, ranks).value:.1f}",
                f"{lists.peak_bytes / 2**20:.0f}",
            )
            print("".join(f"{cell:>10}" for cell in cells), flush=True)
        if len(seconds) > 1:
            print_forecast(seconds, flags.forecast)
        if flags.map_rows:
            queries = write_places(path, flags.map_rows, flags.queries)
            for line in in_own_process(lost_map, path, queries, flags.recall).value:
                print(line, flush=True)


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.neighbours", description=__doc__)
    parser.add_argument("--rows", type=_numbers, default=[20_000, 50_000, 200_000])
    parser.add_argument("--forecast", type=int, default=1_000_000)
    parser.add_argument("--map_rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--folder", help="where the database is written, 8 kB a row")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def print_forecast(seconds: dict[int, float], rows: int) -> None:
    (few, fewer_seconds), (many, more_seconds) = list(seconds.items())[-2:]
    power = np.log(more_seconds / fewer_seconds) / np.log(many / few)
    forecast = more_seconds * (rows / many) ** power
    print(
        f"by lists, seconds grow with the {power:.2f}th power of rows: forecast for {rows:,} rows "
        f"{format_seconds(forecast)} of one processor, {format_seconds(forecast / 2)} of two"
    )


def write_places(path: pathlib.Path, rows: int, queries: int) -> np.ndarray:
    """Writes unit descriptors float32[rows WIDTH], and gives queries float32[queries WIDTH].

    The first rows are the positives of the queries, `POSITIVES` of each.
    """
    rng = np.random.default_rng(0)
    deviations = np.arange(1, WIDTH + 1) ** (-FALL / 2)
    deviations = (deviations / np.linalg.norm(deviations)).astype(np.float32)
    mean = MEAN / np.sqrt(WIDTH) * rng.standard_normal(WIDTH, np.float32)
    places = rng.standard_normal((queries + rows // ROWS_OF_PLACE, WIDTH), np.float32)
    places *= deviations

    def around(of_rows: np.ndarray, within: np.ndarray | float) -> np.ndarray:
        differing = rng.standard_normal(of_rows.shape, np.float32) * deviations
        noise = rng.standard_normal(of_rows.shape, np.float32) / np.float32(np.sqrt(WIDTH))
        described = of_rows + within * differing + NOISE * noise + mean
        return (described / np.linalg.norm(described, axis=1, keepdims=True)).astype(np.float32)

    popularity = rng.pareto(TAIL, len(places) - queries) + 1
    place_of = queries + rng.choice(len(popularity), rows, p=popularity / popularity.sum())
    place_of[: POSITIVES * queries] = np.repeat(np.arange(queries), POSITIVES)
    within = np.full((rows, 1), WITHIN, np.float32)
    within[: POSITIVES * queries, 0] = np.tile(np.linspace(1, 3, POSITIVES) * WITHIN, queries)
    database = np.lib.format.open_memmap(path, "w+", np.float32, (rows, WIDTH))
    for start in range(0, rows, _WRITTEN_AT_ONCE):
        some = slice(start, start + _WRITTEN_AT_ONCE)
        database[some] = around(places[place_of[some]], within[some])
    database.flush()
    return around(places[:queries], WITHIN)


def _timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def exact_seconds(path: pathlib.Path) -> float:
    """Of exact search for the neighbours of all rows, as those of some take."""
    database = BlockedDatabase((open_array(path),))

    def ask() -> None:
        for start in range(0, ASKED, _BATCH):
            top_k(database.parts[0][start : start + _BATCH], database, OTHERS + 1)

    ask()  # Compiles.
    return _timed(ask) * database.size / ASKED


def lists_by_recall(
    path: pathlib.Path, count: int, recall: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """All rows' neighbours int[n k], their similarities, and the seconds of processors."""
    database = BlockedDatabase((open_array(path),))
    start = time.process_time()
    found = [
        (batch.asked.ranked.ranks, batch.similarities)
        for batch in nearest_others(database, count, "neighbours", recall)
    ]
    ranks, similarities = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return ranks, similarities, time.process_time() - start


def mutual_recall(path: pathlib.Path, ranks: np.ndarray) -> float:
    """The share of exact mutual neighbours that are in each other's lists."""
    pairs = mutual_sample(BlockedDatabase((open_array(path),)), ranks.shape[1], seed=1)
    are_found = [
        (ranks[pairs[:, one]] == pairs[:, [other]]).any(axis=1) for one, other in ((0, 1), (1, 0))
    ]
    return float(np.logical_and(*are_found).mean())


def lost_map(path: pathlib.Path, queries: np.ndarray, recall: float) -> list[str]:
    """A line for the search and for each method."""
    database = BlockedDatabase((open_array(path),))
    found = search(queries, database, 1000)
    # All rows in one list are compared with each other.
    everything = InvertedLists(database, database.read(0)[:1]).nearest(1, OTHERS + 1)
    own = np.arange(database.size)[:, None]
    order = np.argsort(everything.ranked.ranks == own, axis=1, kind="stable")[:, :OTHERS]
    exact = tuple(
        np.take_along_axis(part, order, axis=1)
        for part in (everything.ranked.ranks, everything.similarities)
    )
    lines = [f"{database.size:,} rows, {len(queries)} queries, mAP of the search {_map(found):.2f}"]
    dba, diffusion = DatabaseAugmentation(), Diffusion()
    for name, method, count in (("dba", dba, dba.neighbours), ("diffusion", diffusion, OTHERS)):
        by_lists = lists_by_recall(path, count, recall)[:2]
        of_exact, of_lists = (
            _map(reranked(method, found, ranks[:, :count], similarities[:, :count]))
            for ranks, similarities in (exact, by_lists)
        )
        lines.append(
            f"{name}: {of_exact:.2f} from exact neighbours, {of_lists:.2f} by inverted lists, "
            f"difference {of_lists - of_exact:+.2f}"
        )
    return lines


def reranked(
    method: Method, found: Retrieval, ranks: np.ndarray, similarities: np.ndarray
) -> Retrieval:
    """What a method makes of what was found, with the neighbours int[n k] of all rows given."""
    database = found.database

    def given() -> Iterator[Neighbours]:
        for start in range(0, database.size, _BATCH):
            some = slice(start, start + _BATCH)
            lists = RankedList(ranks[some], database.size)
            yield Neighbours(
                Retrieval(database.parts[0][some], database, lists), similarities[some]
            )

    def keep(stage: DatabaseStage) -> dict[str, np.ndarray]:
        if isinstance(method, DatabaseAugmentation):
            rows = [
                expanded_queries(each.asked, each.asked.length, method.alpha) for each in given()
            ]
            return {"rows": np.concatenate(rows)}
        graph = joined(given(), database.size)
        return {"similarities": graph.data, "items": graph.indices, "ends": graph.indptr}

    return method.prepare(database, Resources(keep=keep))(found)


def _map(found: Retrieval) -> float:
    scores = []
    for query in range(len(found.queries)):
        items = np.arange(POSITIVES * query, POSITIVES * (query + 1))
        positions = found.ranked.positions(query, items)
        scores.append(average_precision(np.sort(positions[positions >= 0]), POSITIVES))
    return 100 * float(np.mean(scores))


if __name__ == "__main__":
    run_command(main)
