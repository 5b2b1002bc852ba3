"""Photographs shrunk by Pillow, as cirtorch's evaluation does it."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

_REDUCING_GAP = 2.0
"""That of Pillow's own `thumbnail`: far larger images are first reduced by whole numbers."""


def thumbnail(image: np.ndarray, side: float) -> np.ndarray:
    """An image with sides of at most so many pixels, by a Lanczos filter; smaller ones stay.

    As `Image.thumbnail` gives it.

    Args:
        image: uint8[h w 3].
        side: in pixels; a fraction is dropped.

    Returns:
        uint8[h' w' 3] with `(h', w') == thumbnail_size(h, w, side)`.
    """
    height, width = image.shape[:2]
    size = thumbnail_size(height, width, side)
    if size == (height, width):
        return image
    height, width = size
    shrunk = Image.fromarray(image).resize(
        (width, height), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP
    )
    return np.asarray(shrunk)


def thumbnail_size(height: int, width: int, side: float) -> tuple[int, int]:
    """The height and the width that `thumbnail` gives, without an image.

    Of the two sizes around the exact one it is that whose shape is nearer to the image's.
    """
    long_side = max(1, math.floor(side))
    if long_side >= max(height, width):
        return height, width
    shape = width / height
    if shape > 1:
        return _nearest(long_side / shape, shape, lambda short: long_side / short), long_side
    return long_side, _nearest(long_side * shape, shape, lambda short: short / long_side)


def _nearest(exact: float, shape: float, shape_of: Callable[[int], float]) -> int:
    sides = (max(1, math.floor(exact)), max(1, math.ceil(exact)))
    return min(sides, key=lambda side: abs(shape - shape_of(side)))
