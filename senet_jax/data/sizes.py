"""How large photographs are, read off the heads of their files."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from senet_jax.data.revisitop import Photograph, read_image
from senet_jax.data.transforms import UnreadableImage, box_slices
from senet_jax.errors import UserError
from senet_jax.progress import Progress
from senet_jax.threads import in_order

# Those that are large in number and tell all in their heads. A PNG's orientation may stand at its
# end.
_FORMATS = ("BMP", "JPEG", "WEBP")
_ORIENTATION, _UPRIGHT = 0x0112, 1
# Pillow refuses to open very large images; here nothing of them is decoded.
Image.MAX_IMAGE_PIXELS = None


def photograph_size(photograph: Photograph) -> tuple[int, int]:
    """Height and width of what is described of a photograph: its box, or all of it.

    They are those of the decoded image, which is turned as its EXIF orientation says.

    Raises:
        UnreadableImage: the file is missing or no image.
        UserError: the box is empty or outside of the image.
    """
    height, width = _size_in_head(photograph.path) or read_image(photograph.path).shape[:2]
    if photograph.box is None:
        return height, width
    try:
        rows, columns = box_slices(photograph.box, height, width)
    except UserError as error:
        raise UserError(f"{photograph.path}: {error}") from error
    return rows.stop - rows.start, columns.stop - columns.start


def _size_in_head(path: pathlib.Path) -> tuple[int, int] | None:
    """Height and width of an upright image, None if its head does not tell.

    Pillow and OpenCV do not heed an orientation in the same cases, so one that is not upright is
    for OpenCV to apply.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            upright = image.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT
            return image.size[::-1] if upright else None
    except Exception:  # Pillow raises anything at broken files; OpenCV says what is wrong.
        return None


def photograph_sizes(
    photographs: Sequence[Photograph], *, label: str, skip_unreadable: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """The sizes of many photographs.

    Args:
        photographs: which ones.
        label: of the line of progress.
        skip_unreadable: give an unreadable image the size 0x0 instead of stopping.

    Returns:
        Heights and widths, int64[n 2], and why each row that is 0x0 could not be read.

    Raises:
        UnreadableImage: an image cannot be read, and such images are not to be skipped.
        UserError: a box is empty or outside of its image.
    """

    def size(photograph: Photograph) -> tuple[int, int] | UnreadableImage:
        try:
            return photograph_size(photograph)
        except UnreadableImage as error:
            return error

    sizes = np.zeros((len(photographs), 2), np.int64)
    unreadable = {}
    progress = Progress(f"{label}, sizes", len(photographs), "images")
    for row, result in enumerate(in_order(size, photographs, 2 * (os.cpu_count() or 1))):
        if not isinstance(result, UnreadableImage):
            sizes[row] = result
        elif skip_unreadable:
            unreadable[row] = str(result)
        else:
            raise result
        progress.advance()
    return sizes, unreadable
