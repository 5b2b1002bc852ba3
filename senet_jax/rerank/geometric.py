"""Geometric verification: do the local parts of two images lie alike?

All numbers in here are our choice.

Sources: Philbin et al., "Object retrieval with large vocabularies and fast spatial matching" (CVPR
2007), inliers of a transformation as a score; Barath et al., "MAGSAC++" (CVPR 2020), the robust
estimate, which is OpenCV's.
"""

import cv2
import numpy as np

from senet_jax.features.local_features import LocalFeatures
from senet_jax.rerank.matches import Matches

CORNERS = 4
"""As many points determine a homography."""
TOLERANCE = 1.5
"""How far a point of the item may be from where the homography takes its match, in strides of the
item: both know their place to half of one."""


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


def verify(query: LocalFeatures, item: LocalFeatures) -> Matches:
    """Matches two images and keeps what agrees on a homography; two runs agree to the bit.

    The score of a match is the dot product of its descriptors.
    """
    matches = mutual_matches(query.descriptors, item.descriptors)
    query_points, item_points = query.keypoints[matches[:, 0]], item.keypoints[matches[:, 1]]
    agree = np.zeros(len(matches), bool)
    if len(matches) >= CORNERS:
        pixels = TOLERANCE * item.stride
        _, mask = cv2.findHomography(query_points, item_points, cv2.USAC_MAGSAC, pixels)
        if mask is not None:
            agree = mask.ravel() > 0
    of_query, of_item = matches[agree].T
    scores = (query.descriptors[of_query] * item.descriptors[of_item]).sum(axis=1)
    return Matches(query_points[agree], item_points[agree], scores)
