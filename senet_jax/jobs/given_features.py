"""Local features that were made elsewhere, one file a photograph."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.features.local_features import LocalFeatures
from senet_jax.features.local_files import read_delg_local, read_npz_local
from senet_jax.rerank.pairs import Features
from senet_jax.system.errors import UserError

_IN_MEMORY = 2048
_READERS = {".delg_local": read_delg_local, ".npz": read_npz_local}


class GivenFeatures(Features):
    """The local features of photographs from a folder: `jpg/a/b.jpg` has `a/b.npz`.

    Or `a/b.delg_local`, which of a query with a box is of what the box cuts out, its sides rounded.

    Args:
        folder: of the files.
        queries: photographs with their boxes.
        images: the database, and its distractors.
    """

    def __init__(
        self, folder: pathlib.Path, queries: Sequence[Photograph], images: Sequence[Photograph]
    ):
        self._folder, self._queries, self._images = folder, queries, images
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
            UserError: there is no file of it, or none that can be read, or a point lies outside.
        """
        base = self._folder / photograph.file_name
        paths = [base.with_suffix(suffix) for suffix in _READERS]
        path = next((path for path in paths if path.exists()), None)
        if path is None:
            raise UserError(
                f"no {paths[1]} or {paths[0].name}; config.local_features has one for every "
                "photograph"
            )
        found = _READERS[path.suffix](path)
        if photograph.box is not None and path.suffix == ".delg_local":
            corner = np.round(photograph.box[:2]).astype(np.float32)
            found = dataclasses.replace(found, keypoints=found.keypoints + corner)
        header = photograph.header()
        if header is not None and len(found.keypoints):
            sides = header.width, header.height
            most = sides if header.is_upright else (max(sides), max(sides))
            low, high = found.keypoints.min(axis=0), found.keypoints.max(axis=0)
            if (low < -1).any() or (high > most).any():
                raise UserError(
                    f"{path} has points from {low.tolist()} to {high.tolist()}, outside of its "
                    f"photograph of {sides[0]}x{sides[1]} pixels; give x and y at its own size"
                )
        return found
