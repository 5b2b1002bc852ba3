"""Re-ranking by LightGlue: how many keypoints of two photographs are the same point, how surely.

It stands where the paper's comparison has SuperGlue, and it is another network than that: keypoints
by DISK, matched by LightGlue, with weights of their own.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from senet_jax.models.family import KEYPOINTS, MATCHER
from senet_jax.models.registry import output_of
from senet_jax.rerank.matches import Matches
from senet_jax.rerank.pairs import Features, ScoredPairs
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.system.settings import setting
from senet_jax.weights import Weights


@dataclasses.dataclass(frozen=True)
class LightGlueMatching(PairwiseMethod):
    """Matches of DISK keypoints by LightGlue, scored by the sum of their scores.

    Photographs of other places have some matches too, and no fewer where they are small or seen
    from elsewhere: the score alone puts them in any order. So the similarity counts beside it.
    """

    keypoints: int = setting(
        512, "of each photograph, the strongest", at_least=1, at_most=KEYPOINTS
    )
    side: int = setting(
        1024, "a longer side is shrunk to it before keypoints are found", at_least=64, at_most=8192
    )
    count: bool = setting(False, "score by the number of matches instead")
    weight: float = setting(
        0.002,
        "of a pair's score beside the similarity; 1000: the score alone",
        at_least=0,
        at_most=1000,
    )
    needs = "keypoints"
    is_kept = True
    together: ClassVar[int] = 64
    of_order: ClassVar[frozenset[str]] = frozenset({"top", "weight"})

    def features(self, source: "KeypointSource") -> Features:
        """Those of photographs that are shrunk to the side."""
        return source.at(self.side)

    def score(self, query: Any, item: Any) -> float:
        """The sum of the scores of the matches, or their number."""
        [score] = self.scores([(query, item)])
        return score

    def scores(self, pairs: Sequence[tuple[Any, Any]]) -> list[float]:
        """Those of many pairs."""
        return [
            float(len(scores) if self.count else scores.sum(dtype=np.float64))
            for _, scores in self._matched(pairs)
        ]

    def mixed(self, scored: ScoredPairs) -> np.ndarray:
        """`global + 0.002 score`: float64[p]."""
        return scored.global_scores.astype(float) + self.weight * scored.scores

    def matches(self, query: Any, item: Any) -> Matches:
        """All matches; their scores are from 0.1 to 1."""
        [(indices, scores)] = self._matched([(query, item)])
        return Matches(query.points[indices[:, 0]], item.points[indices[:, 1]], scores)

    def _matched(self, pairs: Sequence[tuple[Any, Any]]) -> list[tuple[np.ndarray, np.ndarray]]:
        matcher = _matcher(pairs[0][0].weights)
        return matcher([(q.first(self.keypoints), i.first(self.keypoints)) for q, i in pairs])


def check_matcher(weights: Weights) -> None:
    """Raises a `UserError` unless the weights find keypoints and match them."""
    output_of(weights.architecture, "keypoints")
    weights.variables([MATCHER])


@functools.lru_cache(1)
def _matcher(weights: Weights) -> Any:
    from senet_jax.rerank.keypoint_matcher import Matcher  # Flax takes a second to import.

    return Matcher(weights)


class KeypointSource(Protocol):
    """Keypoints of photographs that are shrunk."""

    def at(self, side: int) -> Features:
        """`features.keypoints.Keypoints` of photographs, a longer side is shrunk to this one."""
        ...
