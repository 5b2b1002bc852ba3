"""The pixels of a photograph at several scales."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from senet_jax.data.revisitop import Photograph, PlacedPixels
from senet_jax.data.sizes import check_pixels, checked_header
from senet_jax.data.transforms import MOST_PIXELS, UnreadableImage, resize
from senet_jax.system.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Pyramid:
    """The pixels of a photograph, or of its box.

    Attributes:
        size: height and width.
        corner: x and y of the upper left corner, in pixels of the photograph.
        step: how many pixels of the photograph, along a side, are one of these.
        levels: uint8[h w 3] BGR for each scale.
    """

    size: tuple[int, int]
    corner: tuple[float, float]
    step: float
    levels: list[np.ndarray]


def read_part(photograph: Photograph) -> PlacedPixels:
    """Reads a photograph, cuts its box out, and shrinks that if its long side is to be smaller.

    Raises:
        UnreadableImage: the file is missing or no image.
        UserError: the box is empty or outside of the image.
    """
    part = image = photograph.read_placed()
    if photograph.box is not None:
        try:
            part = image.cut(photograph.box)
        except UserError as error:
            raise UserError(f"{photograph.path}: {error}") from error
    if photograph.long_side is None:
        return part
    whole, own = (max(placed.pixels.shape[:2]) for placed in (image, part))
    return part.within(photograph.long_side * own / whole)


def why_unreadable(photograph: Photograph, most_pixels: int) -> str | None:
    """Why a photograph cannot be described with so many pixels, None if it can."""
    try:
        checked_header(photograph, most_pixels)
        height, width = read_part(photograph).pixels.shape[:2]
        check_pixels(photograph, height, width, most_pixels)
    except UnreadableImage as error:
        return str(error)
    return None


def read_pyramid(
    photograph: Photograph, scales: Sequence[float], most_pixels: int = MOST_PIXELS
) -> Pyramid:
    """Reads a photograph, see `read_part`, and resizes it to each scale.

    Raises:
        UnreadableImage: the file is missing, no image, or has more pixels than may be described.
        UserError: the box is empty or outside of the image.
    """
    part = read_part(photograph)
    height, width = size = part.pixels.shape[:2]
    check_pixels(photograph, height, width, most_pixels)
    levels = [resize(part.pixels, scale) for scale in scales]
    return Pyramid(size, part.corner, part.step, levels)
