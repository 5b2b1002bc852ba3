"""Files of weights that others write and read: PyTorch's and safetensors, told by their content.

Nothing that a file says is run: of a pickle only tensors and plain containers are built.
"""

import collections
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import re
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np

from senet_jax.convert.file_kind import (
    GET_AGAIN,
    ZIP,
    check_torch_archive,
    foreign_names,
    what_it_is,
)
from senet_jax.convert.plain_arrays import SAFE_GLOBALS, put_arrays
from senet_jax.convert.states import find_states, network_part
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.files import atomic_write, local_path, parse_json, read_regular
from senet_jax.system.optional import optional_import
from senet_jax.system.safetensors_file import format_safetensors, is_safetensors, parse_safetensors

STATE = "model_state"
DESCRIPTION = "model_json"
FILE_BYTES = 2**33
"""The largest file that is read; SENet R152 in float64 takes a fourteenth."""

PYTORCH_SUFFIXES = (".pth", ".pt", ".pyth")
SAFETENSORS_SUFFIX = ".safetensors"
_OTHER_SUFFIXES = (
    *(".bin", ".ckpt", ".onnx", ".h5", ".hdf5", ".keras", ".npz", ".npy", ".pkl", ".pickle"),
    *(".tar", ".tgz", ".zip", ".gz", ".pb", ".tflite", ".json", ".msgpack", ".gguf", ".jit"),
    *(".pt2", ".pte", ".th", ".t7", ".model", ".weights", ".params", ".engine", ".txt", ".mlmodel"),
)
# How `torch.save` began before it wrote zip archives: a pickle of this number.
_LEGACY = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
_FORBIDDEN = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network's state in a file, and how it was found there.

    Attributes:
        state: the network's tensors, without the prefix of their names.
        described: what `write_checkpoint` said of the network, as `model.json` has it; empty for
            a file of others.
        sha256: of the file.
        container: the kind of the file.
        key: where in the file the state is, `a.b`; empty if it is the whole.
        other_keys: where other states are.
        prefix: what was taken off the names.
        other_prefixes: of other networks in the state.
        left_out: the names in the state that are no tensors of this network.
        beside: what else is in a file in which the state has a name.
    """

    state: dict[str, np.ndarray]
    described: dict[str, Any]
    sha256: str
    container: str
    key: str = ""
    other_keys: tuple[str, ...] = ()
    prefix: str = ""
    other_prefixes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    beside: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def told(self) -> str:
        """What was taken of the file and what was not, on one line."""
        words = [self.container]
        if self.key:
            words.append(f"its {shown(self.key)}{_of_several(self.other_keys)}")
        if self.prefix:
            words.append(f"prefix {shown(self.prefix)} taken off")
        if self.other_prefixes:
            words.append(f"not the network{_of_several(self.other_prefixes, 'under')}")
        words.append(" and ".join(sorted({str(array.dtype) for array in self.state.values()})))
        if self.left_out:
            words.append(f"left out {len(self.left_out)} ({_few(self.left_out)})")
        return ", ".join(words)


def _of_several(names: tuple[str, ...], word: str = "and not") -> str:
    return f" {word} {_few(names)}" if names else ""


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(map(shown, names[:3])) + (", ..." if len(names) > 3 else "")


def is_file_name(path: str | os.PathLike) -> bool:
    """Whether a target's name is that of a file of weights; anything else is a weights folder.

    Raises:
        UserError: it is that of a file which is not written here.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix in _OTHER_SUFFIXES:
        raise UserError(
            f"{path} ends in {suffix}, and no such file is written here; name a folder, or a file "
            f"that ends in {', '.join(PYTORCH_SUFFIXES)} or {SAFETENSORS_SUFFIX}"
        )
    return suffix in (*PYTORCH_SUFFIXES, SAFETENSORS_SUFFIX)


