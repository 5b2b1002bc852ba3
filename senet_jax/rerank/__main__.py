"""Re-ranks anyone's ranked lists by anyone's descriptors.

R.npy holds integers [queries, k], items best first; -1 means no more. OUT.npy will hold int32
[queries, k]. Descriptors are .npy files of float16, float32, float64 or integers, used as they
are, by dot product, in float32.

Methods, one or several joined by commas, each working on what the one before it found:
  aqe                  average query expansion
  alpha_qe             query expansion weighted by similarity^alpha
  dqe                  discriminative query expansion, by a linear SVM (scikit-learn)
  dba                  database-side augmentation: every descriptor expanded by its neighbours
  refinement           SuperGlobal's refinement of a shortlist (400 items)
  diffusion            on the mutual nearest-neighbour graph of the whole database
  truncated_diffusion  on the graph among a shortlist (1000 items)

refinement and truncated_diffusion change the order of the first items of the lists; the others
rank the whole database, and may bring in items that were not listed.
"""

import argparse
import functools
import pathlib
import tempfile
from collections.abc import Iterable

import numpy as np

from senet_jax.rerank.graph import kept_graph, mutual_graph
from senet_jax.rerank.methods import PRESETS, Circumstances, make_reranker
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.search.database import BlockedDatabase, as_float32, check_descriptors
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import local_path, local_paths, open_array, written_whole
from senet_jax.system.runtime import use_compilation_cache


def main() -> None:
    """Reads, re-ranks, and writes."""
    parser = CommandParser(prog="python -m senet_jax.rerank", description=__doc__)
    parser.add_argument("ranks", type=local_path, metavar="R.npy", help="the ranked lists")
    parser.add_argument(
        "out", type=local_path, metavar="OUT.npy", help="where the new ones are written"
    )
    parser.add_argument(
        "--query", type=local_path, metavar="Q.npy", required=True, help="the queries' descriptors"
    )
    parser.add_argument(
        "--database",
        type=local_path,
        metavar="X.npy",
        required=True,
        help="the database's descriptors",
    )
    parser.add_argument(
        "--distractors",
        type=local_paths,
        default=[],
        metavar="D.npy,...",
        help="descriptors that follow the database's",
    )
    parser.add_argument("--method", metavar="NAME,...", required=True, help="see above")
    parser.add_argument(
        "--dataset",
        choices=PRESETS,
        default="",
        help="whose number of neighbours and alpha the expansions use (default: roxford5k's)",
    )
    parser.add_argument("--top", type=int, help="the length of shortlists")
    parser.add_argument(
        "--graph",
        type=local_path,
        metavar="FILE.npz",
        help="where diffusion's graph is kept; made if missing",
    )
    flags = parser.parse_args()
    if flags.graph is not None and "diffusion" not in flags.method:
        parser.error(f"--graph is for diffusion, seen: --method={flags.method}")
    use_compilation_cache()

    circumstances = Circumstances(
        dataset=flags.dataset,
        top=flags.top,
        graph_of=mutual_graph
        if flags.graph is None
        else functools.partial(kept_graph, flags.graph),
        keep=functools.partial(_on_disk, flags.out.parent),
    )
    rerank = make_reranker(flags.method, circumstances)
    retrieval = _open_retrieval(flags)
    makes_graph = flags.graph is not None and not flags.graph.exists()
    # A place that cannot be written is found out before the work, not after it.
    with written_whole(flags.out) as temporary, temporary.open("wb") as file:
        np.save(file, rerank(retrieval).ranked.ranks.astype(np.int32))
    print(f"wrote {flags.out}" + (f" and {flags.graph}" if makes_graph else ""))


def _open_retrieval(flags: argparse.Namespace) -> Retrieval:
    queries = open_array(flags.query)
    check_descriptors(queries, flags.query)
    database = BlockedDatabase(tuple(map(open_array, [flags.database, *flags.distractors])))
    try:
        ranks = np.asarray(open_array(flags.ranks))
        ranked = RankedList.of_queries(ranks, len(queries), database.size)
    except UserError as error:
        raise UserError(f"{flags.ranks}: {error}") from error
    return Retrieval(as_float32(queries), database, ranked)


def _on_disk(
    folder: pathlib.Path, rows: Iterable[np.ndarray], shape: tuple[int, int]
) -> np.ndarray:
    """Descriptors float32[n d] in a file that goes with the process: they may not fit in memory."""
    with tempfile.TemporaryFile(dir=folder) as file:
        for batch in rows:
            file.write(np.ascontiguousarray(batch))
        file.flush()
        return np.memmap(file, np.float32, "r", shape=shape)


if __name__ == "__main__":
    run_command(main)
