"""Ground truth in the layout of the revisited Oxford and Paris benchmark.

Source: Radenović et al., "Revisiting Oxford and Paris" (CVPR 2018); `gnd_NAME.pkl` is a dict of
`imlist`, `qimlist` and `gnd`, and the same keys may stand in `gnd_NAME.json`.
"""

import collections
import dataclasses
import io
import json
import os
import pathlib
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.errors import UserError

KINDS = ("easy", "hard", "junk")


@dataclasses.dataclass(frozen=True, eq=False)
class GroundTruth:
    """Which database images show what a query shows, and how well.

    Attributes:
        image_names: the database's images, without extension; items are indices into it.
        query_names: the queries' images, without extension.
        easy: for each query int64[n], sorted: images that clearly show its landmark.
        hard: likewise, images that show it from far off, from aside, or half hidden.
        junk: likewise, images that are neither right nor wrong; no item is in two of the three.
        boxes: float64[q 4], the queries' (x1, y1, x2, y2) in pixels, or None if there are none.

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

    def __post_init__(self):
        repeated = [name for name, n in collections.Counter(self.image_names).items() if n > 1]
        if repeated:
            raise UserError(f"imlist names {repeated[0]!r} more than once; every image has one row")
        if not all((*self.image_names, *self.query_names)):
            raise UserError("imlist or qimlist holds an empty name; remove it")
        for kind in KINDS:
            if len(getattr(self, kind)) != len(self.query_names):
                raise UserError(
                    f"{len(getattr(self, kind))} lists of {kind} items for "
                    f"{len(self.query_names)} queries; each query has one"
                )
        for query in range(len(self.query_names)):
            self._check_items(query)
        if self.boxes is not None:
            if self.boxes.shape != (len(self.query_names), 4):
                raise UserError(
                    f"boxes of shape {self.boxes.shape} for {len(self.query_names)} queries; "
                    "each query has one (x1, y1, x2, y2)"
                )
            for query, box in enumerate(self.boxes):
                if not np.isfinite(box).all():
                    raise UserError(
                        f"query {query} ({self.query_names[query]}) has the box {box.tolist()}; "
                        "a box is four finite numbers"
                    )

    def _check_items(self, query: int) -> None:
        name = f"query {query} ({self.query_names[query]})"
        items = np.concatenate([getattr(self, kind)[query] for kind in KINDS])
        outside = items[(items < 0) | (items >= len(self.image_names))]
        if outside.size:
            raise UserError(
                f"{name} lists the item {outside[0]}, but imlist has {len(self.image_names)} "
                "images; items count from 0"
            )
        values, counts = np.unique(items, return_counts=True)
        if (counts > 1).any():
            raise UserError(
                f"{name} lists the item {values[counts > 1][0]} more than once; an item is easy, "
                "hard or junk"
            )


def load_ground_truth(path: str | os.PathLike) -> GroundTruth:
    """Reads `gnd_NAME.pkl` or `gnd_NAME.json`.

    A pickle is read by an unpickler that can build plain containers, numbers, strings and NumPy
    arrays, and nothing else: a file from the internet runs no code here.

    Raises:
        UserError: the file is missing, is no ground truth, or does not fit together.
    """
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    try:
        if path.suffix == ".json":
            value = json.loads(content)
        else:
            value = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # A broken or hostile pickle can raise anything.
        raise UserError(f"{path} cannot be read as ground truth: {error}; get it again") from error
    try:
        return _from_plain(value)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


_PLAIN_GLOBALS = {
    "builtins": {"set", "frozenset", "bytes", "bytearray", "complex"},
    "__builtin__": {"set", "frozenset", "bytes", "bytearray", "complex"},
    "collections": {"OrderedDict"},
    "_codecs": {"encode"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _PLAIN_GLOBALS.get(module, ()):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not plain data")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _from_plain(value: Any) -> GroundTruth:
    missing = [key for key in ("imlist", "qimlist", "gnd") if not _has(value, key)]
    if missing:
        raise UserError(f"no {', '.join(missing)} in it; a ground truth has imlist, qimlist, gnd")
    entries = value["gnd"]
    if not isinstance(entries, Sequence | np.ndarray) or len(entries) != len(value["qimlist"]):
        raise UserError(f"gnd does not have one entry for each of {len(value['qimlist'])} queries")
    for query, entry in enumerate(entries):
        missing = [kind for kind in KINDS if not _has(entry, kind)]
        if missing:
            raise UserError(f"query {query} has no {', '.join(missing)}; each has easy, hard, junk")
    boxed = [_has(entry, "bbx") for entry in entries]
    if any(boxed) and not all(boxed):
        raise UserError(f"query {boxed.index(False)} has no bbx, others have; give all or none")
    return GroundTruth(
        image_names=_names(value["imlist"], "imlist"),
        query_names=_names(value["qimlist"], "qimlist"),
        boxes=np.stack([_box(entry["bbx"], i) for i, entry in enumerate(entries)])
        if boxed and all(boxed)
        else None,
        **{
            kind: tuple(_items(entry[kind], f"query {i} {kind}") for i, entry in enumerate(entries))
            for kind in KINDS
        },
    )


def _has(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and key in value


def _names(value: Any, key: str) -> tuple[str, ...]:
    names = tuple(value)
    wrong = next((name for name in names if not isinstance(name, str)), None)
    if isinstance(value, str) or wrong is not None:
        raise UserError(f"{key} is not a list of names: it holds {wrong!r}")
    return tuple(map(str, names))


def _items(value: Any, label: str) -> np.ndarray:
    try:
        items = np.asarray(value)
    except ValueError as error:
        raise UserError(f"{label} is not a list of integers: {value!r}") from error
    if items.size == 0:
        return np.zeros(0, np.int64)
    if items.ndim != 1 or items.dtype.kind not in "iu":
        raise UserError(f"{label} is not a list of integers, but {items.dtype} of {items.shape}")
    return np.sort(items.astype(np.int64))


def _box(value: Any, query: int) -> np.ndarray:
    try:
        box = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"query {query} has the box {value!r}; a box is four numbers") from error
    if box.shape != (4,):
        raise UserError(f"query {query} has a box of shape {box.shape}; a box is four numbers")
    return box
