"""DELG's geometric verification: how many local features lie as one affine transformation has it.

Source: the public code of DELG (tensorflow/models, research/delf), whose inliers it has to the last
one with scikit-image 0.26; see `ransac`.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from senet_jax.features.local_features import LocalFeatures
from senet_jax.rerank import ransac
from senet_jax.rerank.matches import Matches
from senet_jax.rerank.pairs import ScoredPairs
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.system.errors import UserError
from senet_jax.system.settings import setting


@dataclasses.dataclass(frozen=True)
class AffineVerification(PairwiseMethod):
    """DELG's geometric verification, by inliers of an affine transformation.

    The order is that of the inliers, then of the similarity, then of the database.
    """

    distance: float = setting(
        1.0,
        "below which a query's feature and the item's nearest one match; 0.9 for DELF",
        at_least=0,
    )
    pixels: float = setting(
        20.0, "of the query, below which a match agrees; 10 for DELF", at_least=0, at_most=1e6
    )
    trials: int = setting(1000, "how many samples are drawn", at_least=1, at_most=100_000)
    seed: int = setting(0, "of the samples", at_least=0)
    early_stop: bool = setting(
        True, "end, as scikit-image 0.26 does, when more samples could find nothing better"
    )
    needs = "local"
    is_kept = True
    ties: ClassVar[str] = "the more similar one is first, then the lower index"

    def score(self, query: LocalFeatures, item: LocalFeatures) -> float:
        """How many matches agree."""
        return len(self._agreeing(query, item))

    def matches(self, query: LocalFeatures, item: LocalFeatures) -> Matches:
        """Those that agree; the score of a match is the dot product of its descriptors."""
        of_query, of_item = self._agreeing(query, item).T
        scores = (query.descriptors[of_query] * item.descriptors[of_item]).sum(axis=1)
        return Matches(query.keypoints[of_query], item.keypoints[of_item], scores)

    def mixed(self, scored: ScoredPairs) -> np.ndarray:
        """The places in the order of inliers and similarity: float64[p]."""
        keys = scored.scores, scored.global_scores, -scored.pairs[:, 1]
        _, places = np.unique(np.stack(keys, axis=1, dtype=float), axis=0, return_inverse=True)
        return places.astype(float)

    def _agreeing(self, query: LocalFeatures, item: LocalFeatures) -> np.ndarray:
        """int[m 2], indices into both."""
        found = nearest_matches(query.descriptors, item.descriptors, self.distance)
        of_query, of_item = found.T
        if len(found) <= ransac.SAMPLE:
            return found[:0]
        agree = ransac.inliers(
            item.keypoints[of_item].astype(float),
            query.keypoints[of_query].astype(float),
            pixels=self.pixels,
            trials=self.trials,
            seed=self.seed,
            early_stop=self.early_stop,
        )
        return found[agree]


def nearest_matches(descriptors: np.ndarray, others: np.ndarray, distance: float) -> np.ndarray:
    """Each descriptor with the nearest of others that is nearer than a distance; L2, the first.

    Args:
        descriptors: float32[k d].
        others: float32[l d]; one may match several.
        distance: a match is strictly below it.

    Returns:
        int[m 2], indices into both, in the order of the first.

    Raises:
        UserError: one is wider than the other.
    """
    if not (len(descriptors) and len(others)):
        return np.zeros((0, 2), int)
    if descriptors.shape[1] != others.shape[1]:
        raise UserError(
            f"local descriptors have {descriptors.shape[1]} and {others.shape[1]} numbers; compare "
            "those of one kind"
        )
    # Of a row's squared distances, the descriptor's own square changes nothing.
    nearest = ((others**2).sum(axis=1) - 2 * descriptors @ others.T).argmin(axis=1)
    difference = descriptors.astype(float) - others[nearest]
    is_near = np.sqrt((difference**2).sum(axis=1)) < distance
    return np.stack([np.flatnonzero(is_near), nearest[is_near]], axis=1)
