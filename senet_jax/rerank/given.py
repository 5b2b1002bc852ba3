"""Pair scores that were made elsewhere, in place of a re-ranker that cannot be built here."""

import dataclasses
from typing import Any

import numpy as np

from senet_jax.rerank.pairs import PairCount, ScoredPairs, ScorePairs
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.system.settings import setting


@dataclasses.dataclass(frozen=True)
class GivenScores(PairwiseMethod):
    """Scores of pairs that you bring, from config.pair_scores."""

    mix: float = setting(
        1.0, "weight of a pair's score beside the similarity", at_least=0, at_most=1e6
    )
    needs = "pairs"

    def scorer(self, features: Any, pairs: PairCount) -> ScorePairs:
        """What looks the scores up."""
        return features.scorer(pairs)

    def mixed(self, scored: ScoredPairs) -> np.ndarray:
        """`global + mix score`: float64[p]."""
        return scored.global_scores.astype(float) + self.mix * scored.scores
