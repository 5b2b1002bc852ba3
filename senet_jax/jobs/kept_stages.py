"""Database stages of re-ranking on disk: computed once, and found again by what they depend on.

A stage is a folder `NAME-KEY` with a `.npy` file for each of its arrays. `stage.json` beside them
has the origin, of which the key is a digest, and the checksums of the arrays. A folder gets its
name when all of it is written.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from senet_jax.features.origin import versions
from senet_jax.rerank.method import DatabaseStage
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.checksummed import read_sealed_json, write_sealed_json
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import open_array
from senet_jax.system.progress import Progress

DESCRIPTION = "stage.json"
LIMIT_BYTES = 64 * 2**30
"""How large kept stages may be together; an augmented database of a million rows takes 8 GB."""
_CHECKED_BYTES = 2**26


class StageFolder:
    """Gives the arrays of database stages from a folder, where those that are missing are made.

    Arrays are mapped into memory. A stage that is broken is made anew. Where there is no room for
    a new one, those that were not used for the longest time are removed.

    Args:
        folder: made where it is missing.
        limit_bytes: how large the stages in it may be together, unless those of this object alone
            are larger.
    """

    def __init__(self, folder: str | os.PathLike, limit_bytes: int = LIMIT_BYTES):
        self._folder, self._limit_bytes = pathlib.Path(folder), limit_bytes
        self._used: set[pathlib.Path] = set()

    def __call__(self, stage: DatabaseStage) -> dict[str, np.ndarray]:
        """The arrays of a stage.

        Raises:
            UserError: the folder cannot be written.
        """
        origin = origin_of_stage(stage)
        key = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:16]
        path = self._folder / f"{stage.name}-{key}"
        self._used.add(path)
        arrays = _read(path, origin)
        if arrays is not None:
            os.utime(path)
            return arrays
        arrays = _make(path, origin, stage)
        self._make_room()
        return arrays

    def _make_room(self) -> None:
        bytes_of = {
            path: sum(file.stat().st_size for file in path.iterdir())
            for path in sorted(self._folder.glob("[!.]*-*"), key=lambda path: path.stat().st_mtime)
        }
        total = sum(bytes_of.values())
        for path, count in bytes_of.items():
            if total > self._limit_bytes and path not in self._used:
                shutil.rmtree(path, ignore_errors=True)
                total -= count


def origin_of_stage(stage: DatabaseStage) -> dict[str, Any]:
    """What decides over the arrays of a stage, as JSON has it."""
    return {
        "stage": stage.name,
        "settings": dict(stage.settings),
        "database_sha256": _sha256(stage.database),
        "versions": versions(),
    }


def _sha256(database: BlockedDatabase) -> str:
    digest = hashlib.sha256(f"{database.width} {sorted(database.unranked)}".encode())
    progress = Progress("reading the database for its checksum", database.size, "rows")
    for start in database.starts:
        rows = database.read(start)[: database.size - start]
        digest.update(np.ascontiguousarray(rows))
        progress.advance(len(rows))
    return digest.hexdigest()


def _read(path: pathlib.Path, origin: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The arrays of a folder, or None where there is none, or it is broken."""
    if not path.exists():
        return None
    try:
        value = read_sealed_json(path / DESCRIPTION, "it is made anew")
        if value["origin"] != origin:
            raise UserError(f"{path} is of another origin")
        arrays: dict[str, np.ndarray] = {
            name: open_array(path / f"{name}.npy") for name in value["arrays"]
        }
        for name, array in arrays.items():
            if _description(array, _crc32(array, 0)) != value["arrays"][name]:
                raise UserError(f"{path / name}.npy does not match its checksum")
    except (UserError, KeyError, TypeError, AttributeError) as error:
        print(f"{path} is broken and is made anew: {reason(error)}", flush=True)
        return None
    return arrays


def _make(path: pathlib.Path, origin: Mapping[str, Any], stage: DatabaseStage) -> dict[str, Any]:
    # A place that cannot be written is found out before the work, not after it.
    with _atomic_folder(path) as temporary, contextlib.ExitStack() as stack:
        files: dict[str, _GrowingArray] = {}
        for piece in stage.pieces():
            for name, array in piece.items():
                if name not in files:
                    files[name] = stack.enter_context(_GrowingArray(temporary / f"{name}.npy"))
                files[name].append(array)
        arrays = {name: file.finish() for name, file in files.items()}
        write_sealed_json(temporary / DESCRIPTION, {"origin": origin, "arrays": arrays})
    return {name: open_array(path / f"{name}.npy") for name in files}


def _description(array: np.ndarray, crc32: int) -> dict[str, Any]:
    return {"dtype": array.dtype.str, "shape": list(array.shape), "crc32": crc32}


def _crc32(array: np.ndarray, before: int) -> int:
    """CRC-32 of an array's bytes, some rows at a time, after those of a CRC-32 before."""
    if array.size:
        rows = max(1, _CHECKED_BYTES * len(array) // array.nbytes)
        for start in range(0, len(array), rows):
            some = np.ascontiguousarray(array[start : start + rows])
            before = zlib.crc32(some.reshape(-1).view(np.uint8).data, before)
    return before


class _GrowingArray(contextlib.AbstractContextManager):
    """A `.npy` file to which rows are appended.

    Args:
        path: of the file.
    """

    def __init__(self, path: pathlib.Path):
        self._file = path.open("wb")
        self._rows, self._crc32, self._like = 0, 0, np.zeros(0)

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, array: np.ndarray) -> None:
        """Writes rows of the type and width of those before."""
        if not self._rows:
            self._like = array[:0]
            self._write_header()
        self._file.write(np.ascontiguousarray(array).data)
        self._rows += len(array)
        self._crc32 = _crc32(array, self._crc32)

    def finish(self) -> dict[str, Any]:
        """Completes the file, and describes its array."""
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        shape = [self._rows, *self._like.shape[1:]]
        return {"dtype": self._like.dtype.str, "shape": shape, "crc32": self._crc32}

    def _write_header(self) -> None:
        """NumPy leaves room for the number of rows to grow."""
        header = np.lib.format.header_data_from_array_1_0(self._like)
        header["shape"] = (self._rows, *self._like.shape[1:])
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)


@contextlib.contextmanager
def _atomic_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary folder, which takes the place of the one at `path` at the end.

    Raises:
        UserError: the place cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        with _locked(temporary):
            yield temporary
            temporary.chmod(path.parent.stat().st_mode & 0o777)
            shutil.rmtree(path, ignore_errors=True)
            temporary.rename(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; choose a place that can be written"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds the lock of a folder, without waiting for it.

    Raises:
        OSError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _remove_abandoned(path: pathlib.Path) -> None:
    """Removes what processes that were killed have left: it is as large as the stage."""
    for left in path.parent.glob(f".{path.name}.*"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
