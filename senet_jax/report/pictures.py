"""Photographs as a report shows them: small, a query with its box."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.data.synthetic_landmarks import redrawn
from senet_jax.data.transforms import box_slices

Verdict = Literal["right", "look-alike", "wrong", "junk"]

# Colour-blind eyes can tell them apart: green and blue are those of Okabe and Ito (2008).
COLOURS: dict[Verdict, str] = {
    "right": "#009e73",
    "look-alike": "#0072b2",
    "wrong": "#d0342c",
    "junk": "#9aa3aa",
}
LOOKALIKES_ARE = "A look-alike is another building, of the same parts in another arrangement."
BOX, _AROUND_THE_BOX = "#ffd23f", "#22272b"
_JPEG_QUALITY = 75


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """A small picture as a file.

    Attributes:
        jpeg: the bytes of the file.
        height: in pixels.
        width: in pixels.
    """

    jpeg: bytes
    height: int
    width: int


def readable(photograph: Photograph, side: int) -> tuple[np.ndarray, Sequence[float] | None]:
    """A photograph as people can see it, and its box.

    Args:
        photograph: of any dataset.
        side: of the picture that will be shown, in pixels. A generated scene is drawn so large;
            any other photograph is as its file has it.

    Returns:
        uint8[h w 3] BGR, and the box (x1, y1, x2, y2) in its pixels, or None.

    Raises:
        UnreadableImage: its file holds no image.
    """
    return redrawn(photograph, side) or (photograph.read(), photograph.box)


def fitted(image: np.ndarray, side: int) -> np.ndarray:
    """A photograph, uint8[h w 3] BGR, as RGB, its longer side as long as asked for."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=interpolation)[..., ::-1]


def fitted_query(image: np.ndarray, box: Sequence[float] | None, side: int) -> np.ndarray:
    """The same of a query, with its box drawn into it.

    Args:
        image: uint8[h w 3] BGR.
        box: (x1, y1, x2, y2) in pixels of the image, or None.
        side: of the picture, in pixels.

    Raises:
        UserError: the box is none of the image; see `box_slices`.
    """
    picture = fitted(image, side)
    if box is None:
        return picture
    height, width = image.shape[:2]
    rows, columns = box_slices(box, height, width)
    factor = len(picture) / height
    first, last = (
        (round(x * factor), round(y * factor))
        for x, y in ((columns.start, rows.start), (columns.stop, rows.stop))
    )
    picture = np.ascontiguousarray(picture)
    for colour, thickness in ((_AROUND_THE_BOX, 5), (BOX, 2)):
        cv2.rectangle(picture, first, last, rgb(colour), thickness)
    return picture


def thumbnail(picture: np.ndarray) -> Thumbnail:
    """A picture, uint8[h w 3] RGB, as a small JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, content = cv2.imencode(".jpg", picture[..., ::-1], options)
    return Thumbnail(content.tobytes(), *picture.shape[:2])


def rgb(colour: str) -> tuple[int, ...]:
    """The three numbers of a colour such as #ffd23f."""
    return tuple(bytes.fromhex(colour.removeprefix("#")))
