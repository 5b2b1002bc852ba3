"""Approximate search as a part of the job `evaluate`, beside what it loses and what it takes."""

import dataclasses
import math
import time
from typing import Any

import numpy as np

from senet_jax.search.backends import Backend, backend_text, recall
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.progress import Progress

TOP = 1000
"""How many items of each query are found; the others count as not found."""
CUTOFFS = (100, 1000)
"""After how many items recall is told."""
EXACT_QUERIES = 100
"""How many queries are searched exactly as well, evenly spread over all, to tell the recall."""


@dataclasses.dataclass(frozen=True)
class SearchRecord:
    """How a database was searched, other than exactly.

    Attributes:
        backend: with the settings that it chose itself, as `read_backend` reads it.
        top: how many items of each query were searched for.
        recalls: for each cutoff the share of the best items that were found; None where the
            database has none.
        recall_queries: how many queries were searched exactly to know that.
        build_seconds: what it took to build the index.
        seconds_per_query: what a query took of a search for all of them together.
    """

    backend: Backend
    top: int
    recalls: dict[int, float | None]
    recall_queries: int
    build_seconds: float
    seconds_per_query: float

    def to_json(self) -> dict[str, Any]:
        """The value that stands under `search` in a dataset's results in `report.json`."""
        return {
            "backend": backend_text(self.backend),
            "settings": dataclasses.asdict(self.backend),
            "top": self.top,
            **{f"recall@{cutoff}": value for cutoff, value in self.recalls.items()},
            "recall_queries": self.recall_queries,
            "build_seconds": self.build_seconds,
            "seconds_per_query": self.seconds_per_query,
        }

    def line(self) -> str:
        """The same for people, in a line."""
        recalls = [
            f"recall@{cutoff} against exact search {100 * value:.1f}"
            for cutoff, value in self.recalls.items()
            if value is not None
        ]
        took = f"{self.build_seconds:.1f} s to build, {1e3 * self.seconds_per_query:.2f} ms a query"
        only = f"only the first {self.top:,} items count as found"
        return ", ".join([f"searched by {backend_text(self.backend)}", *recalls, took, only])


def search_by(
    backend: Backend, queries: np.ndarray, database: BlockedDatabase
) -> tuple[RankedList, SearchRecord]:
    """Searches a database by a backend, and compares what it finds with exact search.

    Args:
        backend: how.
        queries: float32[q d], finite.
        database: what is searched.

    Raises:
        UserError: the backend cannot be had or made, or a descriptor is not finite.
    """
    start = time.monotonic()
    index = backend.prepare(database, Progress("indexing", database.size, "rows").advance)
    built = time.monotonic()
    found = index.top_k(queries, TOP)
    searched = time.monotonic()
    sample = slice(None, None, math.ceil(len(queries) / EXACT_QUERIES) or None)
    progress = Progress("searching exactly, for the recall", database.size, "rows")
    expected = top_k(queries[sample], database, TOP, progress.advance)
    of_sample = RankedList(found.ranks[sample], database.size)
    shares = {cutoff: recall(expected, of_sample, cutoff, database.unranked) for cutoff in CUTOFFS}
    return found, SearchRecord(
        index.backend,
        TOP,
        {cutoff: None if math.isnan(share) else share for cutoff, share in shares.items()},
        len(expected.ranks),
        built - start,
        (searched - built) / max(len(queries), 1),
    )
