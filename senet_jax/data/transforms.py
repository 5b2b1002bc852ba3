"""From the bytes of a photograph to the numbers a network takes.

Decoding, cropping and resizing are OpenCV's, as in the authors' inference code: another library's
resizing, or OpenCV's own towards a given size, changes most of the pixels. Only HEIF (HEIC), which
OpenCV does not know, is decoded by pillow-heif.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from senet_jax.system.errors import UserError, reason
from senet_jax.system.optional import install_command

MOST_PIXELS = 2**30
"""Of an image that OpenCV decodes."""

_JPEG_START, _JPEG_PIXELS, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
# Where a file ends libjpeg reads the end of an image, as often as it asks for more: for a segment
# of 64 KB at most.
_MOST_ENDS = 2**15
_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")


class UnreadableImage(UserError):
    """A photograph that cannot be read: missing, no image, cut short, or refused for its size."""


class TooLargeImage(UnreadableImage):
    """A photograph of more pixels than the memory suffices for."""


def decode(content: bytes, reduction: int = 1) -> np.ndarray:
    """The pixels of an image file, upright: the EXIF orientation is applied.

    Args:
        content: the bytes of the file, in any format that OpenCV reads, or HEIF.
        reduction: 1, 2, 4 or 8: sides are divided by it, in a JPEG before its blocks of
            frequencies become pixels, which takes less time. HEIFs stay as large as they are.

    Returns:
        uint8[h w 3] in the order BGR, equal to what `cv2.imread` gives: of a JPEG that is cut short
        what is there, and the rest as libjpeg leaves it.

    Raises:
        UnreadableImage: no image, one that is cut short, or one of more pixels than OpenCV takes.
    """
    return decode_in_full(content, reduction)[0]


def decode_in_full(content: bytes, reduction: int = 1) -> tuple[np.ndarray, bool]:
    """The pixels of an image file, see `decode`, and whether all of the file is there."""
    if not content:
        raise UnreadableImage("the file is empty; get it again")
    flags = _FLAGS[reduction]
    try:
        image = _decoded(content, flags)
        is_whole = image is not None
        if content.startswith(_JPEG_START):
            is_whole = is_whole and (
                content.endswith(_JPEG_END)
                or content.find(_JPEG_END, content.rfind(_JPEG_PIXELS)) >= 0
            )
            if image is None:  # `cv2.imdecode` refuses what `cv2.imread` reads.
                image = _decoded(content + _JPEG_END * _MOST_ENDS, flags)
        elif image is None and is_heif(content):
            return decoded_heif(content), True
    except cv2.error as error:
        raise UnreadableImage(f"OpenCV refuses it: {error.err}; get it again") from error
    if image is None:
        raise UnreadableImage(
            f"its {len(content)} bytes are no image, or one cut short; get it again"
        )
    return image, is_whole


def is_heif(content: bytes) -> bool:
    """Whether an image file says that it is HEIF."""
    return content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS


def decoded_heif(content: bytes, most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """The pixels of a HEIF as OpenCV would give them; pillow-heif turns what lies on its side.

    Raises:
        UnreadableImage: it cannot be decoded, or has more pixels than are asked for.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise UnreadableImage(
            f"it is HEIF, which needs pillow-heif; {install_command('heif')}"
        ) from error
    try:
        file = pillow_heif.open_heif(content)
        width, height = file.size
        if height * width > most_pixels:
            raise UnreadableImage(f"it has {width}x{height} pixels; make it smaller")
        return np.ascontiguousarray(np.asarray(file.to_pillow().convert("RGB"))[..., ::-1])
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError) as error:
        raise UnreadableImage(f"pillow-heif refuses it: {reason(error)}; get it again") from error


def stored_maximum(content: bytes) -> float:
    """The largest number in an image file, whatever its type: 65535 in one of 16 bits is white."""
    image = _decoded(content, cv2.IMREAD_UNCHANGED)
    return 0.0 if image is None else float(image.max())


def _decoded(content: bytes, flags: int) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def box_slices(box: Sequence[float], height: int, width: int) -> tuple[slice, slice]:
    """The rows and the columns that a box cuts out of an image.

    Args:
        box: (x1, y1, x2, y2) in pixels; fractions are dropped, as the authors' code does.
        height: of the image.
        width: of the image.

    Returns:
        `slice(y1, y2), slice(x1, x2)`, within the image: a box that reaches over its right or
        lower edge ends there.

    Raises:
        UserError: the box is negative, inverted, empty, or wholly outside the image.
    """
    x1, y1, x2, y2 = map(int, box)
    if min(x1, y1, x2, y2) < 0:
        fault = "negative"
    elif x2 < x1 or y2 < y1:
        fault = "inverted"
    elif x2 == x1 or y2 == y1:
        fault = "empty"
    elif x1 >= width or y1 >= height:
        fault = "outside"
    else:
        return slice(y1, min(y2, height)), slice(x1, min(x2, width))
    raise UserError(
        f"the box {[float(side) for side in box]} is {fault}, the image is {width}x{height}; "
        "a box is (x1, y1, x2, y2) with 0 <= x1 < x2, 0 <= y1 < y2 and a corner in the image"
    )


def crop(image: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """Cuts a query's box out of its image, before any resizing; see `box_slices`.

    Args:
        image: uint8[h w 3].
        box: (x1, y1, x2, y2) in pixels.

    Returns:
        uint8[h' w' 3], a view.
    """
    return image[box_slices(box, *image.shape[:2])]


def resized_shape(height: int, width: int, scale: float) -> tuple[int, int]:
    """The height and the width that `resize` gives, without an image.

    OpenCV rounds halves to the even number, as Python does, and refuses a side that comes to 0;
    here such a side is 1, so that images down to 1x1 have a descriptor at any scale.
    """
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: np.ndarray, scale: float) -> np.ndarray:
    """Resizes an image by a factor: over areas when it shrinks, linearly when it grows.

    The factor itself goes to OpenCV. The size it leads to would not do: OpenCV would compute the
    factors anew from the rounded sides and sample other places.

    Args:
        image: uint8[h w 3].
        scale: the factor of both sides; at 1 the image stays as it is.

    Returns:
        uint8[h' w' 3] with `(h', w') == resized_shape(h, w, scale)`.
    """
    if scale == 1:
        return image
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    height, width = image.shape[:2]
    if round(height * scale) and round(width * scale):
        return cv2.resize(image, None, fx=scale, fy=scale, interpolation=interpolation)
    height, width = resized_shape(height, width, scale)
    return cv2.resize(image, (width, height), interpolation=interpolation)
