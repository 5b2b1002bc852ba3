"""Geometric verification of shortlists, by the number of local features that agree."""

import dataclasses

from senet_jax.features.local_features import LocalFeatures
from senet_jax.rerank.matches import Matches
from senet_jax.rerank.pairwise import PairwiseMethod


@dataclasses.dataclass(frozen=True)
class GeometricVerification(PairwiseMethod):
    """Geometric verification, by inliers among local features of the evaluated network."""

    needs = "local"
    is_kept = True

    def score(self, query: LocalFeatures, item: LocalFeatures) -> float:
        """How many matches agree."""
        return len(self.matches(query, item))

    def matches(self, query: LocalFeatures, item: LocalFeatures) -> Matches:
        """Those that agree."""
        from senet_jax.rerank.geometric import verify

        return verify(query, item)
