"""Descriptors on disk, with their origin and the files that they were made of.

`PART.npy` is float32[n d] or what a smaller storage makes of it. `PART.json` beside it holds the
origin (weights, scales, list of images and whatever else the numbers depend on), the state of each
image's file, and checksums of the array. It is written last, so descriptors without it are not
complete. Descriptors of another origin are refused; those of a block that does not match its
checksum count as made of no file, and are described again.
"""

import base64
import dataclasses
import math
import os
import pathlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from senet_jax.data.file_state import FILE_STATE
from senet_jax.features.origin import check_origin
from senet_jax.search.database import as_float32
from senet_jax.search.storage import descriptor_width, no_rows, quantise
from senet_jax.system.checksummed import read_sealed_json, write_sealed_json
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import atomic_write, open_array

BLOCK_ROWS = 8192
_PLAIN = (np.float32, np.float16)


@dataclasses.dataclass(frozen=True, eq=False)
class DescriptorStore:
    """The descriptors of a list of images.

    Attributes:
        descriptors: float32[n d] or quantised, in the order of the list, finite; a row of zeros for
            each skipped image.
        skipped: row -> why the image could not be read.
        origin: how they were made, as JSON has it; two stores mix only if this is equal.
        files: `FILE_STATE`[n], of which files; zeros for a row that is not described.
        checksums: of the array on disk, see `load_store`.

    Raises:
        UserError: descriptors of no storage; rows that are not there.
    """

    descriptors: np.ndarray
    skipped: Mapping[int, str]
    origin: Mapping[str, Any]
    files: np.ndarray
    checksums: Sequence[int]

    def __post_init__(self):
        is_stored = self.descriptors.dtype.names or self.descriptors.dtype in _PLAIN
        if not is_stored or not descriptor_width(self.descriptors):
            raise UserError(
                f"descriptors are {self.descriptors.dtype}{list(self.descriptors.shape)}, not a "
                "matrix of any storage; extract them again"
            )
        if self.files.shape != self.descriptors.shape[:1]:
            raise UserError(
                f"{len(self.descriptors)} descriptors are of {len(self.files)} files; extract them "
                "again"
            )
        outside = [row for row in self.skipped if not 0 <= row < len(self.descriptors)]
        if outside:
            raise UserError(f"no row {outside[0]} among {len(self.descriptors)} descriptors")

    @property
    def skipped_rows(self) -> np.ndarray:
        """int64[k], sorted: the rows of images that could not be read."""
        return np.array(sorted(self.skipped), np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class DescribedRows:
    """The descriptors of some rows of a list.

    Attributes:
        rows: which ones.
        descriptors: float32[k d], zeros for an image that could not be read.
        skipped: row of the list -> why its image could not be read.
        files: `FILE_STATE`[k], of which files they are.
    """

    rows: Sequence[int]
    descriptors: np.ndarray
    skipped: Mapping[int, str]
    files: np.ndarray


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
    pieces: Iterable[DescribedRows],
    origin: Mapping[str, Any],
    storage: str = "float32",
    base: DescriptorStore | None = None,
) -> None:
    """Writes `PART.npy` and `PART.json` into a folder, in place of what stands there.

    Args:
        folder: for both.
        part: their name.
        shape: how many descriptors there are, and how wide they are.
        pieces: the descriptors, some rows at a time.
        origin: see `DescriptorStore`.
        storage: see `quantise`.
        base: where the rows are from that no piece has; without it they are zeros, and of no file.

    Raises:
        UserError: the folder cannot be written, or a descriptor is not finite.
    """
    array, description = _paths(folder, part)
    # What a process that was killed while it wrote has left is as large as the descriptors.
    for left in array.parent.glob(f".{array.name}.*"):
        left.unlink(missing_ok=True)
    rows, width = shape
    files = np.zeros(rows, FILE_STATE) if base is None else base.files.copy()
    skipped = {} if base is None else dict(base.skipped)
    nothing = no_rows(width, storage)
    row_bytes = nothing.dtype.itemsize * math.prod(nothing.shape[1:])
    with atomic_write(array) as temporary, temporary.open("w+b") as file:
        header = np.lib.format.header_data_from_array_1_0(nothing)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (rows, *nothing.shape[1:])})
        start = file.tell()
        # Written by calls, not through a map: a full disk is then an error and not a signal.
        if base is not None:
            for first in range(0, rows, BLOCK_ROWS):
                file.write(base.descriptors[first : first + BLOCK_ROWS].tobytes())
        file.truncate(start + rows * row_bytes)
        for piece in pieces:
            stored = quantise(piece.descriptors, storage)
            check_finite(as_float32(stored), piece.rows)
            for row, descriptor in zip(piece.rows, stored, strict=True):
                file.seek(start + row * row_bytes)
                file.write(descriptor.tobytes())
                skipped.pop(row, None)
            skipped |= piece.skipped
            files[list(piece.rows)] = piece.files
        checksums = list(_checksums(file, start, row_bytes))
    _write_description(description, skipped, origin, files, checksums)


