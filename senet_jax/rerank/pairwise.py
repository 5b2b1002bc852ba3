"""Re-ranking that looks at pairs of a query and an item, of a shortlist only."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from senet_jax.rerank.matches import Matches
from senet_jax.rerank.method import Method, Prepared, Resources
from senet_jax.rerank.pairs import Features, PairCount, ScoredPairs, ScorePairs
from senet_jax.rerank.retrieval import Retrieval, reordered, shortlists, similarities
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress
from senet_jax.system.settings import setting


@dataclasses.dataclass(frozen=True)
class PairwiseMethod(Method):
    """Brings a shortlist into the order of the scores of its pairs; among equals the order stays.

    A method overrides `score`, and says in `needs` what features it takes; one that scores many
    pairs at once overrides `scores`, and one that finds the same points in both `matches`.

    Attributes:
        together: how many pairs are scored at once.
    """

    together: ClassVar[int] = 1

    top: int = setting(
        100,
        "how many items of a list are scored; of a shorter one, all",
        at_least=1,
        config_key="rerank_top",
    )

    def score(self, query: Any, item: Any) -> float:
        """How alike two images are, by their features; higher is more alike."""
        raise NotImplementedError

    def scores(self, pairs: Sequence[tuple[Any, Any]]) -> Sequence[float]:
        """The scores of several pairs, of a query's features and an item's each."""
        return [self.score(query, item) for query, item in pairs]

    def matches(self, query: Any, item: Any) -> Matches:
        """Which points of two images are the same, by their features: for people to look at.

        Raises:
            UserError: see `check_points`.
        """
        self.check_points()
        raise NotImplementedError

    def check_points(self) -> None:
        """Checks that the method finds points, before features are made.

        Raises:
            UserError: it compares images without finding such points.
        """
        if type(self).matches is PairwiseMethod.matches:
            raise UserError(
                f"{type(self).__name__} finds no points that are the same in two photographs; "
                "choose a method that does, such as geometric"
            )

    def features(self, source: Any) -> Features:
        """What it takes of the features of its kind that there are."""
        return source

    def scorer(self, features: Features, pairs: PairCount) -> ScorePairs:
        """What scores pairs by the features of a database, and counts them."""
        return _EachOnce(self.scores, self.together, features, pairs)

    def mixed(self, scored: ScoredPairs) -> np.ndarray:
        """What the order goes by: float64[p]."""
        return scored.scores.astype(np.float64)

    def prepare(self, database: BlockedDatabase, resources: Resources) -> Prepared:
        """See `Reranker`; the features are made where they are asked for."""
        if self.needs not in resources.features:
            raise UserError(
                f"{type(self).__name__} looks at {self.needs} features of photographs, and there "
                "are none here; provide them"
            )
        score_pairs = self.scorer(self.features(resources.features[self.needs]), resources.pairs)
        on_scored = functools.partial(resources.on_scored, self)
        rerank = functools.partial(self._rerank, score_pairs, on_scored)
        return Prepared(database, database, rerank)

    def _rerank(
        self,
        score_pairs: ScorePairs,
        on_scored: Callable[[ScoredPairs], None],
        retrieval: Retrieval,
    ) -> Retrieval:
        ranks = retrieval.ranked.ranks[:, : self.top]
        are_ranked, global_scores = np.zeros(ranks.shape, bool), np.zeros(ranks.shape, np.float32)
        for part in shortlists(retrieval, self.top):
            are_ranked[part.rows] = part.are_ranked
            global_scores[part.rows] = similarities(part.queries, part.descriptors)
        queries, places = np.nonzero(are_ranked)
        pairs = np.stack([queries, ranks[queries, places]], axis=1)
        scored = ScoredPairs(pairs, global_scores[queries, places], score_pairs(pairs))
        on_scored(scored)
        mixed = np.full(ranks.shape, -np.inf)
        mixed[queries, places] = self.mixed(scored)
        return reordered(retrieval, mixed)


class _EachOnce:
    """Scores pairs, none of them twice.

    Args:
        scores: of the features of several queries and items, see `PairwiseMethod`.
        together: how many it takes at once.
        features: of all of them.
        count: counts the pairs.
    """

    def __init__(
        self,
        scores: Callable[[Sequence[tuple[Any, Any]]], Sequence[float]],
        together: int,
        features: Features,
        count: PairCount,
    ):
        self._scores, self._together = scores, together
        self._features, self._count = features, count
        self._known: dict[tuple[int, int], float] = {}

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        """int[p 2] -> float32[p]."""
        keys = [(query, item) for query, item in pairs.tolist()]
        missing = [key for key in dict.fromkeys(keys) if key not in self._known]
        self._count.compared += len(keys)
        self._count.computed += len(missing)
        self._features.prepare(np.array(missing, np.int64).reshape(-1, 2))
        progress = Progress("verifying", len(missing), "pairs")
        for start in range(0, len(missing), self._together):
            part = missing[start : start + self._together]
            features = self._features
            pairs_of_part = [(features.query(query), features.item(item)) for query, item in part]
            self._known |= zip(part, self._scores(pairs_of_part), strict=True)
            progress.advance(len(part))
        return np.array([self._known[key] for key in keys], np.float32)
