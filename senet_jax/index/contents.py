"""Descriptors by the content that they describe, in a file that only grows.

`descriptors.N` holds rows, one after another. `contents.N.jsonl` has a line for each group of rows
that were appended together: which content they describe, and a checksum. A line is written when its
rows are on disk. Rows without a line and a line that breaks off are what a process that was killed
has left: nobody sees them, and they are cut off before more is appended.
"""

import base64
import contextlib
import dataclasses
import io
import json
import math
import os
import pathlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.system.checksummed import sealed, unsealed
from senet_jax.system.errors import UserError
from senet_jax.system.files import parse_json, read_regular

DIGEST_BYTES = 16
DEFAULT_WEIGHTS = "pretrained:lite0"
"""What describes the photographs of a new index."""
UNREAD = bytes(DIGEST_BYTES)
"""In place of the digest of a file that cannot be read."""


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
    """What is described.

    Attributes:
        descriptors: the rows as they are stored, see `quantise`; memory-mapped.
        row_of: digest of a content, see `file_state.content_digest` -> its row.
        lines_end: how many bytes of the file of lines are whole.
    """

    descriptors: np.ndarray
    row_of: Mapping[bytes, int]
    lines_end: int


def contents_paths(
    folder: pathlib.Path, generation: int | str
) -> tuple[pathlib.Path, pathlib.Path]:
    """The files of rows and of lines."""
    return folder / f"descriptors.{generation}", folder / f"contents.{generation}.jsonl"


def read_contents(folder: pathlib.Path, generation: int | str, no_rows: np.ndarray) -> Contents:
    """Reads what is described; rows that do not match their checksum are not.

    Args:
        folder: of the index.
        generation: of the files.
        no_rows: the type and shape of the rows, see `storage.no_rows`.
    """
    rows_path, lines_path = contents_paths(folder, generation)
    try:
        text = read_regular(lines_path)
        size = rows_path.stat().st_size // _row_bytes(no_rows)
    except FileNotFoundError:
        return Contents(no_rows, {}, 0)
    lines_end = text.rfind(b"\n") + 1
    groups = [
        group for line in text[:lines_end].splitlines() if (group := _group(line, size)) is not None
    ]
    count = max((group.first + len(group.digests) for group in groups), default=0)
    descriptors = no_rows
    if count:
        shape = count, *no_rows.shape[1:]
        descriptors = np.memmap(rows_path, no_rows.dtype, "r", shape=shape)
    row_of = {}
    for group in groups:
        rows = descriptors[group.first : group.first + len(group.digests)]
        if _crc32(rows) == group.crc32:
            row_of |= zip(group.digests, range(group.first, count), strict=False)
    return Contents(descriptors, row_of, lines_end)


@dataclasses.dataclass(frozen=True)
class _Group:
    """A line: the first of its rows, the contents that they describe, and the rows' checksum."""

    first: int
    digests: Sequence[bytes]
    crc32: int


def _group(line: bytes, size: int) -> _Group | None:
    """What a line says of a file of so many rows; None if it is broken."""
    try:
        value: dict[str, Any] = unsealed(parse_json(line))
        digests = base64.b64decode(value["digests"], validate=True)
        group = _Group(int(value["first"]), split_digests(digests), int(value["crc32"]))
    except (ValueError, KeyError, TypeError):
        return None
    is_right = 0 <= group.first <= size - len(group.digests) and not len(digests) % DIGEST_BYTES
    return group if is_right else None


def split_digests(joined: bytes) -> list[bytes]:
    """Digests that were joined."""
    return [joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES)]


class Appender:
    """Appends rows to the files of a generation, which are made if they are missing.

    Args:
        folder: of the index.
        generation: of the files.
        there: what they hold; anything beyond it is cut off.

    Raises:
        UserError: the files cannot be written.
    """

    def __init__(self, folder: pathlib.Path, generation: int | str, there: Contents):
        self._rows_path, self._lines_path = contents_paths(folder, generation)
        self._row_bytes = _row_bytes(there.descriptors)
        self._count, self._lines_end = len(there.descriptors), there.lines_end
        self._files = contextlib.ExitStack()
        with self._writing():
            self._rows = self._files.enter_context(_opened(self._rows_path))
            self._lines = self._files.enter_context(_opened(self._lines_path))
            self._rows.truncate(self._count * self._row_bytes)
            self._lines.truncate(self._lines_end)

    def __enter__(self) -> "Appender":
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def append(self, digests: Sequence[bytes], rows: np.ndarray) -> None:
        """Appends rows, and returns when they are on disk.

        Args:
            digests: of the contents that they describe.
            rows: as they are stored, see `quantise`.

        Raises:
            UserError: they cannot be written.
        """
        if not digests:
            return
        joined = base64.b64encode(b"".join(digests)).decode()
        line = sealed({"first": self._count, "digests": joined, "crc32": _crc32(rows)})
        text = (json.dumps(line) + "\n").encode()
        with self._writing():
            _write(self._rows, self._count * self._row_bytes, np.ascontiguousarray(rows).tobytes())
            _write(self._lines, self._lines_end, text)
        self._count += len(digests)
        self._lines_end += len(text)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write {self._rows_path}: {error.strerror or error}; choose a place that "
                "can be written"
            ) from error


def _opened(path: pathlib.Path) -> io.FileIO:
    """Without a buffer, which would be written once more when a full disk's file is closed."""
    return io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+")


def _write(file: io.FileIO, start: int, content: bytes) -> None:
    """Writes, and returns when it is on disk."""
    file.seek(start)
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _row_bytes(rows: np.ndarray) -> int:
    return rows.dtype.itemsize * math.prod(rows.shape[1:])


def _crc32(rows: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(rows).reshape(-1).view(np.uint8))
