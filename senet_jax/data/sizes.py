"""How large photographs are, read off the headers of their files where those tell."""

from collections.abc import Sequence

import numpy as np

from senet_jax.data.image_header import Header
from senet_jax.data.revisitop import Photograph
from senet_jax.data.thumbnail import thumbnail_size
from senet_jax.data.transforms import MOST_PIXELS, TooLargeImage, UnreadableImage, box_slices
from senet_jax.system.errors import UserError, printable
from senet_jax.system.progress import Progress
from senet_jax.system.threads import in_order, usable_cores

# What is no JPEG is decoded, and as many are in memory.
_MOST_THREADS = 32


def photograph_size(
    photograph: Photograph, most_pixels: int = MOST_PIXELS, by_header: bool = True
) -> tuple[int, int]:
    """Height and width of what is described of a photograph: its box, or all of it.

    They are those of the decoded image, upright as its EXIF orientation says.

    Args:
        photograph: which one.
        most_pixels: how many pixels may be described.
        by_header: believe the header of a JPEG, which is not decoded then; a wrong one gives a
            wrong size.

    Raises:
        UnreadableImage: the file is missing, no image, or too large.
        UserError: the box is empty or outside of the image.
    """
    header = checked_header(photograph, most_pixels)
    if by_header and header is not None and header.is_upright:
        height, width = header.height, header.width
    else:
        height, width = photograph.read().shape[:2]
    whole = max(height, width)
    if photograph.box is not None:
        try:
            rows, columns = box_slices(photograph.box, height, width)
        except UserError as error:
            raise UserError(f"{photograph.path}: {error}") from error
        height, width = rows.stop - rows.start, columns.stop - columns.start
    if photograph.long_side is not None:
        side = photograph.long_side * max(height, width) / whole
        height, width = thumbnail_size(height, width, side)
    check_pixels(photograph, height, width, most_pixels)
    return height, width


def checked_header(photograph: Photograph, most_pixels: int) -> Header | None:
    """The header of a photograph, see `read_header`; nothing is decoded.

    Raises:
        TooLargeImage: it claims more pixels than may be described, and all of them are.
    """
    header = photograph.header()
    if header is not None and photograph.box is None and photograph.long_side is None:
        check_pixels(photograph, header.height, header.width, most_pixels)
    return header


def check_pixels(photograph: Photograph, height: int, width: int, most_pixels: int) -> None:
    """Raises a `TooLargeImage` where more pixels are to be described than may be."""
    most = min(most_pixels, MOST_PIXELS)
    if height * width > most:
        raise TooLargeImage(
            f"{printable(str(photograph.path))} has {width}x{height} pixels to describe, the "
            f"memory suffices for {most:,}; make it smaller, leave it out, or give smaller scales"
        )


def photograph_sizes(
    photographs: Sequence[Photograph],
    *,
    label: str,
    skip_unreadable: bool,
    most_pixels: int = MOST_PIXELS,
    by_header: bool = True,
) -> tuple[np.ndarray, dict[int, str]]:
    """The sizes of many photographs.

    Args:
        photographs: which ones.
        label: of the line of progress.
        skip_unreadable: give an unreadable image the size 0x0 instead of stopping.
        most_pixels: how many pixels of each may be described; a larger one is unreadable.
        by_header: see `photograph_size`.

    Returns:
        Heights and widths, int64[n 2], and why each row that is 0x0 could not be read.

    Raises:
        UnreadableImage: an image cannot be read, and such images are not to be skipped.
        UserError: a box is empty or outside of its image.
    """

    def size(photograph: Photograph) -> tuple[int, int] | UnreadableImage:
        try:
            return photograph_size(photograph, most_pixels, by_header)
        except UnreadableImage as error:
            return error

    sizes = np.zeros((len(photographs), 2), np.int64)
    unreadable = {}
    progress = Progress(f"{label}, sizes", len(photographs), "images")
    threads = min(2 * usable_cores(), _MOST_THREADS)
    for row, result in enumerate(in_order(size, photographs, threads)):
        if not isinstance(result, UnreadableImage):
            sizes[row] = result
        elif skip_unreadable:
            unreadable[row] = str(result)
        else:
            raise result
        progress.advance()
    return sizes, unreadable
