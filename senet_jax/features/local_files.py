"""Local features in files of the user's, one a photograph: DELG's `.delg_local`, and `.npz`.

A `.delg_local` file is a protocol buffer `DelfFeatures`, a list of features in the order of falling
score, each with its descriptor as a `DatumProto`. A `.npz` file holds `keypoints` [n 2], x and y,
`descriptors` [n d], `scores` [n] and `scales` [n]. For a file of many photographs see
`local_archive`.
"""

import dataclasses
import io
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from senet_jax.features.local_features import LocalFeatures
from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import read_regular
from senet_jax.system.protobuf import as_bytes, datum, fields, floats

LIMIT_BYTES = 2**28
MOST_FEATURES = 100_000
SHAPES = {
    "keypoints": (2, "[n, 2]"),
    "descriptors": (2, "[n, d]"),
    "scores": (1, "[n]"),
    "scales": (1, "[n]"),
}
_PLACES = {2: "x", 3: "y", 4: "scale", 6: "strength"}


@dataclasses.dataclass(frozen=True, eq=False)
class FromFile:
    """The local features of a photograph, as a file has them.

    Attributes:
        features: of the photograph.
        place: where they stand, for errors.
        of_box: whether points are of what the box of a query cuts out, instead of all of it.
        size: width and height of the photograph, where the file tells them.
    """

    features: LocalFeatures
    place: str
    of_box: bool = False
    size: tuple[int, int] | None = None


class LocalFolder:
    """A folder of local features: `a/b.jpg` has `a/b.npz` or `a/b.delg_local`.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder

    def read(self, file_name: str) -> FromFile:
        """Those of a photograph.

        Raises:
            UserError: there is no file of it, or none that can be read.
        """
        base = self._folder / file_name
        delg, npz = (base.with_suffix(suffix) for suffix in (".delg_local", ".npz"))
        if delg.exists():
            return FromFile(read_delg_local(delg), str(delg), of_box=True)
        if npz.exists():
            return FromFile(read_npz_local(npz), str(npz))
        raise UserError(
            f"no {npz} or {delg.name}; config.local_features has one for every photograph"
        )


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
        return checked(parse(read_regular(path, LIMIT_BYTES)))
    except Exception as error:  # NumPy and zip raise anything at broken files.
        raise unreadable(path, error) from error


def unreadable(place: object, error: Exception) -> UserError:
    """What to say of features that cannot be read."""
    return UserError(
        f"cannot read the local features {place}: {reason(error)}; write the file anew"
    )


def checked(found: LocalFeatures) -> LocalFeatures:
    """The same features.

    Raises:
        ValueError: a number is not finite, or descriptors have none.
    """
    if not all(np.isfinite(part).all() for part in list(vars(found).values())[:4]):
        raise ValueError("a point, a descriptor, a score or a scale is not finite")
    if not found.descriptors.shape[1] and len(found.descriptors):
        raise ValueError("its descriptors hold no numbers")
    return found


def of_arrays(arrays: Mapping[str, np.ndarray]) -> LocalFeatures:
    """Local features of the four arrays that a `.npz` file holds.

    Raises:
        ValueError: one is missing, or of another shape.
    """
    missing = [name for name in SHAPES if name not in arrays]
    if missing:
        raise ValueError(f"it has no array {missing[0]}")
    count = len(np.atleast_1d(arrays["keypoints"]))
    for name, (dimensions, told) in SHAPES.items():
        shape, kind = arrays[name].shape, arrays[name].dtype.kind
        if len(shape) != dimensions or shape[0] != count or kind not in "fiu":
            raise ValueError(f"{name} is {kind}{list(shape)}; it has to be numbers {told}")
    if arrays["keypoints"].shape[1] != 2:
        raise ValueError(f"keypoints have {arrays['keypoints'].shape[1]} numbers; give x and y")
    with np.errstate(over="ignore"):
        columns = {name: arrays[name].astype(np.float32) for name in SHAPES}
    return LocalFeatures(**columns, stride=np.nan)


def _arrays(content: bytes) -> LocalFeatures:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        if sum(entry.file_size for entry in archive.zip.infolist()) > LIMIT_BYTES:
            raise ValueError(f"its arrays have more than {LIMIT_BYTES:,} bytes")
        return of_arrays({n: np.asarray(archive[n]) for n in SHAPES if n in archive})


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
