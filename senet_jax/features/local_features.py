"""Local features of an image: where its most active positions are, and a descriptor of each.

Positions are the network's own, without attention or another network; how many, and how wide the
descriptors are, is our choice. They are whitened, see `search.whitening`.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The local parts of an image.

    Attributes:
        keypoints: float32[n 2], x and y in pixels of the whole photograph, upright and at its own
            size; pixel centres are integers.
        descriptors: float32[n d], of unit length.
        scores: float32[n], how active each is; the first is the most active one.
        scales: float32[n], the scale of the photograph at which each was found.
        stride: pixels of the photograph from one keypoint to the next that there could be.
    """

    keypoints: np.ndarray
    descriptors: np.ndarray
    scores: np.ndarray
    scales: np.ndarray
    stride: float

    @classmethod
    def of(cls, value: Mapping[str, np.ndarray]) -> "LocalFeatures":
        """From the arrays that a network gave, or that were kept."""
        return cls(
            keypoints=value["keypoints"],
            descriptors=value["descriptors"],
            scores=value["scores"],
            scales=value["scales"],
            stride=float(value["stride"]),
        )

    def only(self, chosen: np.ndarray) -> "LocalFeatures":
        """Some of them: bool[n]."""
        return LocalFeatures(
            self.keypoints[chosen],
            self.descriptors[chosen],
            self.scores[chosen],
            self.scales[chosen],
            self.stride,
        )


def strongest_positions(maps: np.ndarray, count: int) -> np.ndarray:
    """The positions with the longest activations, strongest first; silent ones never.

    Args:
        maps: float32[h w c], not negative, as after a ReLU.
        count: how many at most.

    Returns:
        int[n 2], row and column.
    """
    strengths = np.linalg.norm(maps, axis=2).ravel()
    order = np.argsort(-strengths, kind="stable")[: min(count, np.count_nonzero(strengths))]
    return np.stack(np.unravel_index(order, maps.shape[:2]), axis=1)
