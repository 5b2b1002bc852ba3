"""Which content the files of a folder of photographs have, as they were last looked at."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from senet_jax.data.file_state import FILE_STATE
from senet_jax.index.contents import split_digests
from senet_jax.system.checksummed import load_arrays, save_arrays

LISTING = "files.npz"
_SEPARATOR = "\0"
"""Which no name of a file holds."""


@dataclasses.dataclass(frozen=True, eq=False)
class Listing:
    """The photographs of a folder.

    Attributes:
        folder: where they are, in full.
        names: of their files, sorted, relative to the folder.
        files: `FILE_STATE`[n]; zeros for a file that cannot be read.
    """

    folder: pathlib.Path
    names: Sequence[str]
    files: np.ndarray

    @functools.cached_property
    def digests(self) -> list[bytes]:
        """Of the files' contents; `contents.UNREAD` for a file that cannot be read."""
        return split_digests(np.ascontiguousarray(self.files["digest"]).tobytes())

    @functools.cached_property
    def row_of(self) -> Mapping[str, int]:
        """Name of a file -> its row."""
        return {name: row for row, name in enumerate(self.names)}

    def path(self, name: str) -> str:
        """The file of a name, in full."""
        return os.path.join(self.folder, name)

    def states_of(self, names: Sequence[str]) -> np.ndarray:
        """The states of files `FILE_STATE`[m], zeros for those that are not listed."""
        states = np.zeros(len(names), FILE_STATE)
        rows = np.array([self.row_of.get(name, -1) for name in names], np.int64)
        states[rows >= 0] = self.files[rows[rows >= 0]]
        return states

    def is_equal(self, other: "Listing") -> bool:
        """Whether the other one says the same of the same files."""
        named = self.folder == other.folder and list(self.names) == list(other.names)
        return named and self.files.tobytes() == other.files.tobytes()


def save_listing(folder: pathlib.Path, listing: Listing) -> None:
    """Writes a listing into the folder of an index.

    Raises:
        UserError: the folder cannot be written.
    """
    save_arrays(
        folder / LISTING,
        folder=_as_bytes(str(listing.folder)),
        names=_as_bytes("".join(f"{name}{_SEPARATOR}" for name in listing.names)),
        files=listing.files,
    )


def load_listing(folder: pathlib.Path) -> Listing | None:
    """The listing of an index; None if there is none, or it is broken."""
    try:
        arrays = load_arrays(folder / LISTING)
        names = _as_text(arrays["names"]).split(_SEPARATOR)[:-1]
        listing = Listing(pathlib.Path(_as_text(arrays["folder"])), names, arrays["files"])
    except (ValueError, KeyError):
        return None
    is_whole = listing.files.dtype == FILE_STATE and listing.files.shape == (len(names),)
    return listing if is_whole else None


def _as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(os.fsencode(text), np.uint8)


def _as_text(array: np.ndarray) -> str:
    return os.fsdecode(array.tobytes())
