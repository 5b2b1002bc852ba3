"""What a re-ranking method is: settings, a database stage, and a query stage.

The database stage is what a method computes of a database before any query: an augmented database,
a graph. It is computed once, and may be kept on disk. The query stage takes what was found for some
queries and gives other lists. In a chain each stage works on what the method before it has left.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from senet_jax.rerank.pairs import PairCount, ScoredPairs
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError
from senet_jax.system.settings import Settings


@dataclasses.dataclass(frozen=True, eq=False)
class DatabaseStage:
    """What is to be computed of a database.

    Attributes:
        name: one word for it.
        settings: what the arrays depend on besides the database, as JSON has it.
        database: of which it is computed.
        pieces: computes named arrays, in pieces that are joined along their first axis.
    """

    name: str
    settings: Mapping[str, Any]
    database: BlockedDatabase
    pieces: Callable[[], Iterable[Mapping[str, np.ndarray]]]


Keep = Callable[[DatabaseStage], Mapping[str, np.ndarray]]
"""Gives the arrays of a stage, which it computes or has kept."""


def in_memory(stage: DatabaseStage) -> dict[str, np.ndarray]:
    """Computes a stage, and keeps it nowhere."""
    pieces = list(stage.pieces())
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@dataclasses.dataclass(frozen=True, eq=False)
class Resources:
    """What the caller of methods provides.

    Attributes:
        keep: where database stages come from.
        features: of the photographs, by kind: `Features` for `dense` and `local`, for `keypoints` a
            `lightglue.KeypointSource`; empty where there are none.
        pairs: counts the pairs that are compared.
        on_scored: takes a pairwise method and the pairs that it has scored, to save them.
    """

    keep: Keep = in_memory
    features: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pairs: PairCount = dataclasses.field(default_factory=PairCount)
    on_scored: Callable[["Method", ScoredPairs], None] = lambda method, scored: None


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A method whose database stage is done.

    Attributes:
        source: the database whose lists it takes.
        database: what its lists are of, which is what the next method of a chain works on.
        query_stage: other lists for those that were found.
    """

    source: BlockedDatabase
    database: BlockedDatabase
    query_stage: Callable[[Retrieval], Retrieval]

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """Other lists, and perhaps other queries.

        Raises:
            UserError: what was found is of another database than the one of the preparation.
        """
        if retrieval.database is not self.source:
            raise UserError(
                "a re-ranking was prepared for another database than the one that was searched; "
                "prepare it for this one"
            )
        return self.query_stage(retrieval)


class Reranker:
    """A method, or a chain of methods."""

    def prepare(self, database: BlockedDatabase, resources: Resources) -> Prepared:
        """Does the database stage.

        Raises:
            UserError: the method cannot work on the database, or lacks features.
        """
        raise NotImplementedError

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """Both stages, the first one in memory."""
        return self.prepare(retrieval.database, Resources())(retrieval)


FOUND_ANEW = "the lower index is first"
"""`Method.ties` of what searches again."""


@dataclasses.dataclass(frozen=True)
class Method(Settings, Reranker):
    """A re-ranking method, with its settings as fields.

    A method without a database stage overrides `rerank`, one with a database stage `prepare`.

    Attributes:
        needs: the kind of features that it takes, empty for descriptors alone.
        ties: what comes first among items that it finds equal, for reports.

    Raises:
        UserError: a setting is of another type, or out of range.
    """

    needs: ClassVar[str] = ""
    ties: ClassVar[str] = "the order of before stays"  # As `retrieval.reordered` does it.

    def rerank(self, retrieval: Retrieval) -> Retrieval:
        """The query stage of a method without a database stage."""
        raise NotImplementedError

    def prepare(self, database: BlockedDatabase, resources: Resources) -> Prepared:
        """See `Reranker`; there is nothing to do of a database."""
        return Prepared(database, database, self.rerank)
