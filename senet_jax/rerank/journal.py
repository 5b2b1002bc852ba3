"""Scores of pairs that are kept on disk as soon as they are computed, and never computed twice."""

import hashlib
import json
import os
import pathlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import atomic_write

Key = tuple[str, str]
"""Of the features of a query and of an item: all that decides over them."""


class Known(NamedTuple):
    """What is known of a pair.

    Attributes:
        score: as a float32 has it.
        seconds: that it took to compute.
    """

    score: float
    seconds: float


class Journal:
    """Scores by the keys of both features, one line each with its CRC-32.

    Lines that are broken, as a run that was killed may leave one, are cut out of the file.

    Args:
        path: of the file; None keeps scores in memory alone.

    Attributes:
        known: what is known, by keys.

    Raises:
        UserError: the file cannot be read or written.
    """

    def __init__(self, path: pathlib.Path | None = None):
        self._path = path
        self.known: dict[Key, Known] = {}
        if path is None or not path.exists():
            return
        try:
            lines = path.read_bytes().splitlines(keepends=True)
        except OSError as error:
            raise UserError(f"cannot read {path}: {reason(error)}; remove it") from error
        whole = [line for line in lines if self._take(line)]
        if whole != lines:
            broken = f"{len(lines) - len(whole)} of {len(lines)}"
            print(f"{path}: {broken} lines are broken; their pairs are scored anew")
            with atomic_write(path) as temporary:
                temporary.write_bytes(b"".join(whole))

    @classmethod
    def of(cls, folder: pathlib.Path, method: str, settings: Mapping[str, Any]) -> "Journal":
        """The scores that stand beside features in a folder.

        Args:
            folder: of the features.
            method: of scoring.
            settings: of the method, all on which scores depend, as JSON has it.
        """
        made_by = json.dumps([method, dict(settings)], sort_keys=True).encode()
        return cls(folder / f"scores-{hashlib.sha256(made_by).hexdigest()[:16]}.csv")

    def _take(self, line: bytes) -> bool:
        """Takes what a line tells, if it is whole."""
        content, comma, checksum = line.rpartition(b",")
        if not comma or checksum != b"%08x\n" % zlib.crc32(content):
            return False
        query, item, score, seconds = content.decode().split(",")
        self.known[query, item] = Known(float(score), float(seconds))
        return True

    def add(self, keys: Sequence[Key], scores: npt.ArrayLike, seconds: float) -> None:
        """Writes scores down, which took so many seconds together.

        Raises:
            UserError: the file cannot be written.
        """
        each = float(f"{seconds / max(1, len(keys)):.3g}")
        lines = []
        for (query, item), score in zip(keys, np.asarray(scores, np.float32).tolist(), strict=True):
            self.known[query, item] = Known(score, each)
            content = f"{query},{item},{score},{each}"
            lines.append(f"{content},{zlib.crc32(content.encode()):08x}\n")
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"cannot write {self._path}: {reason(error)}; choose a place that can be written"
            ) from error
