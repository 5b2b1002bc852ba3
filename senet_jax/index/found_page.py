"""A page of what a search has found; see `document`."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Sequence

from senet_jax.data.revisitop import read_image
from senet_jax.index.photographs import Box
from senet_jax.index.searcher import Answer, Searcher
from senet_jax.index.store import Index
from senet_jax.report.document import document
from senet_jax.report.markup import Markup, image, join, text
from senet_jax.report.pictures import Thumbnail, fitted_query, thumbnail
from senet_jax.system.errors import UserError

_QUERY_SIDE, _ITEM_SIDE = 320, 144  # Pixels; a page shows them smaller, sharp screens do not.


@dataclasses.dataclass(frozen=True)
class Shown:
    """A query, and what was found for it.

    Attributes:
        path: its file.
        box: the part of it that was searched for; None for all of it.
        answers: best first.
    """

    path: pathlib.Path
    box: Box | None
    answers: Sequence[Answer]


def found_page(searcher: Searcher, queries: Sequence[Shown], chain: str) -> Markup:
    """The HTML of queries with what was found for them.

    Args:
        searcher: of the index that was searched.
        queries: what is shown.
        chain: of the re-ranking; empty for none.
    """
    index, weights = searcher.index, searcher.weights
    title = text(f"Found in {index.folder}")
    network = ": ".join([weights.architecture.name, *weights.remarks])
    about = f"{len(index.listing.names):,} photographs" + f", re-ranked by {chain}" * bool(chain)
    small = functools.cache(lambda path: _thumbnail(path, None, _ITEM_SIDE))
    return document(
        title,
        [
            f'<header><h1>{title}</h1><p class="quiet">{text(about)}. '
            f"Described by {text(network)}. "
            "A score is the similarity of two descriptors, 1 at most; a yellow box shows which "
            "part of a query was searched for.</p></header><main>",
            *(_query(index, query, small) for query in queries),
            "</main>",
        ],
    )


def _query(index: Index, query: Shown, small: Callable[[str], Thumbnail | None]) -> Markup:
    query_name = str(query.path)
    picture = _thumbnail(query_name, query.box, _QUERY_SIDE)
    items = []
    for rank, answer in enumerate(query.answers, 1):
        name = os.path.relpath(answer.path, index.listing.folder)
        before = answer.rank_before
        moved = "" if before in (None, rank) else f'<span class="quiet">was {before}</span>'
        items.append(
            f"<li>{_picture(small(answer.path), name)}"
            f"<span>{rank}. {answer.score:.3f}</span>{moved}"
            f'<small title="{text(name)}">{text(name)}</small></li>'
        )
    return join(
        [
            f'<section><h2>{text(query_name)}</h2><div class="found">',
            f"{_picture(picture, f'The query {query_name}')}<div>",
            f'<ol class="tiles">{"".join(items)}</ol></div></div></section>',
        ]
    )


def _picture(made: Thumbnail | None, alternative: str) -> Markup:
    if made is None:
        return Markup('<p class="none">no picture</p>')
    return image(made, alternative)


def _thumbnail(path: str, box: Box | None, side: int) -> Thumbnail | None:
    try:
        return thumbnail(fitted_query(read_image(path), box, side))
    except UserError:
        return None
