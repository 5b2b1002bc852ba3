"""Rows that a backend holds; run as a module, has one ended by SIGKILL at a given moment."""

import os
import pathlib
import signal
import sys

import numpy as np
import pymilvus  # noqa: F401  Imported in a test, it would close what pytest captures.

from senet_jax.index import faiss_rows, held, milvus_rows
from senet_jax.index.held import bring_up_to_date, open_held
from senet_jax.search.database import BlockedDatabase

WIDTH = 16
KINDS = ("faiss(index=IVF8,Flat,probes=8)", "milvus")
"""Both find all that there is, so that what they lose is lost by us."""


def database(size, unranked=()):
    """The first of the same rows, in blocks of a hundred."""
    rows = np.random.default_rng(0).standard_normal((1000, WIDTH)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return BlockedDatabase((rows[:size],), unranked, block_rows=100)


def assert_finds_all(folder, searched, key, lacks=0):
    """Asked for the best ten rows of some queries, what is held has all of them near."""
    queries = np.random.default_rng(1).standard_normal((5, WIDTH)).astype(np.float32)
    opened = open_held(folder, searched, key)
    is_ranked = np.ones(searched.size, bool)
    is_ranked[list(searched.unranked)] = False
    assert (is_ranked & ~opened.is_held).sum() == lacks
    scores = np.where(is_ranked, queries @ searched.parts[0].T, -np.inf)
    near = opened.nearest(queries, 10, searched)
    if near is None:  # Of another key, or with too many others: all are compared.
        assert lacks
    else:
        for rows, of_query in zip(near, scores, strict=True):
            assert set(np.argsort(-of_query)[:10]) <= set(rows) and is_ranked[rows].all()
            assert len(rows) < is_ranked.sum()
    if opened.rows is not None:
        opened.rows.close()


def names(folder):
    """What is in the folder of an index, the same names for all of faiss."""
    return sorted(path.name.split(".")[0] for path in folder.iterdir())


def _end():
    os.kill(os.getpid(), signal.SIGKILL)


def _ending(owner, name, calls=1, after=False):
    """Has one of the calls of a function end this process."""
    function, made = getattr(owner, name), []

    def call(*inputs, **options):
        made.append(None)
        if len(made) == calls and not after:
            _end()
        found = function(*inputs, **options)
        if len(made) == calls:
            _end()
        return found

    setattr(owner, name, call)


def main():
    """Ends before, or in the past tense after, what the moment names."""
    folder, size, key, text, moment = sys.argv[1:]
    module = faiss_rows.FaissRows if "faiss" in text else milvus_rows.Milvus
    rows = faiss_rows.FaissFile if "faiss" in text else milvus_rows.Collection
    match moment:
        case "made":
            _ending(module, "made", after=True)
        case "first add" | "second add":
            _ending(rows, "add", calls=1 + moment.startswith("second"))
        case "save" | "saved":
            _ending(rows, "save", after=moment == "saved")
        case "recorded":
            _ending(held, "_cleared")
        case "remove":
            _ending(module, "remove", after=True)
    bring_up_to_date(pathlib.Path(folder), database(int(size)), key, text)


if __name__ == "__main__":
    main()
