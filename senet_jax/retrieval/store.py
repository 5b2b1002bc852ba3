"""Descriptors on disk that know how they were made.

Beside `PART.npy`, float32[n d], stands `PART.json`: the weights, the scales, the list of images
and whatever else decides over the numbers. It is written last, so descriptors without it are not
whole, and descriptors made in another way are never taken for these.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from senet_jax.errors import UserError
from senet_jax.files import read_json, write_json, written_whole


@dataclasses.dataclass(frozen=True, eq=False)
class DescriptorStore:
    """The descriptors of a list of images.

    Attributes:
        descriptors: float32[n d], in the order of the list; a row of zeros for each skipped image.
        skipped: row -> why the image could not be read.
        origin: how they were made, as JSON has it; two stores mix only if this is equal.

    Raises:
        UserError: descriptors that are not a finite float32 matrix, rows that are not there.
    """

    descriptors: np.ndarray
    skipped: Mapping[int, str]
    origin: Mapping[str, Any]

    def __post_init__(self):
        if self.descriptors.ndim != 2 or self.descriptors.dtype != np.float32:
            raise UserError(
                f"descriptors are {self.descriptors.dtype}{list(self.descriptors.shape)}, not a "
                "float32 matrix; extract them again"
            )
        broken = np.flatnonzero(~np.isfinite(self.descriptors).all(axis=1))
        if broken.size:
            raise UserError(
                f"the descriptor of row {broken[0]} is not finite; are the weights broken?"
            )
        outside = [row for row in self.skipped if not 0 <= row < len(self.descriptors)]
        if outside:
            raise UserError(f"no row {outside[0]} among {len(self.descriptors)} descriptors")

    @property
    def skipped_rows(self) -> np.ndarray:
        """int64[k], sorted: the rows of images that could not be read."""
        return np.array(sorted(self.skipped), np.int64)


def save_store(folder: str | os.PathLike, part: str, store: DescriptorStore) -> None:
    """Writes `PART.npy` and `PART.json` into a folder, in place of what stands there.

    Raises:
        UserError: the folder cannot be written.
    """
    array, description = _paths(folder, part)
    with written_whole(array) as temporary, temporary.open("wb") as file:
        np.save(file, store.descriptors)
        description.unlink(missing_ok=True)
    skipped = {str(row): reason for row, reason in sorted(store.skipped.items())}
    write_json(description, {"origin": dict(store.origin), "skipped": skipped})


def load_store(
    folder: str | os.PathLike, part: str, origin: Mapping[str, Any]
) -> DescriptorStore | None:
    """Reads descriptors that were made in the given way; None if there are none yet.

    Raises:
        UserError: what stands there was made in another way, or is broken.
    """
    array, description = _paths(folder, part)
    if not description.exists():
        return None
    value = read_json(description)
    try:
        there = value["origin"]
        skipped = {int(row): reason for row, reason in value["skipped"].items()}
        different = [key for key in {**there, **origin} if there.get(key) != origin.get(key)]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{description} is broken; remove {folder}") from error
    if different:
        key = different[0]
        raise UserError(
            f"{array} was made with {key} {there.get(key)!r}, now it is {origin.get(key)!r}; "
            f"use another workdir or remove {folder}"
        )
    try:
        with array.open("rb") as file:
            descriptors = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{array} cannot be read ({error}); remove {folder}") from error
    try:
        return DescriptorStore(descriptors, skipped, there)
    except UserError as error:
        raise UserError(f"{array}: {error}") from error


def _paths(folder: str | os.PathLike, part: str) -> tuple[pathlib.Path, pathlib.Path]:
    return pathlib.Path(folder) / f"{part}.npy", pathlib.Path(folder) / f"{part}.json"
