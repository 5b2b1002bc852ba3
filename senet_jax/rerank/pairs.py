"""Pairs of a query and an item of the database: their scores, and the features they come from."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from senet_jax.rerank.journal import Journal, Key
from senet_jax.system.errors import UserError

ScorePairs = Callable[[np.ndarray], np.ndarray]
"""int[p 2] of queries and items -> float32[p], higher is more alike."""


class Features(Protocol):
    """The features of one kind of all queries and of all items of a database."""

    def prepare(self, pairs: np.ndarray) -> None:
        """Makes those of pairs, int64[p 2], before they are asked for, where that is faster."""

    def query(self, index: int) -> Any:
        """Those of a query."""

    def item(self, index: int) -> Any:
        """Those of an item."""

    def key(self, query: int, item: int) -> Key:
        """Under which the scores of a pair are known in the journal."""
        return str(query), str(item)

    def journal(self, method: str, settings: Mapping[str, Any]) -> Journal:
        """The scores that are known of them; see `Journal.of`. Those of keys like these, none."""
        return Journal()


@dataclasses.dataclass
class PairCount:
    """How many pairs of images were compared so far, and what it took.

    Attributes:
        compared: how many.
        computed: how many of them were not known from before.
        known_seconds: what those took that were, when they were computed.
        feature_seconds: what it took to make features.
    """

    compared: int = 0
    computed: int = 0
    known_seconds: float = dataclasses.field(default=0.0, compare=False)
    feature_seconds: float = dataclasses.field(default=0.0, compare=False)

    def lookup(self, keys: Sequence[Key], journal: Journal) -> set[Key]:
        """Counts pairs by their keys, and gives those that are not known."""
        missing = {key for key in keys if key not in journal.known}
        self.compared += len(keys)
        self.computed += len(missing)
        self.known_seconds += sum(journal.known[key].seconds for key in keys if key not in missing)
        return missing


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredPairs:
    """Pairs of a query and an item, with what was found out about them.

    Attributes:
        pairs: int64[p 2], query and item.
        global_scores: float32[p], the similarity of their descriptors.
        scores: float32[p], of the pairwise re-ranker.

    Raises:
        UserError: there is not one score for each pair, or one is not finite.
    """

    pairs: np.ndarray
    global_scores: np.ndarray
    scores: np.ndarray

    def __post_init__(self):
        if not len(self.pairs) == len(self.global_scores) == len(self.scores):
            raise UserError(
                f"{len(self.pairs)} pairs have {len(self.global_scores)} global scores and "
                f"{len(self.scores)} pairwise ones; give one of each for every pair"
            )
        are_finite = np.isfinite(self.global_scores) & np.isfinite(self.scores)
        if not are_finite.all():
            query, item = self.pairs[np.argmin(are_finite)]
            raise UserError(
                f"the score of query {query} and item {item} is not finite; are the weights or "
                "the descriptors broken?"
            )

    @classmethod
    def union(cls, several: Sequence["ScoredPairs"]) -> "ScoredPairs":
        """Each pair once, in the order of queries and items; of several scores the first."""
        pairs, global_scores, scores = (
            np.concatenate([getattr(scored, field.name) for scored in several])
            for field in dataclasses.fields(cls)
        )
        pairs, first = np.unique(pairs, axis=0, return_index=True)
        return cls(pairs, global_scores[first], scores[first])
