"""Re-ranking that looks at pairs of a query and an item, of a shortlist only."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from senet_jax.rerank.journal import Journal
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
        is_kept: whether scores are kept on disk beside features that are; then they have to be the
            same as long as this package's version is.
        of_order: the settings that decide over the order alone, and not over the scores.
    """

    together: ClassVar[int] = 1
    is_kept: ClassVar[bool] = False
    of_order: ClassVar[frozenset[str]] = frozenset({"top"})

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
        settings = {k: v for k, v in dataclasses.asdict(self).items() if k not in self.of_order}
        journal = features.journal(type(self).__name__, settings) if self.is_kept else Journal()
        return _EachOnce(self, features, journal, pairs)

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
        method: scores them.
        features: of queries and items.
        journal: what is known of pairs, and is to be.
        count: counts the pairs.
    """

    def __init__(
        self, method: PairwiseMethod, features: Features, journal: Journal, count: PairCount
    ):
        self._method, self._features = method, features
        self._journal, self._count = journal, count

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        """int[p 2] -> float32[p]."""
        features, together = self._features, self._method.together
        keys = [features.key(query, item) for query, item in pairs.tolist()]
        missing = self._count.lookup(keys, self._journal)
        pairs_of = {k: pair for k, pair in zip(keys, pairs.tolist(), strict=True) if k in missing}
        start = time.monotonic()
        features.prepare(np.array(list(pairs_of.values()), np.int64).reshape(-1, 2))
        self._count.feature_seconds += time.monotonic() - start
        unknown = list(pairs_of)
        progress = Progress("verifying", len(unknown), "pairs")
        for first in range(0, len(unknown), together):
            start = time.monotonic()
            part = unknown[first : first + together]
            of_part = [
                (features.query(query), features.item(item))
                for query, item in (pairs_of[key] for key in part)
            ]
            scores = self._method.scores(of_part)
            self._journal.add(part, scores, time.monotonic() - start)
            progress.advance(len(part))
        return np.array([self._journal.known[key].score for key in keys], np.float32)
