"""What re-ranking a million descriptors takes, beside the search that it follows.

  python -m benchmarks.rerank_methods [--rows=1000000] [--whole_rows=100000] [--folder=DIR]

Writes a generated database (width 2048, groups of 50 rows around a centre of their own; deleted at
the end) and re-ranks the first 1000 items of each of 70 queries by every method, each in a process
of its own: time, compilation and all, anonymous memory, and the ratio to the time of the search.
Diffusion is given a graph, that of the groups. Then it augments the first `--whole_rows` rows and
builds their graph, whose time grows with the square of the rows, and forecasts both at `--rows`.
"""

import pathlib
import tempfile

import numpy as np
import scipy.sparse

from benchmarks.memory import Measured, in_own_process
from senet_jax.rerank.graph import mutual_graph
from senet_jax.rerank.method import DatabaseStage, Resources
from senet_jax.rerank.methods import make_chain
from senet_jax.rerank.query_expansion import DatabaseAugmentation, augmented_rows
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import open_array
from senet_jax.system.progress import format_seconds

WIDTH = 2048
GROUP = 50
LENGTH = 1000
CENTRE_WEIGHT = 2.0
"""Of its centre in a row beside noise of weight one: two rows of a group have a cosine of 0.8."""
GROUPS_AT_ONCE = 100
METHODS = ("aqe", "alpha_qe", "dqe", "refinement", "truncated_diffusion")


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.rerank_methods", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--whole_rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=70)
    parser.add_argument("--folder", help="where the database is written, 8 kB a row")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=flags.folder) as name:
        folder = pathlib.Path(name)
        write(folder, flags.rows, flags.queries)
        print(f"{flags.rows:,} x {WIDTH}, {flags.queries} queries", flush=True)
        searched = in_own_process(search_plainly, folder)
        print_run("search", searched)
        for method in METHODS:
            run = in_own_process(rerank, folder, method)
            print_run(method, run)
            print(
                f"  {1000 * run.seconds / flags.queries:.0f} ms a query, ratio to the search "
                f"{run.seconds / searched.seconds:.2f}"
            )
        for label, function in (("dba", augment), ("graph", build_graph)):
            run = in_own_process(function, folder, flags.whole_rows)
            print_run(f"{label} of {flags.whole_rows:,} rows", run)
            forecast = run.seconds * (flags.rows / flags.whole_rows) ** 2
            print(f"  forecast for {flags.rows:,} rows: {format_seconds(forecast)}", flush=True)


def write(folder: pathlib.Path, rows: int, queries: int) -> None:
    """Descriptors of a database and queries, and the graph that joins each group's rows."""
    rng = np.random.default_rng(0)
    groups = -(-rows // GROUP)
    database = np.lib.format.open_memmap(
        folder / "database.npy", "w+", np.float32, (groups * GROUP, WIDTH)
    )
    asked = np.zeros((queries, WIDTH), np.float32)
    similarities = np.zeros((groups, GROUP, GROUP), np.float32)
    asking = rng.integers(groups, size=queries)
    for start in range(0, groups, GROUPS_AT_ONCE):
        some = slice(start, min(start + GROUPS_AT_ONCE, groups))
        centres = unit(rng.standard_normal((some.stop - start, WIDTH), np.float32))
        around = around_centres(rng, np.repeat(centres, GROUP, axis=0))
        database[start * GROUP : some.stop * GROUP] = around
        around = around.reshape(-1, GROUP, WIDTH)
        similarities[some] = (around @ around.transpose(0, 2, 1)) * (1 - np.eye(GROUP))
        here = (asking >= start) & (asking < some.stop)
        asked[here] = around_centres(rng, centres[asking[here] - start])
    database.flush()
    np.save(folder / "queries.npy", asked)
    others = np.arange(groups * GROUP).reshape(groups, 1, GROUP).repeat(GROUP, axis=1)
    ends = np.arange(groups * GROUP + 1) * GROUP
    graph = scipy.sparse.csr_array((similarities.ravel(), others.ravel(), ends))
    graph.eliminate_zeros()
    scipy.sparse.save_npz(folder / "graph.npz", graph, compressed=False)


def around_centres(rng: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    noise = unit(rng.standard_normal(centres.shape, np.float32))
    return unit(noise + CENTRE_WEIGHT * centres)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def search_plainly(folder: pathlib.Path) -> None:
    database = BlockedDatabase((open_array(folder / "database.npy"),))
    ranked = search(np.load(folder / "queries.npy"), database, LENGTH).ranked
    np.save(folder / "ranks.npy", ranked.ranks)


def rerank(folder: pathlib.Path, method: str) -> None:
    database = BlockedDatabase((open_array(folder / "database.npy"),))
    ranked = RankedList(np.load(folder / "ranks.npy"), database.size)
    found = Retrieval(np.load(folder / "queries.npy"), database, ranked)

    def given_graph(stage: DatabaseStage) -> dict[str, np.ndarray]:
        graph = scipy.sparse.load_npz(folder / "graph.npz")
        return {"similarities": graph.data, "items": graph.indices, "ends": graph.indptr}

    make_chain(method).prepare(database, Resources(keep=given_graph))(found)


def augment(folder: pathlib.Path, rows: int) -> None:
    method = DatabaseAugmentation()
    database = BlockedDatabase((open_array(folder / "database.npy")[:rows],))
    for _ in augmented_rows(database, method.neighbours, method.alpha):
        pass


def build_graph(folder: pathlib.Path, rows: int) -> None:
    mutual_graph(BlockedDatabase((open_array(folder / "database.npy")[:rows],)), GROUP)


def print_run(label: str, run: Measured) -> None:
    print(f"{label}: {run.seconds:.2f} s, {run.peak_bytes / 1e6:.0f} MB anonymous", flush=True)


if __name__ == "__main__":
    run_command(main)
