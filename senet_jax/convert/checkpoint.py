"""PyTorch files: read without running what they say, and written."""

import collections
import io
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from senet_jax.errors import UserError
from senet_jax.files import written_whole

SUFFIXES = (".pth", ".pt", ".pyth")
STATE = "model_state"
DESCRIPTION = "model_json"


def is_checkpoint_name(path: str | os.PathLike) -> bool:
    """Whether a name is that of a PyTorch file; anything else is a weights folder."""
    return pathlib.Path(path).suffix in SUFFIXES


def import_torch() -> Any:
    """PyTorch, which only the conversion needs.

    Raises:
        UserError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError(
            "PyTorch is not installed, and PyTorch files need it; "
            "`pip install 'senet_jax[convert]'`"
        ) from error
    return torch


def read_checkpoint(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads a PyTorch file: its state and what `write_checkpoint` said of the network, if it did.

    Only tensors and plain containers are built; a file that asks for more is refused and nothing
    of it is run.

    Raises:
        UserError: the file is missing, broken, hostile, or holds no state.
    """
    torch = import_torch()
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    try:
        value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # What a broken or hostile file raises is not documented.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{path} is not a PyTorch file that can be read safely: {reason[0]}; get it again"
        ) from error
    state = value.get(STATE, value) if isinstance(value, Mapping) else value
    if not isinstance(state, Mapping) or not state:
        raise UserError(f"{path} holds no state (a dict of tensors); it is no checkpoint")
    for key, tensor in state.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise UserError(
                f"{path} holds a {type(tensor).__name__} under {key!r} where a tensor is expected; "
                f"put the model's state under {STATE!r}"
            )
    try:
        arrays = {str(key): _to_numpy(torch, tensor) for key, tensor in state.items()}
    except (TypeError, RuntimeError) as error:
        raise UserError(
            f"{path} holds tensors that NumPy has no type for ({error}); save it in float32"
        ) from error
    return arrays, _description(path, value)


def _description(path: str | os.PathLike, value: Mapping[str, Any]) -> dict[str, Any]:
    if DESCRIPTION not in value:
        return {}
    try:
        description = json.loads(value[DESCRIPTION])
        return {key: dict(description[key]) for key in ("architecture", "source")}
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"{path} holds a broken {DESCRIPTION!r}; convert it again") from error


def _to_numpy(torch: Any, tensor: Any) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.detach().numpy()


def _to_torch(torch: Any, array: np.ndarray) -> Any:
    array = np.array(array, order="C")
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def write_checkpoint(
    path: str | os.PathLike, state: Mapping[str, np.ndarray], description: Mapping[str, Any]
) -> None:
    """Writes a PyTorch file: the state under `model_state`, the description as JSON beside it.

    Raises:
        UserError: the place cannot be written.
    """
    torch = import_torch()
    tensors = collections.OrderedDict((k, _to_torch(torch, a)) for k, a in state.items())
    content = io.BytesIO()
    torch.save({STATE: tensors, DESCRIPTION: json.dumps(description)}, content)
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getbuffer())
