"""Pairs of a query and an item of the database: their scores, and the features they come from."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from senet_jax.system.errors import UserError

ScorePairs = Callable[[np.ndarray], np.ndarray]
"""int[p 2] of queries and items -> float32[p], higher is more alike."""


class Features(Protocol):
    """The features of one kind of all queries and of all items of a database."""

    def query(self, index: int) -> Any:
        """Those of a query."""

    def item(self, index: int) -> Any:
        """Those of an item."""


@dataclasses.dataclass
class PairCount:
    """How many pairs of images were compared so far, and how many of them were computed."""

    compared: int = 0
    computed: int = 0


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
