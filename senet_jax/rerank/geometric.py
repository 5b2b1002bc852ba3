"""Geometric verification: do the local parts of two images lie alike?

All numbers in here are our choice.

Sources: Philbin et al., "Object retrieval with large vocabularies and fast spatial matching" (CVPR
2007), inliers of a transformation as a score; Barath et al., "MAGSAC++" (CVPR 2020), the robust
estimate, which is OpenCV's.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.features.cache import FeatureCache
from senet_jax.features.local_features import LocalFeatures
from senet_jax.rerank.pairwise import PairCount
from senet_jax.system.progress import Progress

CORNERS = 4
"""As many points determine a homography."""
TOLERANCE = 1.5
"""How far a point may be from where the homography takes its match, in strides: both know their
place to half of one."""
FEATURES_IN_MEMORY = 2048
"""Those of a photograph take 256 KB."""


def mutual_matches(descriptors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pairs that are each other's nearest by dot product; among equals the first.

    Args:
        descriptors: float32[k p].
        others: float32[l p].

    Returns:
        int[m 2], indices into both.
    """
    if not (len(descriptors) and len(others)):
        return np.zeros((0, 2), int)
    products = descriptors @ others.T
    nearest, back = products.argmax(axis=1), products.argmax(axis=0)
    mutual = np.flatnonzero(back[nearest] == np.arange(len(descriptors)))
    return np.stack([mutual, nearest[mutual]], axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Verification:
    """Matches that agree on one homography.

    Attributes:
        query_points: float32[m 2], x and y in pixels.
        item_points: float32[m 2], the points that match them.
    """

    query_points: np.ndarray
    item_points: np.ndarray

    @property
    def inliers(self) -> int:
        """How many agree."""
        return len(self.query_points)


def verify(query: LocalFeatures, item: LocalFeatures) -> Verification:
    """Matches two images and keeps what agrees on a homography; two runs agree to the bit."""
    matches = mutual_matches(query.descriptors, item.descriptors)
    query_points, item_points = query.keypoints[matches[:, 0]], item.keypoints[matches[:, 1]]
    agree = np.zeros(len(matches), bool)
    if len(matches) >= CORNERS:
        pixels = TOLERANCE * max(query.stride, item.stride)
        _, mask = cv2.findHomography(query_points, item_points, cv2.USAC_MAGSAC, pixels)
        if mask is not None:
            agree = mask.ravel() > 0
    return Verification(query_points[agree], item_points[agree])


class InlierCounts:
    """Scores pairs of a query and an item by the number of inliers, none of them twice.

    Args:
        cache: local features of photographs; see `whitening.local_feature_cache`.
        queries: photographs with their boxes.
        images: the database, and its distractors.
        count: counts the pairs.
    """

    def __init__(
        self,
        cache: FeatureCache,
        queries: Sequence[Photograph],
        images: Sequence[Photograph],
        count: PairCount,
    ):
        self._cache, self._queries, self._images = cache, queries, images
        self._count = count
        self._inliers: dict[tuple[int, int], int] = {}
        self._features = functools.lru_cache(FEATURES_IN_MEMORY)(self._read)

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        """How many points of both agree: int64[p 2] -> float32[p].

        Raises:
            UnreadableImage: a photograph cannot be read.
            UserError: a box is not in its image, or the folder of the features cannot be written.
        """
        keys = [(query, item) for query, item in pairs.tolist()]
        missing = [key for key in dict.fromkeys(keys) if key not in self._inliers]
        self._count.compared += len(keys)
        self._count.computed += len(missing)
        photographs = [(self._queries[query], self._images[item]) for query, item in missing]
        of_missing = list(dict.fromkeys(itertools.chain(*photographs)))
        self._cache.fill(of_missing, "geometric, local features")
        progress = Progress("geometric, verifying", len(missing), "pairs")
        for key, pair in zip(missing, photographs, strict=True):
            self._inliers[key] = verify(*map(self._features, pair)).inliers
            progress.advance()
        return np.array([self._inliers[key] for key in keys], np.float32)

    def _read(self, photograph: Photograph) -> LocalFeatures:
        return LocalFeatures.of(self._cache[photograph])
