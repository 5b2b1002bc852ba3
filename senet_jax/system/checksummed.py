"""JSON and `.npz` files that carry a checksum of their value.

Disks and copies flip bits: a value is read as it was written, or an error says that it is not. The
checksum is of the value, not of the bytes of the file, since a JSON or zip reader may turn a
flipped bit into another value without noticing. The files stay plain `.json` and `.npz`.
"""

import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import atomic_write, read_json, write_json

CHECKSUM = "checksum"
_PREFIX = "crc32:"


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with its checksum under one more key."""
    plain: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return plain | {CHECKSUM: _checksum_of_json(plain)}


def unsealed(value: Any, *, required: bool = True) -> dict[str, Any]:
    """The JSON object without its checksum, which is checked.

    Args:
        value: anything that was read.
        required: refuse an object that has no checksum; else people may leave it out.

    Raises:
        ValueError: it is no object, lacks its checksum, or does not match it.
    """
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    # The name of the key may be what was broken.
    named = [key for key, entry in value.items() if str(entry).startswith(_PREFIX)]
    if not required and not named and CHECKSUM not in value:
        return value
    rest = {key: entry for key, entry in value.items() if key != CHECKSUM}
    if named != [CHECKSUM] or value[CHECKSUM] != _checksum_of_json(rest):
        raise ValueError(f"it does not match its {CHECKSUM}")
    return rest


def write_sealed_json(path: str | os.PathLike, value: Mapping[str, Any]) -> None:
    """Writes a JSON object with its checksum; see `files.atomic_write`."""
    write_json(path, sealed(value))


def read_sealed_json(
    path: str | os.PathLike, mend: str, *, required: bool = True
) -> dict[str, Any]:
    """Reads what `write_sealed_json` wrote.

    Args:
        path: of the file.
        mend: what a user should do with a broken one.
        required: see `unsealed`.

    Raises:
        UserError: the file is missing, is not JSON, or does not match its checksum.
    """
    try:
        return unsealed(read_json(path), required=required)
    except ValueError as error:
        raise UserError(f"{path} is broken: {error}; {mend}") from error


def save_arrays(path: str | os.PathLike, **arrays: Any) -> None:
    """Writes arrays with their checksum into a `.npz` file; see `files.atomic_write`."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        write_arrays(file, **arrays)


def write_arrays(file: BinaryIO, **arrays: Any) -> None:
    """Writes arrays with their checksum, as `.npz`, into a file that is open."""
    content: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    content[CHECKSUM] = _checksum_of_arrays(content)
    np.savez(file, **content)


def load_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads what `save_arrays` wrote.

    Raises:
        ValueError: the file is not there, cannot be read, or does not match its checksum.
    """
    try:
        # NumPy would not close a broken file that it opens itself.
        with pathlib.Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            # What `savez` writes is as large as the file says.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.zip.infolist()):
                raise ValueError("it is compressed")
            arrays = dict(archive)
        expected = arrays.pop(CHECKSUM).item()
    except Exception as error:  # NumPy and zip raise anything at broken files.
        raise ValueError(reason(error)) from error
    if _checksum_of_arrays(arrays) != expected:
        raise ValueError(f"it does not match its {CHECKSUM}")
    return arrays


def crc32_of_json(value: Any) -> int:
    """CRC-32 of a JSON value, whatever the order of its keys."""
    return zlib.crc32(json.dumps(value, sort_keys=True, allow_nan=False).encode())


def _checksum_of_json(value: Any) -> str:
    return f"{_PREFIX}{crc32_of_json(value):08x}"


def _checksum_of_arrays(arrays: Mapping[str, np.ndarray]) -> int:
    checksum = 0
    for name, array in sorted(arrays.items()):
        checksum = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), checksum)
        checksum = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8), checksum)
    return checksum
