"""CVNet-Rerank of shortlists: similarity of descriptors plus half of a score for each pair.

Source: the authors' code of CVNet. Whether SENet's published re-ranking weighs the two alike is not
known.
"""

import numpy as np

from senet_jax.rerank.pairwise import PairwiseRerank, ScoredPairs

SCORE_WEIGHT = 0.5


class CVNetRerank(PairwiseRerank):
    """The order of `global + 0.5 score`; for `score_pairs` see `pair_scores.PairScores`."""

    def mixed(self, scored: ScoredPairs) -> np.ndarray:
        """What the order goes by: float64[p]."""
        return scored.global_scores.astype(np.float64) + SCORE_WEIGHT * scored.scores
