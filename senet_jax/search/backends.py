"""The ways to search a database, by their names: exactly, or by an index of faiss.

A backend is its settings; `prepare` makes of a database an index, which answers queries.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.faiss_index import Faiss, FaissIndex
from senet_jax.search.ranked_list import NO_MORE, RankedList
from senet_jax.system.errors import UserError, shown
from senet_jax.system.settings import Settings
from senet_jax.system.spelling import parse_spelled, spelled


@dataclasses.dataclass(frozen=True)
class Exact(Settings):
    """Every item is scored, so that none is missed."""

    def prepare(
        self, database: BlockedDatabase, on_rows: Callable[[int], None] = lambda count: None
    ) -> "ExactIndex":
        """Nothing has to be built: `on_rows` is not called."""
        return ExactIndex(self, database)


@dataclasses.dataclass(frozen=True, eq=False)
class ExactIndex:
    """A database that is searched as it is.

    Attributes:
        backend: its settings.
        database: what is searched.
    """

    backend: Exact
    database: BlockedDatabase

    def top_k(
        self, queries: np.ndarray, k: int, on_rows: Callable[[int], None] = lambda count: None
    ) -> RankedList:
        """See `exact.top_k`."""
        from senet_jax.search.exact import top_k

        return top_k(queries, self.database, k, on_rows)


Backend = Exact | Faiss
Index = ExactIndex | FaissIndex
BACKENDS: Mapping[str, type[Backend]] = {"exact": Exact, "faiss": Faiss}


def read_backend(text: str) -> Backend:
    """The backend that a text names, such as `exact` or `faiss(index=IVF1024,PQ64np,probes=32)`.

    Raises:
        UserError: it names none, or several, or a setting is wrong.
    """
    found = parse_spelled(text, BACKENDS, "search backend")
    if len(found) > 1:
        raise UserError(f"{shown(text)} names {len(found)} search backends; name one")
    given: dict[str, Any] = dict(found[0].given)
    return BACKENDS[found[0].name](**given)


def backend_text(backend: Backend) -> str:
    """The text that names a backend again."""
    [name] = [name for name, kind in BACKENDS.items() if kind is type(backend)]
    return str(spelled(name, backend))


def search(
    queries: np.ndarray, database: BlockedDatabase, top: int, backend: Backend | str = "exact"
) -> RankedList:
    """Each query's best items by dot product, as far as a backend finds them.

    Who searches a database several times prepares the backend once, and asks its index.

    Args:
        queries: float32[q d].
        database: what is searched.
        top: how many items to find; of a smaller database, all.
        backend: how; see `read_backend` for texts.

    Returns:
        Ranks int[q min(top, n)].

    Raises:
        UserError: the backend is not known or cannot be had, the queries are not finite or not as
            wide as the database, a descriptor is not finite, or `top` is less than one.
    """
    database.check_queries(queries)
    check_top(top)
    chosen = read_backend(backend) if isinstance(backend, str) else backend
    return chosen.prepare(database).top_k(queries, top)


def check_top(top: int) -> None:
    """Checks a number of items to find.

    Raises:
        UserError: it is less than one.
    """
    if top < 1:
        raise UserError(f"the {shown(top)} best items of a query are none; ask for one or more")


def recall(
    expected: RankedList, found: RankedList, k: int, unranked: Collection[int] = ()
) -> float:
    """The share of the k best items of each query that are among the k first of another list.

    Args:
        expected: what exact search finds.
        found: what is judged; for the same queries.
        k: how many items of each list count.
        unranked: items that exact search lists without a score; to miss them is no loss.

    Returns:
        The mean over all items that should be found, in [0, 1]; NaN where there are none.
    """
    hits = wanted = 0
    for best, first in zip(expected.ranks[:, :k], found.ranks[:, :k], strict=True):
        best = best[(best != NO_MORE) & ~np.isin(best, list(unranked))]
        hits += int(np.isin(best, first).sum())
        wanted += len(best)
    return hits / wanted if wanted else float("nan")
