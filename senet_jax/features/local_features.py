"""Local features of an image: where its most active positions are, and a descriptor of each.

Positions are the network's own, without attention or another network; how many, and how wide the
descriptors are, is our choice.

Source of the whitening: Jégou and Chum, "Negative evidences and co-occurrences in image retrieval"
(ECCV 2012).
"""

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

from senet_jax.system.errors import UserError

SMALLEST_VARIANCE = 1e-8
"""Of activations at unit length: what varies less is rounding, and is not blown up further."""


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


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """Makes a local descriptor of the activations of one position.

    Attributes:
        mean: float32[c], of the activations at unit length.
        projection: float32[c d], the principal axes, each divided by its standard deviation.
    """

    mean: np.ndarray
    projection: np.ndarray

    def __call__(self, activations: np.ndarray) -> np.ndarray:
        """float32[n c] -> float32[n d] of unit length.

        Raises:
            UserError: the activations are of another network.
        """
        if activations.shape[1] != len(self.mean):
            raise UserError(
                f"the maps have {activations.shape[1]} channels, the whitening {len(self.mean)}; "
                "fit it to maps of the same network"
            )
        return _unit((_unit(activations) - self.mean) @ self.projection)

    @property
    def sha256(self) -> str:
        """Tells it from any other."""
        return hashlib.sha256(self.mean.tobytes() + self.projection.tobytes()).hexdigest()


def fit_whitening(activations: np.ndarray, width: int) -> Whitening:
    """Principal component analysis of activations that are typical.

    Args:
        activations: float32[n c], of the strongest positions of some images.
        width: how many components are kept.

    Raises:
        UserError: more components are asked for than there are.
    """
    count, channels = activations.shape
    if not 0 < width <= min(count - 1, channels):
        raise UserError(
            f"{width} components of {count} activations with {channels} channels; ask for fewer, "
            "or take more images"
        )
    samples = _unit(activations).astype(np.float64)
    mean = samples.mean(axis=0)
    centred = samples - mean
    variances, axes = np.linalg.eigh(centred.T @ centred / (count - 1))
    variances, axes = variances[::-1][:width], axes[:, ::-1][:, :width]
    deviations = np.sqrt(np.maximum(variances, SMALLEST_VARIANCE))
    return Whitening(mean.astype(np.float32), (axes / deviations).astype(np.float32))


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows at unit length; a row of zeros stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


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
