"""Ranked lists from elsewhere, re-ranked: the work of `senet-jax rerank`."""

import argparse

import numpy as np

from senet_jax.jobs.kept_stages import StageFolder
from senet_jax.rerank.method import Resources
from senet_jax.rerank.methods import Chain
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.search.descriptor_files import open_descriptors
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_write, open_array
from senet_jax.system.runtime import use_compilation_cache


def rerank(chain: Chain, flags: argparse.Namespace) -> None:
    """Reads, re-ranks, and writes.

    Raises:
        UserError: a file is wrong, or a method takes features of photographs.
    """
    use_compilation_cache()
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
