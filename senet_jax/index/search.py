"""Finds the photographs of an index that are most similar to others; senet-jax index makes one.

The queries are files of photographs, in the index or not. With --box a query is cut to a box before
it is described: one for all of them, or one for each in their order.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence

from senet_jax.features.extract import extract
from senet_jax.features.runner import Describer
from senet_jax.features.scales import SCALES
from senet_jax.index.find import Hit, find
from senet_jax.index.photographs import Box, ShrunkPhotograph
from senet_jax.index.store import as_line, open_index
from senet_jax.search.backends import check_top
from senet_jax.system.coordinates import coordinates
from senet_jax.system.errors import CommandParser, UserError
from senet_jax.system.files import local_path, write_json
from senet_jax.system.runtime import use_compilation_cache


def main() -> None:
    """Describes the queries, searches, and prints what it finds."""
    parser = CommandParser(prog="python -m senet_jax.search", description=__doc__)
    parser.add_argument("index", type=local_path, metavar="INDEX", help="the folder of the index")
    parser.add_argument(
        "queries", type=local_path, nargs="+", metavar="QUERY", help="the file of a photograph"
    )
    parser.add_argument(
        "--box",
        type=coordinates("x1,y1,x2,y2"),
        action="append",
        metavar="x1,y1,x2,y2",
        help="the part of a query that counts, in pixels; once, or once for each query",
    )
    parser.add_argument(
        "--top", type=int, default=10, metavar="N", help="how many to find (default: 10)"
    )
    parser.add_argument(
        "--json", type=local_path, metavar="FILE", help="write what is found to this file as well"
    )
    flags = parser.parse_args()
    check_top(flags.top)
    boxes = _boxes(flags)
    use_compilation_cache()
    index = open_index(flags.index)
    weights = index.load_weights()
    photographs = [
        ShrunkPhotograph(path.parent, path.name, part=box)
        for path, box in zip(flags.queries, boxes, strict=True)
    ]
    descriptors, _ = extract(Describer.of(weights), photographs, SCALES, label="queries")
    found = find(index, descriptors, flags.top)
    for path, box, hits in zip(flags.queries, boxes, found, strict=True):
        _print(path, box, hits)
    if weights.random:
        print("RANDOM WEIGHTS, nothing is learned in them")
    if index.missing:
        print(f"photographs that are not described: {index.missing:,}; see senet-jax index")
    if flags.json is not None:
        write_json(flags.json, list(map(_as_json, flags.queries, boxes, found)))


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


def _print(path: pathlib.Path, box: Box | None, hits: Sequence[Hit]) -> None:
    print(as_line(str(path)) + ("" if box is None else f" {json.dumps(box)}"))
    for rank, hit in enumerate(hits, 1):
        print(f"{rank:5}  {hit.score:.4f}  {as_line(hit.path)}")


def _as_json(path: pathlib.Path, box: Box | None, hits: Sequence[Hit]) -> dict:
    results = [
        {"rank": rank, "path": hit.path, "score": hit.score} for rank, hit in enumerate(hits, 1)
    ]
    return {"query": str(path), "box": box, "results": results}
