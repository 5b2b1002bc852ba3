"""Local features that were made elsewhere, in files; see `features.local_files`."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from senet_jax.data.image_header import Header
from senet_jax.data.revisitop import Photograph
from senet_jax.features.local_archive import ENDINGS, LocalArchive
from senet_jax.features.local_features import LocalFeatures
from senet_jax.features.local_files import FromFile, LocalFolder
from senet_jax.rerank.pairs import Features
from senet_jax.system.errors import UserError, shown

_IN_MEMORY = 2048


def open_given(path: pathlib.Path) -> LocalFolder | LocalArchive:
    """What `config.local_features` names.

    Raises:
        UserError: it is neither a folder nor a file of HDF5.
    """
    if path.is_dir():
        return LocalFolder(path)
    if path.suffix.lower() in ENDINGS:
        return LocalArchive(path)
    raise UserError(
        f"config.local_features is {path}, which is no folder and does not end in "
        f"{' or '.join(ENDINGS)}; name one of the two"
    )


class GivenFeatures(Features):
    """The local features of photographs; of a query with a box, of what is in the box.

    Args:
        files: where they are.
        queries: photographs with their boxes.
        images: the database, and its distractors.
    """

    def __init__(
        self,
        files: LocalFolder | LocalArchive,
        queries: Sequence[Photograph],
        images: Sequence[Photograph],
    ):
        self._files, self._queries, self._images = files, queries, images
        self._read = functools.lru_cache(_IN_MEMORY)(self._features)

    def prepare(self, pairs: np.ndarray) -> None:
        """There is nothing to make."""

    def query(self, index: int) -> LocalFeatures:
        """Those of a query; see `_features`."""
        return self._read(self._queries[index])

    def item(self, index: int) -> LocalFeatures:
        """Those of an item; see `_features`."""
        return self._read(self._images[index])

    def _features(self, photograph: Photograph) -> LocalFeatures:
        """Those of a photograph.

        Raises:
            UserError: there are none of it, or none that can be read, or a point lies outside.
        """
        given = self._files.read(photograph.file_name)
        found = given.features
        if photograph.box is not None and given.of_box:
            corner = np.round(photograph.box[:2]).astype(np.float32)
            found = dataclasses.replace(found, keypoints=found.keypoints + corner)
        header = photograph.header()
        if header is not None:
            _check_points(found.keypoints, given, header)
        if photograph.box is None or given.of_box:
            return found
        first, end = np.array(photograph.box, int).reshape(2, 2) - 0.5
        inside = ((found.keypoints >= first) & (found.keypoints < end)).all(axis=1)
        return found.only(inside)


def _check_points(points: np.ndarray, given: FromFile, header: Header) -> None:
    sides = header.width, header.height
    possible = (sides,) if header.is_upright else (sides, sides[::-1])
    if given.size is not None and given.size not in possible:
        raise UserError(
            f"{given.place} is of a photograph of {shown(given.size[0])}x{shown(given.size[1])} "
            f"pixels, and this one has {sides[0]}x{sides[1]} when it is upright; extract them anew"
        )
    if not len(points):
        return
    low, high = points.min(axis=0), points.max(axis=0)
    if (low < -1).any() or (high > np.max(possible, axis=0)).any():
        raise UserError(
            f"{given.place} has points from {low.tolist()} to {high.tolist()}, outside of its "
            f"photograph of {sides[0]}x{sides[1]} pixels; give x and y at its own size"
        )
