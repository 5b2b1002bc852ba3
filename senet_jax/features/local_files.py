"""Local features in files of the user's: DELG's `.delg_local`, and `.npz`.

A `.delg_local` file is a protocol buffer `DelfFeatures`, a list of features in the order of falling
score, each with its descriptor as a `DatumProto`. A `.npz` file holds `keypoints` [n 2], x and y,
`descriptors` [n d], `scores` [n] and `scales` [n].
"""

import io
import os
from collections.abc import Callable

import numpy as np

from senet_jax.features.local_features import LocalFeatures
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import read_regular
from senet_jax.system.protobuf import as_bytes, datum, fields, floats

LIMIT_BYTES = 2**28
MOST_FEATURES = 100_000
_SHAPES = {
    "keypoints": (2, "[n, 2]"),
    "descriptors": (2, "[n, d]"),
    "scores": (1, "[n]"),
    "scales": (1, "[n]"),
}
_PLACES = {2: "x", 3: "y", 4: "scale", 6: "strength"}


def read_delg_local(path: str | os.PathLike) -> LocalFeatures:
    """The local features in a `.delg_local` file.

    Points are in pixels of what was described: of a query that was cut to its box, of the box.

    Raises:
        UserError: the file cannot be read, or is none; its descriptors differ in width.
    """
    return _read(path, _features)


def read_npz_local(path: str | os.PathLike) -> LocalFeatures:
    """The local features in a `.npz` file; points are in pixels of the whole photograph.

    Raises:
        UserError: the file cannot be read, or arrays are missing or of other shapes.
    """
    return _read(path, _arrays)


def _read(path: str | os.PathLike, parse: Callable[[bytes], LocalFeatures]) -> LocalFeatures:
    try:
        found = parse(read_regular(path, LIMIT_BYTES))
        if not all(np.isfinite(part).all() for part in list(vars(found).values())[:4]):
            raise ValueError("a point, a descriptor, a score or a scale is not finite")
        if not found.descriptors.shape[1] and len(found.descriptors):
            raise ValueError("its descriptors hold no numbers")
    except Exception as error:  # NumPy and zip raise anything at broken files.
        raise UserError(
            f"cannot read the local features {path}: {reason(error)}; write the file anew"
        ) from error
    return found


def _arrays(content: bytes) -> LocalFeatures:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        if sum(entry.file_size for entry in archive.zip.infolist()) > LIMIT_BYTES:
            raise ValueError(f"its arrays have more than {LIMIT_BYTES:,} bytes")
        arrays = {name: np.asarray(archive[name]) for name in _SHAPES if name in archive}
    missing = [name for name in _SHAPES if name not in arrays]
    if missing:
        raise ValueError(f"it has no array {missing[0]}")
    count = len(np.atleast_1d(arrays["keypoints"]))
    for name, (dimensions, told) in _SHAPES.items():
        shape, kind = arrays[name].shape, arrays[name].dtype.kind
        if len(shape) != dimensions or shape[0] != count or kind not in "fiu":
            raise ValueError(f"{name} is {kind}{list(shape)}; it has to be numbers {told}")
    if arrays["keypoints"].shape[1] != 2:
        raise ValueError(f"keypoints have {arrays['keypoints'].shape[1]} numbers; give x and y")
    with np.errstate(over="ignore"):
        columns = {name: array.astype(np.float32) for name, array in arrays.items()}
    return LocalFeatures(**columns, stride=np.nan)


def _features(content: bytes) -> LocalFeatures:
    rows, descriptors = [], []
    for field, value in fields(memoryview(content)):
        if field != 1:
            continue
        row = dict.fromkeys(_PLACES.values(), 0.0)
        descriptor = np.zeros(0, np.float32)
        for inner, part in fields(as_bytes(value)):
            if inner == 1:
                descriptor = datum(as_bytes(part))
            elif inner in _PLACES:
                [row[_PLACES[inner]]] = floats(part)
        rows.append(tuple(row.values()))
        descriptors.append(descriptor)
        if len(rows) > MOST_FEATURES:
            raise ValueError(f"it has more than {MOST_FEATURES:,} features")
    widths = {len(descriptor) for descriptor in descriptors}
    if len(widths) > 1:
        raise ValueError(f"its descriptors have {min(widths)} to {max(widths)} numbers")
    columns = np.array(rows, np.float32).reshape(-1, len(_PLACES))
    return LocalFeatures(
        keypoints=columns[:, :2],
        descriptors=np.array(descriptors, np.float32).reshape(len(rows), -1 if rows else 0),
        scores=columns[:, 3],
        scales=columns[:, 2],
        stride=np.nan,
    )