def save_description(folder: str | os.PathLike, part: str, store: DescriptorStore) -> None:
    """Writes `PART.json` anew for an array that stays.

    Raises:
        UserError: the folder cannot be written.
    """
    _, description = _paths(folder, part)
    _write_description(description, store.skipped, store.origin, store.files, store.checksums)


def _write_description(path, skipped, origin, files, checksums) -> None:
    value = {
        "origin": dict(origin),
        "skipped": {str(row): why for row, why in sorted(skipped.items())},
        "files": base64.b64encode(files.tobytes()).decode(),
        "checksums": list(checksums),
    }
    write_sealed_json(path, value)


def _checksums(file: BinaryIO, start: int, row_bytes: int) -> Iterator[int]:
    """CRC-32 of an array's header, then of every block of its rows."""
    file.seek(0)
    yield zlib.crc32(file.read(start))
    while block := file.read(BLOCK_ROWS * row_bytes):
        yield zlib.crc32(block)


def load_store(
    folder: str | os.PathLike, part: str, origin: Mapping[str, Any]
) -> DescriptorStore | None:
    """Reads descriptors that were made in the given way; None if there are none yet.

    Rows of a block that does not match its checksum are neither skipped nor of any file.

    Raises:
        UserError: what stands there was made in another way, or is broken.
    """
    array, description = _paths(folder, part)
    if not description.exists():
        return None
    mend = f"remove {folder} to have them described again"
    value = read_sealed_json(description, mend)
    try:
        there = {**value["origin"]}
        skipped = {int(row): why for row, why in value["skipped"].items()}
        files = np.frombuffer(base64.b64decode(value["files"]), FILE_STATE).copy()
        checksums = [*value["checksums"]]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{description} is broken: {reason(error)}; {mend}") from error
    check_origin(there, origin, array)
    try:
        descriptors = open_array(array)
        with array.open("rb") as file:
            row_bytes = descriptors.dtype.itemsize * math.prod(descriptors.shape[1:])
            found = list(_checksums(file, descriptors.offset, row_bytes))
    except UserError as error:
        raise UserError(
            f"{array} cannot be read ({reason(error.__cause__ or error)}); {mend}"
        ) from error
    if len(found) != len(checksums) or found[0] != checksums[0]:
        raise UserError(f"{array} does not match its checksum; {mend}")
    for block in np.flatnonzero(np.not_equal(found[1:], checksums[1:])):
        rows = range(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
        files[rows.start : rows.stop] = np.zeros((), FILE_STATE)
        skipped = {row: why for row, why in skipped.items() if row not in rows}
    try:
        return DescriptorStore(descriptors, skipped, there, files, checksums)
    except UserError as error:
        raise UserError(f"{array}: {error}") from error


def _paths(folder: str | os.PathLike, part: str) -> tuple[pathlib.Path, pathlib.Path]:
    return pathlib.Path(folder) / f"{part}.npy", pathlib.Path(folder) / f"{part}.json"
