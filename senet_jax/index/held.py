"""What a backend holds of an index: kept up to date, and asked.

`backend.json` in the folder of the index names the backend, and says of what it was made. It is
written when what it tells of is safe. A backend that is behind, since an update goes on or was
ended, is of use all the same: the rows that it does not hold are compared one by one.
"""

import base64
import dataclasses
import pathlib
import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.index.backends import FILES, Backend, Rows, canonical, read_backend
from senet_jax.search.backends import recall
from senet_jax.search.database import BlockedDatabase, read_items
from senet_jax.search.exact import top_k
from senet_jax.search.ranked_list import NO_MORE, RankedList
from senet_jax.system.checksummed import read_sealed_json, write_sealed_json
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress

RECORD = "backend.json"
MOST_GONE = 1000
"""How many rows of photographs that are gone a backend may hold before all is held anew."""
MOST_OTHERS = 8192
"""How many rows that a backend does not hold are compared one by one; with more, all are."""
SPARE = 100
"""How many rows more than twice the asked ones a backend is asked for: it ranks them roughly."""
SAMPLES = 64
RECALL_AT = 10


@dataclasses.dataclass(frozen=True)
class Built:
    """What a backend holds.

    Attributes:
        backend: its text.
        name: of what it holds, see `Backend`.
        kind: see `Backend.kind`.
        key: of the descriptors that it was made of.
        size: how many rows there were.
        held: which of them it holds, see `_packed`.
        saved: see `Rows.save`.
        recall: of a query's ten nearest, the share that is found; None where it was not measured.
    """

    backend: str
    name: str
    kind: str
    key: str
    size: int
    held: str
    saved: Mapping[str, Any]
    recall: float | None


@dataclasses.dataclass(frozen=True)
class Record:
    """The backend of an index.

    Attributes:
        backend: the text that a user gave.
        built: what it holds, None before it was made.
        left: text and name of what may be there besides, and is to be removed.
    """

    backend: str = FILES
    built: Built | None = None
    left: Sequence[Sequence[str]] = ()

    def write(self, folder: pathlib.Path) -> None:
        """Writes it into the folder of an index."""
        write_sealed_json(folder / RECORD, dataclasses.asdict(self))


def read_record(folder: pathlib.Path) -> Record:
    """The record of an index; that of the files where there is none.

    Raises:
        UserError: it is broken.
    """
    path = folder / RECORD
    if not path.exists():
        return Record()
    mend = f"remove it and run senet-jax index PHOTOS {folder} --backend=BACKEND"
    value = read_sealed_json(path, mend)
    try:
        built = value["built"] and Built(**value["built"])
        return Record(value["backend"], built, value["left"])
    except (TypeError, KeyError) as error:
        raise UserError(f"{path} is of another format; {mend}") from error


def chosen(folder: pathlib.Path, text: str | None) -> str:
    """The backend that a user names, or else that of the index; checked that it can be had.

    Raises:
        UserError: there is none of this name, or it cannot be had.
    """
    found = read_record(folder).backend if text is None else canonical(text)
    backend = read_backend(found)
    if backend is not None:
        backend.check()
    return found


def bring_up_to_date(
    folder: pathlib.Path, database: BlockedDatabase, key: str, text: str
) -> list[str]:
    """Has a backend hold the rows of a database that are ranked; what others held is removed.

    Ended at any moment, it leaves what was held before or what is held then, and the next call goes
    on or begins anew.

    Args:
        folder: of the index.
        database: what is searched.
        key: of its rows; where it is another one than before, all rows may be others.
        text: of the backend, see `chosen`.

    Returns:
        A line for each thing that a user should know.

    Raises:
        UserError: the backend refuses, or the folder cannot be written.
    """
    record, backend = read_record(folder), read_backend(text)
    if backend is None:
        if record == Record():
            return []
        emptied = Record(text, None, [*record.left, *_named(record.built)])
        emptied.write(folder)
        left, lines = _cleared(folder, emptied)
        if not left:
            (folder / RECORD).unlink()
        return lines
    is_ranked = _ranked(database)
    rows, built, lines = _former(folder, backend, record.built, key, is_ranked)
    is_held = _unpacked(built, database.size)
    missing = np.flatnonzero(is_ranked & ~is_held)
    if built is None or missing.size or built.backend != text:
        name = built.name if built and backend.grows_in_place else secrets.token_hex(4)
        if built is None or name != built.name:
            record = dataclasses.replace(record, backend=text, left=[*record.left, (text, name)])
            record.write(folder)
        rows = rows or backend.made(folder, name, database)
        _add(rows, database, missing, text)
        saved = rows.save(name)
        is_held[missing] = True
        share = _measured_recall(Held(text, rows, is_held), database)
        kind = backend.kind(database.size)
        now = Built(text, name, kind, key, database.size, _packed(is_held), saved, share)
        names = [*record.left, *_named(record.built)]
        record = Record(text, now, [left for left in names if left[1] != name])
        record.write(folder)
        told = "" if share is None else f", recall@{RECALL_AT} {share:.3f}"
        lines.append(f"{text}: {is_held.sum():,} rows, {missing.size:,} of them new{told}")
    if rows is not None:
        rows.close()
    return lines + _cleared(folder, record)[1]


def _named(built: Built | None) -> list[Sequence[str]]:
    return [] if built is None else [(built.backend, built.name)]


