"""Geometric verification of shortlists, by the number of local features that agree."""

import dataclasses
from typing import ClassVar

from senet_jax.rerank.geometric import LocalFeatures, verify
from senet_jax.rerank.pairwise import PairwiseMethod


@dataclasses.dataclass(frozen=True)
class GeometricVerification(PairwiseMethod):
    """Geometric verification, by inliers among local features of the evaluated network."""

    needs: ClassVar[str] = "local"

    def score(self, query: LocalFeatures, item: LocalFeatures) -> float:
        """How many matches agree."""
        return verify(query, item).inliers
