"""Local features of many photographs in one HDF5 file, in the layout of hloc.

A group for each photograph, by its name with its ending and folders (`a/b.jpg`), with the datasets
`keypoints` [n 2], x and y in pixels of the whole photograph, pixel centres being integers, and
`descriptors` [d n]; if wanted `scores` [n], `scales` [n], and `image_size`, width and height. In
some files of others descriptors are [n d].

Source of the layout: the public code of hloc (cvg/Hierarchical-Localization), whose
`extract_features.py` always writes descriptors as [d n].
"""

import pathlib
from typing import Any

import numpy as np

from senet_jax.features.local_files import (
    LIMIT_BYTES,
    SHAPES,
    FromFile,
    checked,
    of_arrays,
    unreadable,
)
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import open_regular
from senet_jax.system.optional import optional_import

ENDINGS = (".h5", ".hdf5")
EXTRA = "hdf5"
_SIZE = "image_size"


class LocalArchive:
    """The local features in a file.

    Args:
        path: of the file.

    Raises:
        UserError: it cannot be opened, or has no such features.
    """

    def __init__(self, path: pathlib.Path):
        with optional_import(EXTRA, "HDF5 files"):
            import h5py
        self._path, self._h5py = path, h5py
        try:
            open_regular(path).close()
            self._file = h5py.File(path, "r")
            told = self._file.visititems(self._is_by_column)
            self._by_column = told is None or told
        except Exception as error:  # What its library raises is not documented.
            what = getattr(error, "strerror", None) or reason(error)
            raise UserError(
                f"cannot read the local features {path}: {what}; give a file as hloc writes it"
            ) from error

    def read(self, file_name: str) -> FromFile:
        """Those of a photograph.

        Raises:
            UserError: it has none of it, or none that can be read.
        """
        place = f"{self._path}, {file_name}"
        try:
            group = self._member(self._file, file_name)
            if not isinstance(group, self._h5py.Group):
                raise UserError(
                    f"{self._path} has no group {file_name}; config.local_features has one for "
                    "every photograph"
                )
            arrays = {name: self._array(group, name) for name in SHAPES if name in group}
            count = len(np.atleast_1d(arrays.get("keypoints", ())))
            if self._by_column and "descriptors" in arrays:
                arrays["descriptors"] = arrays["descriptors"].T
            ones = np.ones(count, np.float32)
            features = checked(of_arrays({"scores": ones, "scales": ones} | arrays))
            size = self._array(group, _SIZE) if _SIZE in group else None
            if size is not None and (size.shape != (2,) or size.dtype.kind not in "fiu"):
                raise ValueError(
                    f"{_SIZE} is {size.dtype}{list(size.shape)}; give width and height"
                )
        except UserError:
            raise
        except Exception as error:
            raise unreadable(place, error) from error
        return FromFile(
            features, place, size=None if size is None else (int(size[0]), int(size[1]))
        )

    def _is_by_column(self, name: str, found: Any) -> bool | None:
        """Whether a column of an array is a descriptor; None where that does not show."""
        if name.rpartition("/")[2] != "descriptors" or not isinstance(found, self._h5py.Dataset):
            return None
        keypoints = self._member(found.parent, "keypoints")
        if not isinstance(keypoints, self._h5py.Dataset):
            return None
        counts, shape = (keypoints.shape or ())[:1], found.shape or ()
        is_told = len(shape) == 2 and shape[0] != shape[1] and counts and counts[0] in shape
        return shape[1:] == counts if is_told else None

    def _member(self, group: Any, name: str) -> Any:
        """A group or a dataset by its name, which is in the file itself; None where it is not."""
        for part in pathlib.PurePosixPath(name).parts:
            link = group.get(part, getlink=True) if isinstance(group, self._h5py.Group) else None
            if not isinstance(link, self._h5py.HardLink):
                return None
            group = group[part]
        return group

    def _array(self, group: Any, name: str) -> np.ndarray:
        found = self._member(group, name)
        if not isinstance(found, self._h5py.Dataset) or found.is_virtual or found.external:
            raise ValueError(f"{name} is no array in this file")
        if found.nbytes > LIMIT_BYTES:
            raise ValueError(f"{name} has more than {LIMIT_BYTES:,} bytes")
        return np.asarray(found)
