"""Weights: checkpoints of other frameworks, and a weights folder."""

import io
import pathlib
from typing import Any

import numpy as np

from tests.fuzz.reader import Reader

STATE = {"stem.conv.weight": np.ones((2, 3), np.float32), "head.fc.bias": np.zeros(2, np.float16)}


def _checkpoints(_) -> list[bytes]:
    import torch

    state = {name: torch.from_numpy(array) for name, array in STATE.items()}
    files = []
    for is_zip in (True, False):
        for value in (state, {"model_state": state, "epoch": 3}):
            file = io.BytesIO()
            torch.save(value, file, _use_new_zipfile_serialization=is_zip)
            files.append(file.getvalue())
    return files


def _safetensors(_) -> list[bytes]:
    from safetensors.numpy import save

    return [save(STATE)]


def _checkpoint(path: pathlib.Path) -> Any:
    from senet_jax.convert.checkpoint import read_checkpoint

    return read_checkpoint(path)


READERS: dict[str, Reader] = {
    "checkpoint": Reader(
        "a.pth",
        _checkpoints,
        _checkpoint,
        ("senet_jax.convert.checkpoint", "torch"),
        (
            *(b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"cos\nsystem\n", b"R", b"b", b"("),
            *(b"ctorch\nFloatStorage\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"\x8a\x04"),
        ),
    ),
    "safetensors": Reader(
        "a.safetensors",
        _safetensors,
        _checkpoint,
        ("senet_jax.convert.checkpoint",),
        (b"null", b"[]", b"{}", b'"', b"-1", b"99999999999", b'"BF16"', b'"shape":[', b"[" * 99),
    ),
}
