"""The ways to search an index, by their names: its files as they are, faiss, or Milvus.

The descriptors of an index stay in its files. What faiss or Milvus holds is made of them, and only
tells which rows may be near a query; these are compared by the descriptors themselves.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from senet_jax.index.faiss_rows import FaissRows
from senet_jax.index.milvus_rows import Milvus
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError, shown
from senet_jax.system.settings import Settings
from senet_jax.system.spelling import parse_spelled


class Rows(Protocol):
    """Rows of a database as a backend holds them."""

    @property
    def most(self) -> int:
        """How many rows can be found for a query at most."""
        ...

    def add(self, rows: np.ndarray, descriptors: np.ndarray) -> None:
        """Adds rows int64[m] with their descriptors float32[m d]."""
        ...

    def save(self, name: str) -> dict[str, Any]:
        """Makes what was added safe; returns, as JSON, what `opened` has to be given."""
        ...

    def nearest(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Rows int64[q count] near each of queries float32[q d]; `NO_MORE` where there are none."""
        ...

    def close(self) -> None:
        """Lets go of files and connections."""
        ...


class Backend(Protocol):
    """What holds rows of a database for the index in a folder, under a name of their own.

    Attributes:
        grows_in_place: whether rows are added under their name; else all are saved under a new one.
    """

    grows_in_place: ClassVar[bool]

    def check(self) -> None:
        """Raises a `UserError` where the backend cannot be had."""
        ...

    def kind(self, size: int) -> str:
        """How so many rows are held; where that changes, they are held anew."""
        ...

    def made(self, folder: pathlib.Path, name: str, database: BlockedDatabase) -> Rows:
        """Rows under a new name, none so far."""
        ...

    def opened(self, folder: pathlib.Path, name: str, saved: Mapping[str, Any]) -> Rows:
        """Rows that were saved; a `UserError` says why they cannot be had, and no mend."""
        ...

    def remove(self, folder: pathlib.Path, name: str) -> None:
        """Removes what is under a name, if anything is."""
        ...


@dataclasses.dataclass(frozen=True)
class Files(Settings):
    """Every descriptor is compared, straight from the files: exact, and nothing is built."""


FILES = "files"
BACKENDS: Mapping[str, type[Settings]] = {FILES: Files, "faiss": FaissRows, "milvus": Milvus}


def canonical(text: str) -> str:
    """One text for all that name the same backend.

    Raises:
        UserError: it names none, or several, or a setting is wrong.
    """
    found = parse_spelled(text, BACKENDS, "backend of an index")
    if len(found) > 1:
        raise UserError(f"{shown(text)} names {len(found)} backends; name one")
    return str(found[0])


def read_backend(text: str) -> Backend | None:
    """The backend of a text such as `faiss(index=IVF1024,PQ64np,probes=32)`; None for `files`.

    Raises:
        UserError: see `canonical`.
    """
    [found] = parse_spelled(canonical(text), BACKENDS, "backend of an index")
    given: dict[str, Any] = dict(found.given)
    backend: Any = BACKENDS[found.name](**given)
    return None if isinstance(backend, Files) else backend