def _former(
    folder: pathlib.Path, backend: Backend, built: Built | None, key: str, is_ranked: np.ndarray
) -> tuple[Rows | None, Built | None, list[str]]:
    """What is held already, if rows can be added to it; and why not, where it is broken."""
    if built is None or type(read_backend(built.backend)) is not type(backend):
        return None, None, []
    gone = _unpacked(built, len(is_ranked)) & ~is_ranked
    if (built.key, built.kind) != (key, backend.kind(len(is_ranked))) or gone.sum() > MOST_GONE:
        return None, None, []
    try:
        return backend.opened(folder, built.name, built.saved), built, []
    except UserError as error:
        return None, None, [f"{built.backend} is made anew: {error}"]


def _add(rows: Rows, database: BlockedDatabase, missing: np.ndarray, text: str) -> None:
    progress = Progress(f"adding to {text.partition('(')[0]}", len(missing), "rows")
    for start in range(0, database.size, database.block_rows):
        here = missing[(missing >= start) & (missing < start + database.block_rows)]
        if here.size:
            block = database.read(start)
            database.check_finite(start, block)
            rows.add(here, block[here - start])
            progress.advance(here.size)


def _cleared(folder: pathlib.Path, record: Record) -> tuple[list[Sequence[str]], list[str]]:
    """What could not be removed of what is left, and why; the record is written if it changes."""
    left, lines = [], []
    for text, name in record.left:
        backend = read_backend(text)
        try:
            if backend is not None:
                backend.remove(folder, name)
        except UserError as error:
            left.append((text, name))
            lines.append(f"what {text} held is left there: {error}")
    if len(left) != len(record.left):
        dataclasses.replace(record, left=left).write(folder)
    return left, lines


@dataclasses.dataclass(frozen=True, eq=False)
class Held:
    """Rows of a database that a backend holds.

    Attributes:
        backend: its text.
        rows: what is asked; None where nothing is held.
        is_held: bool[n], which rows of the database these are.
    """

    backend: str
    rows: Rows | None
    is_held: np.ndarray

    def nearest(self, queries: np.ndarray, top: int, database: BlockedDatabase) -> list | None:
        """For each query the rows among which its best ones are, as far as the backend finds them.

        Args:
            queries: float32[q d].
            top: how many best ones are wanted.
            database: whose rows they are.

        Returns:
            int64[m] for each query, ranked rows in ascending order, at least `top` or all; None
            where all rows have to be compared, or may as well be.
        """
        is_ranked = _ranked(database)
        others = np.flatnonzero(is_ranked & ~self.is_held)
        count = 2 * top + SPARE + int((self.is_held & ~is_ranked).sum())
        if self.rows is None or others.size > MOST_OTHERS:
            return None
        if count > self.rows.most or count + others.size >= is_ranked.sum():
            return None
        near = []
        for found in self.rows.nearest(queries, count):
            found = found[(found >= 0) & (found < database.size)]
            near.append(np.union1d(found[is_ranked[found]], others))
        return near if all(len(rows) >= top for rows in near) else None

    def remark(self, database: BlockedDatabase) -> str | None:
        """A line for a user where the backend is behind the index."""
        behind = int((_ranked(database) & ~self.is_held).sum())
        if self.backend == FILES or not behind:
            return None
        return (
            f"{self.backend} does not hold {behind:,} descriptors yet, which are compared one by "
            "one; see senet-jax index"
        )


def open_held(folder: pathlib.Path, database: BlockedDatabase, key: str) -> Held:
    """What the backend of an index holds; nothing where it is of other rows.

    Args:
        folder: of the index.
        database: what is searched.
        key: see `bring_up_to_date`.

    Raises:
        UserError: it is broken, or cannot be had.
    """
    while True:
        record = read_record(folder)
        built = record.built
        backend = built and read_backend(built.backend)
        if built is None or backend is None or built.key != key:
            return Held(record.backend, None, np.zeros(database.size, bool))
        try:
            rows = backend.opened(folder, built.name, built.saved)
        except UserError as error:
            if read_record(folder) != record:  # It was brought up to date since.
                continue
            raise UserError(f"{error}; run senet-jax index PHOTOS {folder}") from error
        return Held(record.backend, rows, _unpacked(built, database.size))


def _measured_recall(held: Held, database: BlockedDatabase) -> float | None:
    """Of some rows' nearest others the share that is found; None where all are compared anyway."""
    ranked = np.flatnonzero(_ranked(database))
    samples = ranked[:: max(1, len(ranked) // SAMPLES)][:SAMPLES]
    queries = read_items(database, samples)
    near = held.nearest(queries, RECALL_AT + 1, database)
    if near is None:
        return None
    exact = top_k(queries, database, RECALL_AT + 1).ranks
    lists = np.array([_others(*each) for each in zip(exact, samples, strict=True)])
    found = np.full((len(near), max(map(len, near))), NO_MORE)
    for query, rows in enumerate(near):
        found[query, : len(rows)] = rows
    size = database.size
    return recall(RankedList(lists, size), RankedList(found, size), found.shape[1])


def _others(rows: np.ndarray, own: int) -> np.ndarray:
    return rows[rows != own][:RECALL_AT]


def _ranked(database: BlockedDatabase) -> np.ndarray:
    is_ranked = np.ones(database.size, bool)
    is_ranked[list(database.unranked)] = False
    return is_ranked


def _packed(is_held: np.ndarray) -> str:
    """bool[n] as a text, short where neighbours are alike."""
    return base64.b64encode(zlib.compress(np.packbits(is_held).tobytes())).decode()


def _unpacked(built: Built | None, size: int) -> np.ndarray:
    """bool[size], which rows are held of so many as there are now."""
    is_held = np.zeros(size, bool)
    if built is not None:
        packed = np.frombuffer(zlib.decompress(base64.b64decode(built.held)), np.uint8)
        is_held[: built.size] = np.unpackbits(packed, count=built.size)
    return is_held
