"""NumPy's arrays of numbers in files of PyTorch, built by functions of our own.

PyTorch's reader of safe pickles would call NumPy's functions if it were allowed to, and NumPy's
objects believe the state that a file gives them; see `data.plain_pickle`.
"""

from typing import Any

import numpy as np

from senet_jax.data.plain_pickle import Dtype, PickleError, encode, numbers_of


class _FileDtype(Dtype):
    """What stands for `numpy.dtype`."""

    def __init__(self, code: Any, *_: Any):
        named = Dtype.of(code)
        super().__init__(named.code, named.order)

    def __setstate__(self, state: Any) -> None:
        self.set_state(state)


class _FileArray:
    """What stands for `numpy.ndarray`."""

    def __init__(self, *arguments: Any):
        self.array = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_columns, data = state
        if type(shape) is not tuple or any(type(side) is not int or side < 0 for side in shape):
            raise PickleError("an array has no shape")
        order = "F" if by_columns else "C"
        self.array = numbers_of(data, dtype).reshape(shape, order=order)


def _reconstruct(*_: Any) -> _FileArray:
    return _FileArray()


SAFE_GLOBALS = [
    (_FileDtype, "numpy.dtype"),
    (_FileArray, "numpy.ndarray"),
    (_reconstruct, "numpy.core.multiarray._reconstruct"),
    (_reconstruct, "numpy._core.multiarray._reconstruct"),
    (encode, "_codecs.encode"),
]
"""What `torch.serialization.safe_globals` takes."""


def put_arrays(value: Any) -> None:
    """Puts NumPy's arrays in place of those here, in a dict from a file and in all within it."""
    left, seen = [value], set()
    while left:
        entries = left.pop()
        if not isinstance(entries, dict) or id(entries) in seen:
            continue
        seen.add(id(entries))
        for key, entry in list(entries.items()):
            if isinstance(entry, _FileArray):
                entries[key] = entry.array
            else:
                left.append(entry)
