"""Rows of an index in an index of faiss, in a file."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.faiss_index import Faiss, FaissIndex
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import atomic_write, sha256_of_file
from senet_jax.system.optional import optional_import


@dataclasses.dataclass(frozen=True)
class FaissRows(Faiss):
    """An index of faiss: built when photographs come, then searched faster; it may miss some."""

    grows_in_place: ClassVar[bool] = False

    def check(self) -> None:
        """Raises a `UserError` where faiss is not installed."""
        with optional_import("faiss", "approximate searches"):
            import faiss  # noqa: F401

    def kind(self, size: int) -> str:
        """Faiss's description; how many lists are searched, nothing has to be built for."""
        return self.description(size)

    def made(self, folder: pathlib.Path, name: str, database: BlockedDatabase) -> "FaissFile":
        """An index that has learned from a database; see `Faiss.trained`."""
        return FaissFile(folder, self.trained(database))

    def opened(self, folder: pathlib.Path, name: str, saved: Mapping[str, Any]) -> "FaissFile":
        """Reads what was saved.

        Raises:
            UserError: it cannot be read, or is broken.
        """
        self.check()
        import faiss

        path = _path(folder, name)
        try:
            if sha256_of_file(path) != saved["sha256"]:
                raise UserError(f"{path} does not match its checksum")
            index = faiss.read_index(str(path))
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or reason(error)
            raise UserError(f"cannot read {path}: {why}") from error
        return FaissFile(folder, self.index_of(index, index.ntotal))

    def remove(self, folder: pathlib.Path, name: str) -> None:
        """Removes the file, if it is there."""
        _path(folder, name).unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True, eq=False)
class FaissFile:
    """Rows in memory, and the folder that they are saved in; see `backends.Rows`."""

    folder: pathlib.Path
    held: FaissIndex
    most: int = 2**31 - 1

    def add(self, rows: np.ndarray, descriptors: np.ndarray) -> None:
        """Adds rows that are not there yet."""
        self.held.add(rows, descriptors)

    def save(self, name: str) -> dict[str, Any]:
        """Writes the file of a name, atomically."""
        import faiss

        with atomic_write(_path(self.folder, name)) as temporary:
            try:
                faiss.write_index(self.held.index, str(temporary))
            except RuntimeError as error:  # Of a full disk, for instance.
                raise OSError(reason(error)) from error
            return {"sha256": sha256_of_file(temporary)}

    def nearest(self, queries: np.ndarray, count: int) -> np.ndarray:
        """See `FaissIndex.nearest`."""
        return self.held.nearest(queries, count)

    def close(self) -> None:
        """Nothing is open."""


def _path(folder: pathlib.Path, name: str) -> pathlib.Path:
    return folder / f"faiss.{name}"
