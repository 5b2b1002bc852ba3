"""Pictures of where two photographs are alike for the network, as a person looks at them."""

import cv2
import numpy as np

from senet_jax.api import Model
from senet_jax.features.similarity import similarity
from senet_jax.report.pictures import fitted, thumbnail
from senet_jax.weights import Weights

_SIDE, _STEP = 512, 128
"""Photographs are given to the network at a few sizes, so that few programs are compiled."""
_PICTURE_SIDE = 720
_POOLED = ("fused", "head", "s4")
"""The map that the descriptor is pooled from, in networks with a self-similarity module, in
EfficientNet-Lite, and in others."""


class SimilarityPictures:
    """Draws how alike each position of a photograph is to the most similar one of another.

    Args:
        weights: of the network whose last map is compared.
    """

    def __init__(self, weights: Weights):
        self._model = Model(weights)

    def __call__(self, one: np.ndarray, other: np.ndarray) -> tuple[bytes, bytes]:
        """JPEGs of both, brighter where they are more alike, on one scale of colours.

        Args:
            one: uint8[h w 3] BGR.
            other: uint8[h' w' 3] BGR.
        """
        maps = [self._model.maps(_of_few_sizes(image), order="bgr") for image in (one, other)]
        name = next(name for name in _POOLED if name in maps[0])
        alike = similarity(*maps, names=(name,))[name]
        of_one, of_other = alike.max(axis=(2, 3)), alike.max(axis=(0, 1))
        low, high = min(of_one.min(), of_other.min()), max(of_one.max(), of_other.max())
        span = max(float(high - low), np.finfo(np.float32).tiny)
        return (
            _drawn(one, (of_one - low) / span),
            _drawn(other, (of_other - low) / span),
        )


def _of_few_sizes(image: np.ndarray) -> np.ndarray:
    """A photograph with sides of multiples of `_STEP`, up to `_SIDE`."""
    factor = _SIDE / max(image.shape[:2])
    height, width = (max(1, round(side * factor / _STEP)) * _STEP for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _drawn(image: np.ndarray, heat: np.ndarray) -> bytes:
    """A photograph in grey with colours over it: float32[h w] in [0, 1]."""
    picture = fitted(image, _PICTURE_SIDE)
    height, width = picture.shape[:2]
    size = (width, height)
    smooth = cv2.resize(heat.astype(np.float32), size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    colours = cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    shaded = colours * (0.25 + 0.75 * (grey[..., None] / 255))
    return thumbnail(shaded.astype(np.uint8)).jpeg
