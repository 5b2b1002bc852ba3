"""Re-ranking that looks at pairs of a query and an item, of a shortlist only."""

import csv
import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np

from senet_jax.rerank.retrieval import Retrieval, reordered, shortlists, similarities
from senet_jax.system.errors import UserError
from senet_jax.system.files import written_whole

ScorePairs = Callable[[np.ndarray], np.ndarray]
"""int[p 2] of queries and items -> float32[p], higher is more alike."""


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

    def save(self, path: str | os.PathLike) -> None:
        """Writes a CSV file `query,item,global,score` with a line for each pair.

        Raises:
            UserError: the file cannot be written.
        """
        with written_whole(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("query", "item", "global", "score"))
            columns = self.global_scores.tolist(), self.scores.tolist()
            for (query, item), *scores in zip(self.pairs.tolist(), *columns, strict=True):
                # Nine digits tell all float32 numbers apart.
                writer.writerow((query, item, *(f"{score:.9g}" for score in scores)))


@dataclasses.dataclass(frozen=True)
class PairwiseRerank:
    """Brings a shortlist into the order of the scores of its pairs; among equals the order stays.

    Attributes:
        score_pairs: scores each pair of a query and an item.
        top: how many items of a list are scored; of a shorter one, all.
        on_scored: takes what was scored, to save it for instance.

    Raises:
        UserError: the shortlist is empty.
    """

    score_pairs: ScorePairs
    top: int = 100
    on_scored: Callable[[ScoredPairs], None] = lambda scored: None

    def __post_init__(self):
        if self.top < 1:
            raise UserError(f"a shortlist of {self.top} items to score; take one at least")

    def mixed(self, scored: ScoredPairs) -> np.ndarray:
        """What the order goes by: float64[p]."""
        return scored.scores.astype(np.float64)

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """The same queries with other ranks."""
        ranks = retrieval.ranked.ranks[:, : self.top]
        are_ranked, global_scores = np.zeros(ranks.shape, bool), np.zeros(ranks.shape, np.float32)
        for part in shortlists(retrieval, self.top):
            are_ranked[part.rows] = part.are_ranked
            global_scores[part.rows] = similarities(part.queries, part.descriptors)
        queries, places = np.nonzero(are_ranked)
        pairs = np.stack([queries, ranks[queries, places]], axis=1)
        scored = ScoredPairs(pairs, global_scores[queries, places], self.score_pairs(pairs))
        self.on_scored(scored)
        mixed = np.full(ranks.shape, -np.inf)
        mixed[queries, places] = self.mixed(scored)
        return reordered(retrieval, mixed)
