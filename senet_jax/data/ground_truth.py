"""Ground truth in the layout of the revisited Oxford and Paris benchmark.

Source: Radenović et al., "Revisiting Oxford and Paris" (CVPR 2018); `gnd_NAME.pkl` is a dict of
`imlist`, `qimlist` and `gnd`, and the same keys may stand in `gnd_NAME.json`.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from senet_jax.data.plain_pickle import load_plain
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.files import parse_json, read_regular

KINDS = ("easy", "hard", "junk")
LOOKALIKES = "lookalikes"
"""The key of an optional fourth list; the benchmark's own ground truth has none."""

_MOST_BYTES = 2**28
_MOST_QUERIES = 2**18
_MOST_ITEMS = 2**24
_LONGEST_NAME = 4095
_LISTS = (list, tuple)


@dataclasses.dataclass(frozen=True, eq=False)
class GroundTruth:
    """Which database images show what a query shows, and how well.

    Attributes:
        image_names: the database's images, without extension; items are indices into it.
        query_names: the queries' images, without extension.
        easy: for each query int64[n], sorted: images that clearly show its landmark.
        hard: for each query int64[n], sorted: images that show it from afar, from aside, or half
            hidden.
        junk: for each query int64[n], sorted: images that are neither right nor wrong; no item is
            in two of the three.
        boxes: float64[q 4], the queries' (x1, y1, x2, y2) in pixels, or None if there are none.
        lookalikes: for each query int64[n], sorted: images of other landmarks that are hard to
            tell from its own, or None where that is not known. No score depends on it.

    Raises:
        UserError: lists of unequal length, a repeated or empty name, an item out of range or
            listed twice, a box that is not finite.
    """

    image_names: tuple[str, ...]
    query_names: tuple[str, ...]
    easy: tuple[np.ndarray, ...]
    hard: tuple[np.ndarray, ...]
    junk: tuple[np.ndarray, ...]
    boxes: np.ndarray | None = None
    lookalikes: tuple[np.ndarray, ...] | None = None

    def __post_init__(self):
        repeated = [name for name, n in collections.Counter(self.image_names).items() if n > 1]
        if repeated:
            raise UserError(
                f"imlist names {shown(repeated[0])} more than once; every image has one row"
            )
        if not all((*self.image_names, *self.query_names)):
            raise UserError("imlist or qimlist holds an empty name; remove it")
        known = KINDS if self.lookalikes is None else (*KINDS, LOOKALIKES)
        for kind in known:
            if len(getattr(self, kind)) != len(self.query_names):
                raise UserError(
                    f"{len(getattr(self, kind))} lists of {kind} items for "
                    f"{len(self.query_names)} queries; each query has one"
                )
        self._check_items(KINDS)
        if self.lookalikes is not None:
            self._check_items((LOOKALIKES,))
        if self.boxes is not None:
            if self.boxes.shape != (len(self.query_names), 4):
                raise UserError(
                    f"boxes of shape {self.boxes.shape} for {len(self.query_names)} queries; "
                    "each query has one (x1, y1, x2, y2)"
                )
            wrong = np.flatnonzero(~np.isfinite(self.boxes).all(axis=1))
            if wrong.size:
                query = int(wrong[0])
                raise UserError(
                    f"{self._title(query)} has the box {self.boxes[query].tolist()}; a box is four "
                    "finite numbers"
                )

    def _title(self, query: int) -> str:
        return f"query {query} ({shown(self.query_names[query])[1:-1]})"

    def _check_items(self, kinds: Sequence[str]) -> None:
        lists = [items for kind in kinds for items in getattr(self, kind)]
        queries = np.arange(len(self.query_names))
        query_of = np.repeat(np.tile(queries, len(kinds)), list(map(len, lists)))
        items = np.concatenate([np.zeros(0, np.int64), *lists])
        order = np.lexsort((items, query_of))
        items, query_of = items[order], query_of[order]
        outside = np.flatnonzero((items < 0) | (items >= len(self.image_names)))
        if outside.size:
            raise UserError(
                f"{self._title(int(query_of[outside[0]]))} lists the item {items[outside[0]]}, but "
                f"imlist has {len(self.image_names)} images; items count from 0"
            )
        again = np.flatnonzero((np.diff(items) == 0) & (np.diff(query_of) == 0))
        if again.size:
            query, item = int(query_of[again[0]]), items[again[0]]
            raise UserError(
                f"{self._title(query)} lists the item {item} more than once; an item is easy, hard "
                "or junk"
            )


