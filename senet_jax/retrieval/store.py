"""Descriptors on disk that know how they were made.

Beside `PART.npy`, float32[n d] or what a smaller storage makes of it, stands `PART.json`: the
weights, the scales, the list of images and whatever else decides over the numbers. It is written
last, so descriptors without it are not whole, and descriptors made in another way are never taken
for these.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.errors import UserError
from senet_jax.files import open_array, read_json, write_json, written_whole
from senet_jax.retrieval.blocks import as_float32
from senet_jax.retrieval.extract import Described
from senet_jax.retrieval.quantise import descriptor_width, no_rows, quantise

BLOCK_ROWS = 8192
_PLAIN = (np.float32, np.float16)


@dataclasses.dataclass(frozen=True, eq=False)
class DescriptorStore:
    """The descriptors of a list of images.

    Attributes:
        descriptors: float32[n d] or quantised, in the order of the list; a row of zeros for each
            skipped image.
        skipped: row -> why the image could not be read.
        origin: how they were made, as JSON has it; two stores mix only if this is equal.

    Raises:
        UserError: descriptors that are not finite, or of no storage; rows that are not there.
    """

    descriptors: np.ndarray
    skipped: Mapping[int, str]
    origin: Mapping[str, Any]

    def __post_init__(self):
        is_stored = self.descriptors.dtype.names or self.descriptors.dtype in _PLAIN
        if not is_stored or descriptor_width(self.descriptors) is None:
            raise UserError(
                f"descriptors are {self.descriptors.dtype}{list(self.descriptors.shape)}, not a "
                "matrix of any storage; extract them again"
            )
        for start in range(0, len(self.descriptors), BLOCK_ROWS):
            block = self.descriptors[start : start + BLOCK_ROWS]
            check_finite(as_float32(block), range(start, start + len(block)))
        outside = [row for row in self.skipped if not 0 <= row < len(self.descriptors)]
        if outside:
            raise UserError(f"no row {outside[0]} among {len(self.descriptors)} descriptors")

    @property
    def skipped_rows(self) -> np.ndarray:
        """int64[k], sorted: the rows of images that could not be read."""
        return np.array(sorted(self.skipped), np.int64)


def check_finite(descriptors: np.ndarray, rows: Sequence[int]) -> None:
    """Checks some rows of a list's descriptors.

    Args:
        descriptors: float32[k d].
        rows: k rows of the list.

    Raises:
        UserError: a number is not finite.
    """
    broken = np.flatnonzero(~np.isfinite(descriptors).all(axis=1))
    if broken.size:
        raise UserError(
            f"the descriptor of row {rows[broken[0]]} is not finite; are the weights broken?"
        )


def save_store(
    folder: str | os.PathLike,
    part: str,
    *,
    shape: tuple[int, int],
    pieces: Iterable[Described],
    skipped: Mapping[int, str],
    origin: Mapping[str, Any],
    storage: str = "float32",
) -> None:
    """Writes `PART.npy` and `PART.json` into a folder, in place of what stands there.

    Args:
        folder: for both.
        part: their name.
        shape: how many descriptors there are, and how wide they are.
        pieces: the descriptors, some rows at a time; a row that no piece has is zero.
        skipped: see `DescriptorStore`.
        origin: likewise.
        storage: see `quantise`.

    Raises:
        UserError: the folder cannot be written.
    """
    array, description = _paths(folder, part)
    # What a process that was killed while it wrote has left is as large as the descriptors.
    for left in array.parent.glob(f".{array.name}.*"):
        left.unlink(missing_ok=True)
    rows, width = shape
    nothing = no_rows(width, storage)
    row_bytes = nothing.dtype.itemsize * math.prod(nothing.shape[1:])
    with written_whole(array) as temporary, temporary.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(nothing)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (rows, *nothing.shape[1:])})
        start = file.tell()
        # Written by calls, not through a map: a full disk is then an error and not a signal.
        file.truncate(start + rows * row_bytes)
        for piece in pieces:
            stored = quantise(piece.descriptors, storage)
            for row, descriptor in zip(piece.rows, stored, strict=True):
                file.seek(start + row * row_bytes)
                file.write(descriptor.tobytes())
        description.unlink(missing_ok=True)
    names = {str(row): reason for row, reason in sorted(skipped.items())}
    write_json(description, {"origin": dict(origin), "skipped": names})


def check_origin(there: Mapping[str, Any], wanted: Mapping[str, Any], place: pathlib.Path) -> None:
    """Raises a `UserError` unless what stands at a place was made in the wanted way."""
    if not isinstance(there, Mapping):
        raise UserError(f"{place} does not say how it was made; remove {place.parent}")
    different = [key for key in {**there, **wanted} if there.get(key) != wanted.get(key)]
    if different:
        key = different[0]
        raise UserError(
            f"{place} was made with {key} {there.get(key)!r}, now it is {wanted.get(key)!r}; "
            f"use another workdir or remove {place.parent}"
        )


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
        there = {**value["origin"]}
        skipped = {int(row): reason for row, reason in value["skipped"].items()}
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{description} is broken; remove {folder}") from error
    check_origin(there, origin, array)
    try:
        descriptors = open_array(array)
    except UserError as error:
        raise UserError(f"{array} cannot be read ({error.__cause__}); remove {folder}") from error
    try:
        return DescriptorStore(descriptors, skipped, there)
    except UserError as error:
        raise UserError(f"{array}: {error}") from error


def _paths(folder: str | os.PathLike, part: str) -> tuple[pathlib.Path, pathlib.Path]:
    return pathlib.Path(folder) / f"{part}.npy", pathlib.Path(folder) / f"{part}.json"
