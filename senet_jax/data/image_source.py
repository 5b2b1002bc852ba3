"""A list of labelled images, wherever they come from: what a prepared dataset is made of."""

import collections
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.system.errors import UserError, shown

IMAGE_BYTES = 2**32
"""The largest image file that is read; `transforms.MOST_PIXELS` take less in any usual format."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSource:
    """Labelled images that can be read one by one.

    Attributes:
        name: of the dataset that is made of them.
        class_names: the name of each class, in the order of the labels.
        keys: the name of each image, all different.
        labels: int32[n], the class of each image.
        read: gives the bytes of the image file at an index; an `OSError` where there is none.
        origin: what else tells this source from another of the same names, as JSON.

    Raises:
        UserError: no image, a key that is repeated, labels that are not one for each image or are
            out of range, a class name that is repeated or that is no single line of text.
    """

    name: str
    class_names: Sequence[str]
    keys: Sequence[str]
    labels: np.ndarray
    read: Callable[[int], bytes]
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.keys:
            raise UserError(f"{self.name} lists no image; check where its images are listed")
        for kind, names in (("image", self.keys), ("class", self.class_names)):
            name, count = collections.Counter(names).most_common(1)[0]
            if count > 1:
                raise UserError(
                    f"{self.name} lists the {kind} {shown(name)} {count} times; list it once"
                )
        for name in self.class_names:
            if not _is_line(name):
                raise UserError(
                    f"{self.name} has a class {shown(name)}; give it a name of one line, in UTF-8, "
                    "without blanks at its ends"
                )
        check_labels(self.labels, len(self.keys), len(self.class_names), self.name)

    @functools.cached_property
    def sha256(self) -> str:
        """The SHA-256 of names, labels and origin, in hexadecimal; the images are not read."""
        digest = hashlib.sha256()
        origin = json.dumps(self.origin, sort_keys=True)
        for names in ([self.name, origin], self.class_names, self.keys):
            digest.update(os.fsencode("\0".join(names)) + b"\0\0")
        digest.update(self.labels.astype("<i4").tobytes())
        return digest.hexdigest()


def check_labels(labels: np.ndarray, image_count: int, class_count: int, name: str) -> None:
    """Checks that there is a label for each image, and a class for each label.

    Args:
        labels: int32[n].
        image_count: how many images there are.
        class_count: how many classes there are.
        name: whose labels they are.

    Raises:
        UserError: there is not.
    """
    if labels.shape != (image_count,) or labels.dtype != np.int32:
        raise UserError(
            f"{name} has {image_count} images and labels {labels.dtype}{list(labels.shape)}; "
            f"give int32[{image_count}]"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= class_count))
    if outside.size:
        raise UserError(
            f"{name} has the label {labels[outside[0]]} at image {outside[0]}, but {class_count} "
            f"classes; labels go from 0 to {class_count - 1}"
        )


def _is_line(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return name == name.strip() and len(name.splitlines()) == 1
