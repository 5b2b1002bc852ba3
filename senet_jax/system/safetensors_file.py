"""The bytes of a safetensors file as NumPy arrays and back.

A file is the length of its header (8 bytes, little-endian), the header (JSON: name -> dtype, shape
and place of each tensor; texts under `__metadata__`), and the tensors.
"""

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import safetensors
from safetensors.numpy import save

from senet_jax.system.errors import reason, shown
from senet_jax.system.files import parse_json

HEADER_BYTES = 2**22
"""The largest header that is read: a hundred times that of SENet R152."""

# safetensors' own reader for NumPy does not know bfloat16; its writer does.
_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    **{f"I{8 * size}": np.dtype(f"i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.bool_,
}


def is_safetensors(content: bytes) -> bool:
    """Whether bytes begin as a safetensors file does, be it whole or not."""
    return content[8:9] == b"{" and int.from_bytes(content[:8], "little") < 2**32


def parse_safetensors(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a safetensors file by name, and the texts beside them.

    Raises:
        ValueError: it is broken, or has numbers of a kind that NumPy does not have.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise ValueError(f"it is cut short: {len(content):,} bytes do not hold its header")
    if size > HEADER_BYTES:
        raise ValueError(f"its header claims {size:,} bytes")
    try:
        tensors = {
            name: _array(name, entry["dtype"], entry["shape"], entry["data"])
            for name, entry in safetensors.deserialize(content)
        }
        texts = parse_json(content[8 : 8 + size]).get("__metadata__", {})
    except Exception as error:  # What the reader raises for a broken file is not documented.
        raise ValueError(reason(error)) from error
    return tensors, texts


def _array(name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype not in _DTYPES:
        raise ValueError(f"{shown(name)} is {dtype}, which NumPy does not have")
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)


def format_safetensors(
    tensors: Mapping[str, np.ndarray], texts: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of a safetensors file of these tensors, with texts beside them."""
    in_order = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    return save(in_order, None if texts is None else dict(texts))
