"""Labelled images for tests."""

import numpy as np

from senet_jax.data.image_source import ImageSource

from .pictures import encoded, picture

COUNTS = (3, 1, 4, 2)
"""How many images the classes of `source` have."""


def content(index):
    """The bytes of an image file that differs from those of other indices."""
    return encoded(picture(40 + index % 5, 56, seed=index))


def source(counts=COUNTS, contents=None, name="town"):
    """Images of as many classes as there are counts; `contents` are bytes or errors by index."""
    keys = [f"{label}/{i}.jpg" for label, count in enumerate(counts) for i in range(count)]
    contents = contents or {}

    def read(index):
        found = contents.get(index) or content(index)
        if isinstance(found, Exception):
            raise found
        return found

    return ImageSource(
        name=name,
        class_names=[f"class {label}" for label in range(len(counts))],
        keys=keys,
        labels=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        read=read,
    )
