"""Re-ranks anyone's ranked lists by anyone's descriptors.

R.npy holds integers [queries, k], items best first; -1 means no more. OUT.npy will hold int32
[queries, k]. Descriptors are .npy files of float16, float32, float64 or integers, used as they
are, by dot product, in float32.

What a method computes of the database alone (dba, diffusion) is kept in the folder `prepared`
beside OUT.npy, and is found there the next time.

Methods, one or several joined by commas, each working on what the one before it found, with the
settings that are to differ from their defaults: --method='dba(neighbours=10),alpha_qe'. A method
with the setting `top` changes the order of the first items of the lists; the others rank the whole
database, and may bring in items that were not listed.

"""

import argparse

import numpy as np

from senet_jax.jobs.kept_stages import StageFolder
from senet_jax.rerank.method import Resources
from senet_jax.rerank.methods import datasets_with_defaults, make_chain, methods_help
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.search.descriptor_files import open_descriptors
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import CommandParser, UserError
from senet_jax.system.files import atomic_write, local_path, local_paths, open_array
from senet_jax.system.runtime import use_compilation_cache


def main() -> None:
    """Reads, re-ranks, and writes."""
    parser = CommandParser(
        prog="python -m senet_jax.rerank", description=(__doc__ or "") + methods_help()
    )
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
    parser.add_argument(
        "--method", metavar="NAME(SETTING=VALUE,...),...", required=True, help="see above"
    )
    parser.add_argument(
        "--dataset",
        choices=datasets_with_defaults(),
        default="",
        help="whose defaults the settings have that are left out",
    )
    flags = parser.parse_args()
    use_compilation_cache()

    chain = make_chain(flags.method, flags.dataset)
    resources = Resources(keep=StageFolder(flags.out.parent / "prepared"))
    chain.check_features(resources.features)
    retrieval = _open_retrieval(flags)
    # A place that cannot be written is found out before the work, not after it.
    with atomic_write(flags.out) as temporary, temporary.open("wb") as file:
        reranked = chain.prepare(retrieval.database, resources)(retrieval)
        np.save(file, reranked.ranked.ranks.astype(np.int32))
    print(f"wrote {flags.out}")


def _open_retrieval(flags: argparse.Namespace) -> Retrieval:
    queries, database = open_descriptors(flags.query, flags.database, flags.distractors)
    try:
        ranks = np.asarray(open_array(flags.ranks))
        ranked = RankedList.of_queries(ranks, len(queries), database.size)
    except UserError as error:
        raise UserError(f"{flags.ranks}: {error}") from error
    return Retrieval(queries, database, ranked)
