"""Photographs."""

import pathlib
from typing import Any

import numpy as np

from tests.data.pictures import with_exif_orientation
from tests.fuzz.reader import Reader


def _images(_) -> list[bytes]:
    import cv2

    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    encoded = {
        suffix: cv2.imencode(suffix, pixels)[1].tobytes()
        for suffix in (".jpg", ".png", ".webp", ".bmp", ".tiff")
    }
    return [*encoded.values(), with_exif_orientation(encoded[".jpg"], 6)]


def _image(path: pathlib.Path) -> Any:
    from senet_jax.data.revisitop import Photograph, read_image
    from senet_jax.data.sizes import photograph_size

    size = photograph_size(Photograph(path.parent, path.name))
    image = read_image(path)
    assert size == image.shape[:2]
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    return image


READERS: dict[str, Reader] = {
    "image": Reader(
        "a.jpg",
        _images,
        _image,
        ("senet_jax.data.sizes", "cv2"),
        (b"\xff\xd8", b"\xff\xd9", b"\xff\xe1", b"Exif\0\0", b"MM\0*", b"II*\0", b"IHDR", b"VP8 "),
    ),
}
