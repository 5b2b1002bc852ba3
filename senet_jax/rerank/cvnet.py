"""CVNet-Rerank of shortlists: similarity of descriptors plus half of a score for each pair.

Source: the authors' code of CVNet. Whether SENet's published re-ranking weighs the two alike is not
known.
"""

import dataclasses
from typing import Any, Protocol

import numpy as np

from senet_jax.rerank.pairs import Features, PairCount, ScoredPairs, ScorePairs
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.system.settings import setting


class DenseFeatures(Features, Protocol):
    """Maps of photographs, and the head of their network that scores pairs of them."""

    def scorer(self, pairs: PairCount) -> ScorePairs:
        """The probability that both of a pair show the same, for many pairs at once."""
        ...


@dataclasses.dataclass(frozen=True)
class CVNetRerank(PairwiseMethod):
    """CVNet-Rerank, by correlations of the maps of config.cvnet_weights."""

    weight: float = setting(0.5, "of a pair's score beside the similarity", at_least=0, at_most=100)
    needs = "dense"

    def scorer(self, features: Any, pairs: PairCount) -> ScorePairs:
        """That of the network, in batches; see `DenseFeatures`."""
        return features.scorer(pairs)

    def mixed(self, scored: ScoredPairs) -> np.ndarray:
        """`global + 0.5 score`: float64[p]."""
        return scored.global_scores.astype(np.float64) + self.weight * scored.scores
