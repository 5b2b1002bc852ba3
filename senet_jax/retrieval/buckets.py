"""Few shapes for images of all sizes, so that few programs are compiled."""

import numpy as np

SIDE_MULTIPLE = 64


def padded_to_bucket(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pads images below and to the right until both sides are multiples of 64.

    Args:
        images: uint8[b h w 3].

    Returns:
        uint8[b h' w' 3] and the size of each image in it, int32[b 2].
    """
    count, height, width, _ = images.shape
    below, right = -height % SIDE_MULTIPLE, -width % SIDE_MULTIPLE
    padded = np.pad(images, ((0, 0), (0, below), (0, right), (0, 0)))
    return padded, np.tile(np.array([height, width], np.int32), (count, 1))
