"""Files: atomic writes, paths that users give, and reading without trust in the content."""

import contextlib
import errno
import hashlib
import json
import math
import os
import pathlib
import re
import stat
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from senet_jax.system.errors import UserError, reason, shown

JSON_BYTES = 2**28
"""The largest JSON file that is read; the ground truth of a million images takes a tenth."""


def local_path(value: str | os.PathLike) -> pathlib.Path:
    """A path that a user gave, with `~` expanded.

    Raises:
        UserError: it is empty, names another machine (`gs://...`), or is none that Linux can have.
    """
    text = os.fspath(value)
    if not text or "\0" in text:
        raise UserError(f"the path is {shown(text)}; name a file or a folder")
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UserError(f"the path is {shown(text)}, which is no text; check it") from error
    if len(encoded) > 4095 or max(map(len, encoded.split(b"/"))) > 255:
        raise UserError(f"the path {shown(text)} has a name that is too long; shorten it")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/", text)
    if scheme:
        raise UserError(
            f"{shown(text)} is no path of this machine; only those are read and written, so copy "
            f"it here or mount it ({scheme[1]}:// is not supported)"
        )
    try:
        return pathlib.Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{shown(text)}: {reason(error)}; give the path in full") from error


def local_paths(value: str) -> list[pathlib.Path]:
    """Paths that a user gave joined by commas; see `local_path`."""
    return [local_path(path) for path in value.split(",")]


def user_cache_folder() -> pathlib.Path:
    """Where this user keeps what can be made again; see the XDG Base Directory Specification."""
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "senet_jax"


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a regular file; a FIFO, a device or a socket is refused and never waited for.

    Raises:
        OSError: it cannot be read or is not a regular file; `strerror` says which.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(descriptor), path)
        return open(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike, limit: int | None = None) -> bytes:
    """The bytes of a regular file; see `open_regular`.

    Args:
        path: of the file.
        limit: the most bytes that it may have; of a larger one nothing is read.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger; `strerror` says which.
    """
    with open_regular(path) as file:
        if limit is not None and os.fstat(file.fileno()).st_size > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", os.fspath(path))
        return file.read()


def _check_regular(status: os.stat_result, path: str | os.PathLike) -> None:
    if not stat.S_ISREG(status.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        kind = os.strerror(code) if code == errno.EISDIR else "it is no regular file"
        raise OSError(code, kind, os.fspath(path))


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Writes a file atomically: yields a temporary path, which replaces `path` at the end.

    Where the process is killed or the disk is full, the former file at `path` stays. Missing
    folders are made.

    Raises:
        UserError: the place cannot be written (no permission, no space, a file in the way).
    """
    path = pathlib.Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = pathlib.Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; choose a place that can be written"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes valid JSON (a NaN is a bug, not a number in a report); see `atomic_write`."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | os.PathLike, limit: int = JSON_BYTES) -> Any:
    """Reads a JSON file of at most `limit` bytes.

    Raises:
        UserError: the file is missing, cannot be read, or is not JSON of finite numbers.
    """
    try:
        content = read_regular(path, limit)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {_why(error)}; check the path") from error
    try:
        return parse_json(content)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {reason(error)}; make it again") from error


def parse_json(content: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON in UTF-8, nested too deep, or has a number that is not finite or
            an integer of more than 64 bits.
    """
    try:
        return json.loads(
            content, parse_float=_finite, parse_constant=_finite, parse_int=_of_64_bits
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _of_64_bits(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"the integer {shown(number)} has more than 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shown(text)} is not finite")
    return number


def _why(error: Exception) -> str:
    """What the operating system says about a file, without its name."""
    return getattr(error, "strerror", None) or reason(error)


def sha256_of_file(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_array(path: str | os.PathLike) -> np.memmap:
    """Maps a `.npy` file into memory, read-only; nothing is read until it is used.

    Raises:
        UserError: the file is missing, is no `.npy` file, or holds pickled objects.
    """
    try:
        _check_regular(os.stat(path), path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # A header may be odd and yet be right.
            return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise UserError(f"cannot read {path}: {_why(error)}; check the path") from error
    except Exception as error:  # A header is a text that NumPy evaluates.
        raise UserError(
            f"{path} is not an array in a .npy file: {reason(error)}; save it anew"
        ) from error
