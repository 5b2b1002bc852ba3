"""What a workdir keeps of results: `report.json`, and beside it the ranked lists.

The lists of an entry are `ranks/ENTRY.npy`, int32[q k] in the form that `score --ranks` takes, and
`scores/ENTRY.npy`, float32[q k], how similar each item is to the query: the dot product of their
descriptors, NaN where a list has ended and for an image that could not be read. Of a re-ranking of
kind `protocol` each protocol has lists of its own, `ENTRY-easy` and so on.
"""

import hashlib
import io
import os
import pathlib
import zlib
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.run_report import Report
from senet_jax.search.ranked_list import FoundLists, RankedList
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import atomic_write, open_array, read_json, read_regular, write_json

REPORT = "report.json"
LISTED = 1000
"""How many items of each query's list are kept."""

_RANKS, _SIMILARITIES = "ranks", "scores"
_LONGEST_NAME = 200  # In bytes; a file system takes 255, and the file that is written has a suffix.


def read_report(
    path: str | os.PathLike, mend: str = "give the JSON that score or an evaluation wrote"
) -> Report:
    """Reads what `score --json`, an evaluation or a training wrote.

    Raises:
        UserError: the file is missing, is no such report, or does not match its checksum.
    """
    value = read_json(path)
    try:
        return Report.from_json(value)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no report of scores: {reason(error)}; {mend}") from error


def write_report(path: str | os.PathLike, report: Report) -> None:
    """Writes a report; see `files.atomic_write`."""
    write_json(path, report.to_json())


def save_lists(workdir: pathlib.Path, name: str, found: FoundLists) -> dict[str, int]:
    """Writes the lists of an entry.

    Args:
        workdir: of the run.
        name: of the entry, or of a protocol's lists of it.
        found: the lists, of at most `LISTED` items.

    Returns:
        For each file, relative to the workdir, its CRC-32: what `Run.files_crc32` keeps.

    Raises:
        UserError: they cannot be written.
    """
    arrays = {
        _file(_RANKS, name): found.ranked.ranks.astype(np.int32),
        _file(_SIMILARITIES, name): found.similarities,
    }
    checksums = {}
    for file, array in arrays.items():
        content = io.BytesIO()
        np.lib.format.write_array(content, array, allow_pickle=False)
        with atomic_write(workdir / file) as temporary:
            temporary.write_bytes(content.getvalue())
        checksums[file] = zlib.crc32(content.getvalue())
    return checksums


def checksums_of_lists(workdir: pathlib.Path, names: Iterable[str]) -> dict[str, int]:
    """What `save_lists` has given for those of some entries whose lists are there.

    Raises:
        UserError: a file cannot be read.
    """
    files = [_file(folder, name) for name in names for folder in (_RANKS, _SIMILARITIES)]
    return {f: zlib.crc32(_read(workdir / f)) for f in files if (workdir / f).exists()}


def has_lists(name: str, files_crc32: Mapping[str, int]) -> bool:
    """Whether a run has kept the lists of an entry, or of a protocol of it."""
    return files_crc32.keys() >= {_file(_RANKS, name), _file(_SIMILARITIES, name)}


def load_lists(
    workdir: pathlib.Path, name: str, files_crc32: Mapping[str, int], database_size: int
) -> FoundLists:
    """Reads the lists of an entry, which the run has kept; see `has_lists`.

    Args:
        workdir: of the run.
        name: of the entry, or of a protocol's lists of it.
        files_crc32: of the run.
        database_size: how many items were ranked.

    Raises:
        UserError: a file is missing, does not match its checksum, or lists items that are not
            there.
    """
    files = _file(_RANKS, name), _file(_SIMILARITIES, name)
    ranks, similarities = (_read_array(workdir / f, files_crc32[f]) for f in files)
    try:
        return FoundLists(RankedList(ranks, database_size), similarities)
    except (UserError, ValueError) as error:
        raise UserError(f"{workdir / files[0]}: {reason(error)}; run the command again") from error


def kept_files(files_crc32: Mapping[str, int], names: Collection[str]) -> dict[str, int]:
    """Of the files of a run those that hold the lists of some entries, or of their protocols."""
    lists = [*names, *(protocol_lists(name, p.name) for name in names for p in PROTOCOLS)]
    files = {_file(folder, name) for folder in (_RANKS, _SIMILARITIES) for name in lists}
    return {file: crc32 for file, crc32 in files_crc32.items() if file in files}


def protocol_lists(name: str, protocol: str) -> str:
    """What the lists are called that an entry has for a protocol alone."""
    return f"{name}-{protocol}"


def _file(folder: str, name: str) -> str:
    """The file of an entry's lists; a name that no file can have is told apart by a hash."""
    stem = name.encode(errors="replace").replace(b"/", b"_").replace(b"\0", b"_")[:_LONGEST_NAME]
    text = stem.decode(errors="ignore")
    if text != name:
        text += "-" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{folder}/{text}.npy"


def _read(path: pathlib.Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; run the command again that made it"
        ) from error


def _read_array(path: pathlib.Path, crc32: int) -> np.ndarray:
    content = _read(path)
    if zlib.crc32(content) != crc32:
        raise UserError(
            f"{path} does not match its checksum in {REPORT}; run the command again that made it"
        )
    return np.array(open_array(path))
