"""Image files of strangers, which take no more memory than is allowed to them."""

import io

import numpy as np

from senet_jax.data.image_header import parse_header
from senet_jax.data.transforms import (
    TooLargeImage,
    UnreadableImage,
    decode,
    decoded_heif,
    is_heif,
)


def decode_bounded(content: bytes, most_pixels: int) -> np.ndarray:
    """The pixels of an image file, see `decode`, of which the header is looked at before.

    Args:
        content: the bytes of the file.
        most_pixels: that it may have.

    Returns:
        uint8[h w 3], upright, in the order BGR.

    Raises:
        UnreadableImage: no image, one that cannot be decoded, or one of more pixels.
    """
    if is_heif(content):
        return decoded_heif(content, most_pixels)
    header = parse_header(io.BytesIO(content))
    if header is None:
        raise UnreadableImage(f"its {len(content):,} bytes are no image; give a JPEG for instance")
    if header.pixels > most_pixels:
        raise TooLargeImage(
            f"it has {header.width}x{header.height} pixels, and {most_pixels:,} are taken; make it "
            "smaller"
        )
    return decode(content)
