"""Geometric verification: do the local parts of two images lie alike?

The local descriptors are the network's own: the positions of its stage-3 maps that are most active,
without attention or another network. All numbers in here are our choice.

Sources: Philbin et al., "Object retrieval with large vocabularies and fast spatial matching" (CVPR
2007), inliers of a transformation as a score; Jégou and Chum, "Negative evidences and
co-occurrences in image retrieval" (ECCV 2012), whitening; Barath et al., "MAGSAC++" (CVPR 2020),
the robust estimate, which is OpenCV's.
"""

import dataclasses

import cv2
import numpy as np

from senet_jax.system.errors import UserError

SMALLEST_VARIANCE = 1e-8
"""Of activations at unit length: what varies less is rounding, and is not blown up further."""
CORNERS = 4
"""As many points determine a homography."""
TOLERANCE = 1.5
"""How far a point may be from where the homography takes its match, in strides: both know their
place to half of one."""


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """Turns the activations of one position into a local descriptor.

    Attributes:
        mean: float32[c], of the activations at unit length.
        projection: float32[c p], the principal axes, each divided by its standard deviation.
    """

    mean: np.ndarray
    projection: np.ndarray

    def __call__(self, activations: np.ndarray) -> np.ndarray:
        """float32[k c] -> float32[k p] of unit length."""
        return _unit((_unit(activations) - self.mean) @ self.projection)


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
        int[k 2], row and column.
    """
    strengths = np.linalg.norm(maps, axis=2).ravel()
    order = np.argsort(-strengths, kind="stable")[: min(count, np.count_nonzero(strengths))]
    return np.stack(np.unravel_index(order, maps.shape[:2]), axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The local parts of an image.

    Attributes:
        points: float32[k 2], x and y in pixels.
        descriptors: float32[k p], of unit length.
        stride: pixels from one point to the next that there could be.
    """

    points: np.ndarray
    descriptors: np.ndarray
    stride: int


def local_features(
    maps: np.ndarray, whitening: Whitening, stride: int, count: int = 500
) -> LocalFeatures:
    """Describes the strongest positions of an image's maps.

    Args:
        maps: float32[h w c], after stage 3.
        whitening: fitted to maps of the same network.
        stride: pixels from one position to the next. Position j looks at the pixel `stride * j`:
            all convolutions are padded by half of their size.
        count: how many positions at most.

    Raises:
        UserError: the maps are of another network.
    """
    if maps.shape[2] != len(whitening.mean):
        raise UserError(
            f"the maps have {maps.shape[2]} channels, the whitening {len(whitening.mean)}; fit it "
            "to maps of the same network"
        )
    positions = strongest_positions(maps, count)
    points = (stride * positions[:, ::-1]).astype(np.float32)
    return LocalFeatures(points, whitening(maps[positions[:, 0], positions[:, 1]]), stride)


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
    query_points, item_points = query.points[matches[:, 0]], item.points[matches[:, 1]]
    agree = np.zeros(len(matches), bool)
    if len(matches) >= CORNERS:
        pixels = TOLERANCE * max(query.stride, item.stride)
        _, mask = cv2.findHomography(query_points, item_points, cv2.USAC_MAGSAC, pixels)
        if mask is not None:
            agree = mask.ravel() > 0
    return Verification(query_points[agree], item_points[agree])
