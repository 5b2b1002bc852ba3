import json
import time

import ml_dtypes
import numpy as np
import pytest

from senet_jax.system.safetensors_file import format_safetensors, is_safetensors, parse_safetensors


def _file(header, data=b""):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content + data


def _entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "dtype",
    [
        *("float64", "float32", "float16", "int64", "int32", "int16", "int8"),
        *("uint64", "uint32", "uint16", "uint8", "bool", ml_dtypes.bfloat16),
    ],
)
def test_there_and_back(dtype):
    tensors = {
        "matrix": np.arange(6).astype(dtype).reshape(2, 3).T,
        "number": np.array(1).astype(dtype),
        "nothing": np.zeros((0, 3), dtype),
    }
    content = format_safetensors(tensors, {"format": "pt"})
    assert is_safetensors(content)
    read, texts = parse_safetensors(content)
    assert texts == {"format": "pt"}
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape)
        assert read[name].tobytes() == tensor.tobytes()


def test_without_texts():
    assert parse_safetensors(format_safetensors({"a": np.ones(1)}))[1] == {}


def _many_tensors():
    return b"{" + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i
                            for i in range(200_000)) + b"}"  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05",
        _file({"a": _entry()}, bytes(4))[:-1],
        _file({"a": _entry()}, bytes(5)),
        _file({"a": _entry()})[:20],
        _file({"a": _entry("F8_E4M3", offsets=(0, 1))}, bytes(1)),
        _file({"a": _entry("F31")}, bytes(4)),
        _file({"a": _entry(shape=(2,))}, bytes(4)),
        _file({"a": _entry(shape=(2**62, 2**62))}, bytes(4)),
        _file({"a": _entry(shape=(1,) * 100)}, bytes(4)),
        _file({"a": _entry(shape=(-1, -1))}, bytes(4)),
        _file({"a": _entry(shape=(1.0,))}, bytes(4)),
        _file({"a": _entry(offsets=(4, 0))}, bytes(4)),
        _file({"a": _entry(offsets=(-4, 0))}, bytes(4)),
        _file({"a": _entry(offsets=(0, 2**64))}, bytes(4)),
        _file({"a": _entry(), "b": _entry()}, bytes(4)),
        _file({"a": _entry(), "b": _entry(offsets=(2, 6))}, bytes(6)),
        _file({"a": _entry(), "b": _entry(offsets=(8, 12))}, bytes(12)),
        _file(b'{"a":%b,"a":%b}' % ((json.dumps(_entry()).encode(),) * 2), bytes(8)),
        _file({"a": {}}),
        _file({"a": None}),
        _file({"__metadata__": {"a": 1}}),
        _file({"__metadata__": "a"}),
        _file(b"[]"),
        _file(b"\xff" * 10),
        _file(b'{"a":' * 50_000),
        _file(b'{"__metadata__":{"a":' + b"[" * 50_000),
        (2**63).to_bytes(8, "little") + b"{}",
        (2**64 - 1).to_bytes(8, "little") + b"{}",
        _file(_many_tensors()),
    ],
)
def test_what_is_broken_is_one_line_at_once(content):
    start = time.process_time()
    with pytest.raises(ValueError, match=r"^.{1,250}$") as caught:
        parse_safetensors(content)
    assert str(caught.value).isprintable()
    assert time.process_time() - start < 1
