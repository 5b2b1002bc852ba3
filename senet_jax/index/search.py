"""Photographs of an index that are most similar to others: the work of `senet-jax search`."""

import argparse
import json
import pathlib
from collections.abc import Sequence

from senet_jax.index.found_page import Shown, found_page
from senet_jax.index.photographs import Box, ShrunkPhotograph
from senet_jax.index.searcher import Answer, Searcher, read_chain
from senet_jax.index.store import as_line
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_write, write_json
from senet_jax.system.runtime import use_compilation_cache


def search(flags: argparse.Namespace) -> None:
    """Describes the queries, searches, and prints what it finds.

    Raises:
        UserError: a flag, the index or a photograph is wrong.
    """
    boxes = _boxes(flags)
    chain = None if flags.rerank is None else read_chain(flags.rerank)
    use_compilation_cache()
    searcher = Searcher.open(flags.index)
    index = searcher.index
    photographs = [
        ShrunkPhotograph(path.parent, path.name, part=box)
        for path, box in zip(flags.queries, boxes, strict=True)
    ]
    if chain is not None:
        searcher.check(chain)
    descriptors = searcher.describe(photographs)
    if chain is None:
        found = searcher.search(descriptors, flags.top)
    else:
        found = searcher.rerank(photographs, descriptors, flags.top, chain)
    for path, box, hits in zip(flags.queries, boxes, found, strict=True):
        _print(path, box, hits)
    for line in searcher.weights.remarks:
        print(line)
    remark = index.held.remark(index.database)
    if remark is not None:
        print(remark)
    if index.missing:
        print(f"photographs that are not described: {index.missing:,}; see senet-jax index")
    if flags.json is not None:
        entries = [
            _as_json(*each, chain is not None)
            for each in zip(flags.queries, boxes, found, strict=True)
        ]
        write_json(flags.json, entries)
    if flags.html is not None:
        queries = [Shown(*each) for each in zip(flags.queries, boxes, found, strict=True)]
        page = found_page(searcher, queries, "" if chain is None else str(chain))
        with atomic_write(flags.html) as temporary:
            temporary.write_text(page, encoding="utf-8")


def _boxes(flags: argparse.Namespace) -> Sequence[Box | None]:
    """A box or None for each query.

    Raises:
        UserError: they are neither one nor as many as queries.
    """
    given = flags.box or [None]
    if len(given) == 1:
        return given * len(flags.queries)
    if len(given) != len(flags.queries):
        raise UserError(
            f"there are {len(given)} boxes for {len(flags.queries)} queries; give one, or one each"
        )
    return given


def _print(path: pathlib.Path, box: Box | None, answers: Sequence[Answer]) -> None:
    print(as_line(str(path)) + ("" if box is None else f" {json.dumps(box)}"))
    for rank, answer in enumerate(answers, 1):
        print(f"{rank:5}  {answer.score:.4f}  {as_line(answer.path)}")


def _as_json(
    path: pathlib.Path, box: Box | None, answers: Sequence[Answer], is_reranked: bool
) -> dict:
    results = [
        {"rank": rank, "path": answer.path, "score": answer.score}
        | ({"rank_before": answer.rank_before} if is_reranked else {})
        for rank, answer in enumerate(answers, 1)
    ]
    return {"query": str(path), "box": box, "results": results}
