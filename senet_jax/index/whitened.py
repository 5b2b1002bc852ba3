"""The whitened descriptors of an index, beside those that the network gave.

They are in files of the same form, row by row. A whitening is learned on the photographs that are
there; when there are twice as many, another one is, and all rows are whitened anew. Until the
manifest names the new files, everyone reads the former ones.
"""

import dataclasses
import pathlib
from collections.abc import Collection, Iterator

import numpy as np

from senet_jax.index.contents import UNREAD, Appender, Contents, contents_paths, read_contents
from senet_jax.search.database import BlockedDatabase, as_float32
from senet_jax.search.storage import quantise
from senet_jax.search.whitening import Whitening, fit_shrunk_whitening
from senet_jax.system.checksummed import load_arrays, save_arrays
from senet_jax.system.progress import Progress

LEARNED_AGAIN = 2
"""How many times as many photographs as a whitening was learned on make it be learned again."""
WHITENED_ROWS = 8192


@dataclasses.dataclass(frozen=True, eq=False)
class Whitened:
    """Whitened descriptors.

    Attributes:
        whitening: what made them.
        learned_on: on how many descriptors it was learned.
        contents: the rows, under the numbers that they have as the network gave them.
    """

    whitening: Whitening
    learned_on: int
    contents: Contents

    def has(self, digest: bytes, row: int) -> bool:
        """Whether a content is whitened in this row."""
        return self.contents.row_of.get(digest) == row


def whitened_paths(folder: pathlib.Path, number: int) -> list[pathlib.Path]:
    """The files of the whitening of this number."""
    return [_whitening_path(folder, number), *contents_paths(folder, _generation(number))]


def read_whitened(folder: pathlib.Path, number: int | None, no_rows: np.ndarray) -> Whitened | None:
    """The whitened descriptors of this number; None if there are none, or they are broken.

    Args:
        folder: of the index.
        number: see `Manifest.whitening`.
        no_rows: the type and shape of the rows, see `storage.no_rows`.
    """
    if not number:
        return None
    try:
        arrays = load_arrays(_whitening_path(folder, number))
        whitening = Whitening(arrays["mean"], arrays["projection"])
        learned_on = int(arrays["learned_on"])
    except (ValueError, KeyError, TypeError):
        return None
    return Whitened(whitening, learned_on, read_contents(folder, _generation(number), no_rows))


def bring_up_to_date(
    folder: pathlib.Path, number: int, contents: Contents, live: Collection[int], storage: str
) -> int:
    """Whitens what is described and is not whitened yet.

    Args:
        folder: of the index.
        number: of the whitening that the manifest names, 0 if none.
        contents: what is described.
        live: the rows of photographs that are there; on these a whitening is learned.
        storage: of the descriptors, see `quantise`.

    Returns:
        The number of the whitening that has all rows, which the manifest has to name.

    Raises:
        UserError: the files cannot be written, or the descriptors cannot be whitened.
    """
    if not live:
        return number
    no_rows = contents.descriptors[:0]
    there = read_whitened(folder, number, no_rows)
    if there is None or len(live) >= LEARNED_AGAIN * there.learned_on or not _fits(there, contents):
        number += 1
        gone = set(range(len(contents.descriptors))) - set(live)
        database = BlockedDatabase((contents.descriptors,), gone)
        progress = Progress("learning the whitening", database.size, "rows")
        whitening = fit_shrunk_whitening(database, progress.advance)
        save_arrays(_whitening_path(folder, number), **vars(whitening), learned_on=len(live))
        there = Whitened(whitening, len(live), Contents(no_rows, {}, 0))
    _whiten_rest(folder, number, there, contents, storage)
    return number


def _whiten_rest(
    folder: pathlib.Path, number: int, there: Whitened, contents: Contents, storage: str
) -> None:
    first, end = len(there.contents.descriptors), len(contents.descriptors)
    if first == end:
        return
    digest_of = {row: digest for digest, row in contents.row_of.items()}
    progress = Progress("whitening", end - first, "rows")
    with Appender(folder, _generation(number), there.contents) as appender:
        for rows in _parts(first, end):
            digests = [digest_of.get(row, UNREAD) for row in rows]
            numbers = as_float32(contents.descriptors[rows.start : rows.stop])
            # What does not match its checksum may be anything, and is not found.
            known = np.array([digest != UNREAD for digest in digests])
            whitened = there.whitening(np.where(known[:, None], numbers, 0))
            appender.append(digests, quantise(whitened, storage))
            progress.advance(len(rows))


def _parts(first: int, end: int) -> Iterator[range]:
    for start in range(first, end, WHITENED_ROWS):
        yield range(start, min(start + WHITENED_ROWS, end))


def _fits(there: Whitened, contents: Contents) -> bool:
    """Whether the rows that are whitened are those that are described."""
    count = len(there.contents.descriptors)
    return count <= len(contents.descriptors) and all(
        there.has(digest, row) for digest, row in contents.row_of.items() if row < count
    )


def _whitening_path(folder: pathlib.Path, number: int) -> pathlib.Path:
    return folder / f"whitening.{number}.npz"


def _generation(number: int) -> str:
    return f"whitened.{number}"