def import_torch() -> ModuleType:
    """PyTorch, which only its own files need.

    Raises:
        UserError: it is not installed.
    """
    with optional_import("convert", "PyTorch files"):
        import torch
    return torch


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Reads a network's state from a PyTorch file or a safetensors file, whatever its name.

    Raises:
        UserError: the file is missing, broken, hostile, or holds no state.
    """
    try:
        content = read_regular(local_path(path), FILE_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    try:
        found = _from_safetensors(content) if is_safetensors(content) else _from_torch(content)
    except UserError as error:
        raise UserError(f"{path} {error}") from error
    return dataclasses.replace(found, sha256=hashlib.sha256(content).hexdigest())


def _from_safetensors(content: bytes) -> Checkpoint:
    try:
        tensors, texts = parse_safetensors(content)
    except ValueError as error:
        raise UserError(
            f"is a safetensors file that cannot be read: {error}; get it again"
        ) from error
    if not tensors:
        raise UserError("is a safetensors file without tensors; get it again")
    if any(name.startswith("params/") for name in tensors):
        raise UserError("is a part of a weights folder; name the folder")
    container = "safetensors file"
    if DESCRIPTION in texts:
        return Checkpoint(tensors, _described(texts[DESCRIPTION]), "", container)
    return _network(tensors, Checkpoint({}, {}, "", container))


def _from_torch(content: bytes) -> Checkpoint:
    if content.startswith(ZIP):
        check_torch_archive(content)
        container = "PyTorch file"
    elif _LEGACY in content[:64]:
        container = "PyTorch file of the old format"
    else:
        what, advice = what_it_is(content)
        raise UserError(f"is {what}; {advice}")
    torch = import_torch()
    value = _load(torch, content, container)
    states = find_states(value, lambda entry: isinstance(entry, torch.Tensor))
    if not states:
        raise UserError(
            f"is a {container} that holds no state (a dict of tensors) but a "
            f"{type(value).__name__}; it is no checkpoint"
        )
    (key, state), *others = states
    tensors, no_tensors = {}, []
    for name, entry in state.items():
        if isinstance(name, str) and isinstance(entry, torch.Tensor):
            tensors[name] = _to_numpy(torch, name, entry, len(content))
        else:
            no_tensors.append(str(name))
    if key == (STATE,) and DESCRIPTION in value:
        return Checkpoint(tensors, _described(value[DESCRIPTION]), "", container, STATE)
    found = Checkpoint(
        state={},
        described={},
        sha256="",
        container=container,
        key=".".join(key),
        other_keys=tuple(".".join(other) or "the whole" for other, _ in others),
        left_out=tuple(no_tensors),
        beside={name: entry for name, entry in value.items() if name != key[0]} if key else {},
    )
    return _network(tensors, found)


def _network(tensors: Mapping[str, np.ndarray], found: Checkpoint) -> Checkpoint:
    part = network_part(tensors)
    return dataclasses.replace(
        found,
        state={name: tensors[old] for name, old in part.names.items()},
        prefix=part.prefix,
        other_prefixes=part.others,
        left_out=found.left_out + part.left_out,
    )


def _load(torch: ModuleType, content: bytes, container: str) -> Any:
    try:
        allowed = torch.serialization.safe_globals(SAFE_GLOBALS)
        with warnings.catch_warnings(action="ignore"), allowed:
            value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        put_arrays(value)
        return value
    except Exception as error:  # What a broken or hostile file raises is not documented.
        # PyTorch's own text is not passed on: it tells how to load the file unsafely.
        match = _FORBIDDEN.search(str(error))
        allowed_names = {name for _, name in SAFE_GLOBALS}
        foreign = (name for name in foreign_names(content) if name not in allowed_names)
        wanted = match[1] if match else next(foreign, None)
        if wanted is None:
            raise UserError(f"is a {container} that cannot be read; {GET_AGAIN}") from error
        raise UserError(
            f"is a {container} whose pickle wants {shown(wanted)[1:-1]}, and only tensors and "
            "plain containers are built from a file; where it was made, save the state alone: "
            "torch.save(model.state_dict(), FILE)"
        ) from error


def _described(text: Any) -> dict[str, Any]:
    try:
        described = parse_json(text)
        if not all(isinstance(described[key], dict) for key in ("architecture", "source")):
            raise TypeError("no objects")
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"holds a broken {DESCRIPTION!r}; convert it again") from error
    return described


def _to_numpy(torch: ModuleType, name: str, tensor: Any, file_bytes: int) -> np.ndarray:
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise UserError(
            f"holds {shown(name)} as a {tensor.dtype} tensor of {tensor.layout}; save it as float32"
        )
    if tensor.numel() * tensor.element_size() > file_bytes:
        raise UserError(f"claims more numbers in {shown(name)} than it has; {GET_AGAIN}")
    try:
        if tensor.dtype == torch.bfloat16:
            return tensor.detach().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.detach().numpy()
    except Exception as error:  # PyTorch's kinds of tensors are many.
        raise UserError(
            f"holds {shown(name)} in numbers that NumPy does not have ({reason(error)}); save it "
            "as float32"
        ) from error


def _to_torch(torch: ModuleType, array: np.ndarray) -> Any:
    array = np.array(array, order="C")
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def write_checkpoint(
    path: str | os.PathLike, state: Mapping[str, np.ndarray], description: Mapping[str, Any]
) -> None:
    """Writes a file of weights, its kind by its name, with the description as JSON in it.

    A PyTorch file has the state under `model_state`; in a safetensors file it is the whole.

    Raises:
        UserError: the place cannot be written.
    """
    path, text = local_path(path), json.dumps(description)
    if path.suffix.lower() == SAFETENSORS_SUFFIX:
        content = format_safetensors(state, {"format": "pt", DESCRIPTION: text})
    else:
        torch = import_torch()
        tensors = collections.OrderedDict((k, _to_torch(torch, a)) for k, a in state.items())
        buffer = io.BytesIO()
        torch.save({STATE: tensors, DESCRIPTION: text}, buffer)
        content = buffer.getvalue()
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
