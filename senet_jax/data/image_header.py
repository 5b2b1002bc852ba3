"""What the header of an image file says of its size, for photographs that are not decoded yet."""

import dataclasses
import functools
import os
import struct
import warnings
from collections.abc import Sequence
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from senet_jax.system.files import open_regular

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# Pillow warns of very large images, refuses larger ones, and warns of odd EXIF; here nothing is
# decoded by it.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """The size that a header claims.

    Attributes:
        height: in pixels.
        width: in pixels.
        is_upright: whether height and width are those of the decoded image; if not, they may have
            to be exchanged.
    """

    height: int
    width: int
    is_upright: bool

    @property
    def pixels(self) -> int:
        """How many pixels the image has."""
        return self.height * self.width


def read_header(path: str | os.PathLike) -> Header | None:
    """The header of an image file; None if it cannot be opened, and see `parse_header`."""
    try:
        with open_regular(path) as file:
            return parse_header(file)
    except (OSError, ValueError):
        return None


def parse_header(file: BinaryIO) -> Header | None:
    """Reads an image's header; None if there is none, or none that Pillow understands.

    A JPEG's header holds all that determines its size. Whether EXIF exchanges its sides is asked of
    OpenCV, which applies EXIF in other cases than Pillow does. The orientation of other formats may
    stand at the end of the file.
    """
    try:
        with Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if not isinstance(image, JpegImageFile):
                return Header(height, width, is_upright=False)
            exif = [segment for name, segment in image.applist if name == "APP1"]
    except Exception:  # Pillow raises anything at broken files; OpenCV says what is wrong.
        return None
    if exif and _exchanges_sides(exif):
        height, width = width, height
    return Header(height, width, is_upright=True)


def _exchanges_sides(segments: Sequence[bytes]) -> bool:
    """Whether OpenCV exchanges the sides of a JPEG that has such segments APP1."""
    parts = (b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment for segment in segments)
    start, rest = _flat_jpeg()
    image = cv2.imdecode(np.frombuffer(start + b"".join(parts) + rest, np.uint8), cv2.IMREAD_COLOR)
    return image is not None and image.shape[0] > image.shape[1]


@functools.cache
def _flat_jpeg() -> tuple[bytes, bytes]:
    """A JPEG that is wider than it is high, in two parts: its first marker and all else."""
    content = cv2.imencode(".jpg", np.zeros((1, 2, 3), np.uint8))[1].tobytes()
    return content[:2], content[2:]
