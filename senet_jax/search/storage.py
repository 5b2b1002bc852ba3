"""Descriptors in fewer bits: float16, bfloat16, or int8 with a scale for each row.

Quantised descriptors are a NumPy array with one row for each, and are saved, memory-mapped and
sliced as any others. The rows of bfloat16, which NumPy's files do not know, and of int8, which have
a scale each, are records; the names of the fields tell which.
"""

import ml_dtypes
import numpy as np

from senet_jax.system.errors import printable, shortened, shown

STORAGES = ("float32", "float16", "bfloat16", "int8")
_INT8_LARGEST = 127


def quantise(descriptors: np.ndarray, storage: str) -> np.ndarray:
    """Rounds descriptors to the nearest that a storage can hold.

    Args:
        descriptors: float32[n d], finite.
        storage: one of `STORAGES`.

    Returns:
        float32[n d], float16[n d] (infinite above 65504), or n records; see `dequantise`.
    """
    match storage:
        case "float32":
            return descriptors
        case "float16":
            with np.errstate(over="ignore"):
                return descriptors.astype(np.float16)
        case "bfloat16":
            rows = np.empty(len(descriptors), _bfloat16_record(descriptors.shape[1]))
            rows["bfloat16"] = descriptors.astype(ml_dtypes.bfloat16).view(np.uint16)
            return rows
        case "int8":
            scales = abs(descriptors).max(axis=1, initial=0) / np.float32(_INT8_LARGEST)
            scales[scales < np.finfo(np.float32).tiny] = 1  # Such rows are zeros.
            rows = np.empty(len(descriptors), _int8_record(descriptors.shape[1]))
            rows["scale"] = scales
            rows["int8"] = np.rint(descriptors / scales[:, None])
            return rows
    raise ValueError(f"storage {storage}")


def no_rows(width: int, storage: str) -> np.ndarray:
    """What `quantise` makes of float32[0 d]: the type of rows in a storage, and their shape."""
    return quantise(np.zeros((0, width), np.float32), storage)


def dequantise(rows: np.ndarray, numbers: np.ndarray) -> None:
    """Writes the numbers of descriptors, quantised or not, into float32[n d].

    What is too large for float32 becomes infinite without a warning.
    """
    with np.errstate(over="ignore"):
        if not rows.dtype.names:
            numbers[:] = rows
        elif "bfloat16" in rows.dtype.names:
            numbers[:] = rows["bfloat16"].view(ml_dtypes.bfloat16)
        else:
            np.multiply(rows["int8"], rows["scale"][:, None], out=numbers)


def descriptor_width(array: np.ndarray) -> int | None:
    """The length of the descriptors that an array holds; None if it holds something else.

    Descriptors are a matrix of float16, float32, float64 or integers, or a vector of the records
    that `quantise` makes.
    """
    if not array.dtype.names:
        is_number = array.dtype.kind in "iuf" and array.dtype.itemsize <= 8
        return array.shape[1] if array.ndim == 2 and is_number else None
    width = array.dtype[-1].shape
    if array.ndim != 1 or len(width) != 1:
        return None
    is_record = array.dtype in (_bfloat16_record(*width), _int8_record(*width))
    return width[0] if is_record else None


def type_and_shape(array: np.ndarray) -> str:
    """The type and shape of an array, for errors; types that a file names may be of any length."""
    return f"{shortened(printable(str(array.dtype)), 80)} of shape {shown(array.shape)}"


def _bfloat16_record(width: int) -> np.dtype:
    return np.dtype([("bfloat16", "<u2", (width,))])


def _int8_record(width: int) -> np.dtype:
    return np.dtype([("scale", "<f4"), ("int8", "i1", (width,))])
