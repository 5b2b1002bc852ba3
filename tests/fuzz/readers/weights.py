"""Weights: checkpoints of other frameworks, and a weights folder."""

import io
import pathlib
from collections.abc import Callable
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


def _weights_file(name: str) -> Callable[[pathlib.Path], list[bytes]]:
    """A file of a weights folder, beside the other one."""

    def examples(folder: pathlib.Path) -> list[bytes]:
        from senet_jax.models.preprocessing import Preprocessing
        from senet_jax.models.registry import find_architecture
        from senet_jax.weights import Weights, save_weights, tensor_shapes

        network = find_architecture("tiny")
        tensors = {path: np.ones(shape, "f2") for path, shape in tensor_shapes(network).items()}
        weights = Weights(network, Preprocessing(), tensors, carried={}, source={"random": True})
        save_weights(folder / "w", weights)
        return [(folder / "w" / name).read_bytes()]

    return examples


def _weights(path: pathlib.Path) -> Any:
    from senet_jax.weights import load_weights

    return load_weights(path.parent)


def _checkpoint(path: pathlib.Path) -> Any:
    from senet_jax.convert.checkpoint import read_checkpoint

    return read_checkpoint(path)


READERS: dict[str, Reader] = {
    "model_description": Reader(
        "w/model.json",
        _weights_file("model.json"),
        _weights,
        ("senet_jax.weights",),
        (b"null", b"[]", b"{}", b'"', b"-1", b"0", b"1e999", b"99999999999", b"true", b"[" * 99),
    ),
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