def load_ground_truth(path: str | os.PathLike) -> GroundTruth:
    """Reads `gnd_NAME.pkl` or `gnd_NAME.json`.

    Of a pickle, plain containers, numbers, strings and NumPy's arrays of numbers are read, and
    nothing else: a file from the internet runs no code here, and takes no more than its size says.

    Raises:
        UserError: the file is missing, is no ground truth, or does not fit together.
    """
    path = pathlib.Path(path)
    try:
        content = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    try:
        value = parse_json(content) if path.suffix == ".json" else load_plain(content)
    except Exception as error:  # A broken or hostile pickle can raise anything.
        raise UserError(
            f"{path} cannot be read as ground truth: {reason(error)}; get it again"
        ) from error
    try:
        return _from_plain(value)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _from_plain(value: Any) -> GroundTruth:
    keys = ("imlist", "qimlist", "gnd")
    missing = [key for key in keys if not (type(value) is dict and key in value)]
    if missing:
        raise UserError(f"no {', '.join(missing)} in it; a ground truth has imlist, qimlist, gnd")
    image_names, query_names = (_names(value[key], key) for key in ("imlist", "qimlist"))
    if len(query_names) > _MOST_QUERIES:
        raise UserError(f"qimlist has {len(query_names):,} names; {_MOST_QUERIES:,} are the most")
    entries = value["gnd"]
    if type(entries) not in _LISTS or len(entries) != len(query_names):
        raise UserError(f"gnd does not have one entry for each of {len(query_names)} queries")
    for query, entry in enumerate(entries):
        missing = [kind for kind in KINDS if not (type(entry) is dict and kind in entry)]
        if missing:
            raise UserError(f"query {query} has no {', '.join(missing)}; each has easy, hard, junk")
    kinds = (*KINDS, LOOKALIKES) if _all_have(LOOKALIKES, entries) else KINDS
    # Entries of a pickle may be one object, in memory and in the file, as often as it likes.
    listed = sum(len(e[kind]) for e in entries for kind in kinds if type(e[kind]) in _LISTS)
    if listed > _MOST_ITEMS:
        raise UserError(f"gnd lists {listed:,} items; more than {_MOST_ITEMS:,} are not read")
    return GroundTruth(
        image_names=image_names,
        query_names=query_names,
        boxes=np.stack([_box(entry["bbx"], i) for i, entry in enumerate(entries)])
        if _all_have("bbx", entries)
        else None,
        **{
            kind: tuple(_items(entry[kind], f"query {i} {kind}") for i, entry in enumerate(entries))
            for kind in kinds
        },
    )


def _all_have(key: str, entries: Sequence[dict[str, Any]]) -> bool:
    """Whether all entries have an optional key, and not none of them."""
    having = [key in entry for entry in entries]
    if any(having) and not all(having):
        raise UserError(f"query {having.index(False)} has no {key}, others have; give all or none")
    return any(having)


def _names(value: Any, key: str) -> tuple[str, ...]:
    if type(value) not in _LISTS:
        raise UserError(f"{key} is not a list of names, but {shown(value)}")
    for name in value:
        if type(name) is not str or not _is_file_name(name):
            raise UserError(f"{key} is not a list of names: it holds {shown(name)}")
    return tuple(value)


def _is_file_name(name: str) -> bool:
    """Whether an operating system can have a file of that name."""
    try:
        return len(os.fsencode(name)) <= _LONGEST_NAME
    except UnicodeEncodeError:
        return False


def _items(value: Any, label: str) -> np.ndarray:
    if type(value) not in _LISTS or not all(type(item) is int for item in value):
        raise UserError(f"{label} is not a list of integers: {shown(value)}")
    if value and not -(2**63) <= min(value) <= max(value) < 2**63:
        raise UserError(f"{label} lists the item {shown(max(value, key=abs))}, which is no index")
    return np.sort(np.array(value, np.int64))


def _box(value: Any, query: int) -> np.ndarray:
    if (
        type(value) not in _LISTS
        or len(value) != 4
        or not all(type(x) in (int, float) for x in value)
    ):
        raise UserError(f"query {query} has the box {shown(value)}; a box is four numbers")
    return np.array(value, np.float64)
