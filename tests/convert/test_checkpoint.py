import json
import os
import pathlib
import pickle

import ml_dtypes
import numpy as np
import pytest
import safetensors.torch
import torch

from senet_jax.convert.checkpoint import is_file_name, read_checkpoint, write_checkpoint
from senet_jax.system.errors import UserError


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a/b.pyth", "a.safetensors", "a.PTH"])
def test_targets_that_are_files(name):
    assert is_file_name(name)


@pytest.mark.parametrize("name", ["a", "a.pth/b", "pth", "weights.r50", "v1.2"])
def test_targets_that_are_folders(name):
    assert not is_file_name(name)


@pytest.mark.parametrize("name", ["x.ckpt", "x.bin", "x.onnx", "x.pth.tar", "x.npz", "X.H5"])
def test_targets_that_are_neither_are_refused(name):
    with pytest.raises(UserError, match="no such file is written here; name a folder, or a file"):
        is_file_name(name)


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_reads_states_bare_and_wrapped_and_of_both_formats(tmp_path, wrapped, zipped):
    state = {
        "a": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,
        "b": torch.tensor([1.5, -2], dtype=torch.bfloat16),
        "c": torch.nn.Parameter(torch.tensor([0.5], dtype=torch.bfloat16)),
        "d": torch.nn.Parameter(torch.ones(2, 2)),
        "e": torch.tensor(7),
    }
    path = tmp_path / "a.pth"
    value = {"model_state": state, "epoch": 3} if wrapped else state
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path)
    read = checkpoint.state
    assert checkpoint.described == {}
    assert checkpoint.key == ("model_state" if wrapped else "")
    assert checkpoint.container == "PyTorch file" + ("" if zipped else " of the old format")
    assert read["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert (read["b"].dtype, read["b"].tolist()) == (ml_dtypes.bfloat16, [1.5, -2])
    assert (read["c"].dtype, read["c"].tolist()) == (ml_dtypes.bfloat16, [0.5])
    assert read["d"].tolist() == [[1, 1], [1, 1]]
    assert (read["e"].dtype, read["e"].shape, read["e"].item()) == (np.int64, (), 7)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_written_is_read(tmp_path, suffix):
    state = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "b": np.array([1.5, -2], ml_dtypes.bfloat16),
        "c": np.array(7, np.int64),
        "d": np.zeros((0, 3), np.float32),
    }
    described = {"architecture": {"name": "x"}, "source": {"random": True}, "format": 1}
    write_checkpoint(tmp_path / f"a{suffix}", state, described)
    checkpoint = read_checkpoint(tmp_path / f"a{suffix}")
    assert checkpoint.described == described
    for key, array in state.items():
        read = checkpoint.state[key]
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        assert read.tobytes() == array.tobytes()
    if suffix == ".pth":
        theirs = torch.load(tmp_path / "a.pth", weights_only=True)["model_state"]
    else:
        theirs = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert theirs["b"].dtype == torch.bfloat16


class _Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (pathlib.Path.touch, (self.marker,))


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_hostile_file_runs_nothing(tmp_path, form):
    path, marker = tmp_path / "a.pth", tmp_path / "ran"
    value = {"model_state": {"stem.conv.weight": torch.ones(1), "x": _Hostile(marker)}}
    if form == "pickle":
        path.write_bytes(pickle.dumps(value))
        pickle.loads(path.read_bytes())
    else:
        torch.save(value, path, _use_new_zipfile_serialization=form == "zip")
        torch.load(path, weights_only=False)
    assert marker.exists()  # So the file would run something.
    marker.unlink()
    with pytest.raises(UserError, match=r"wants (getattr|pathlib\.Path\.touch)") as caught:
        read_checkpoint(path)
    assert not marker.exists()
    _assert_no_unsafe_advice(caught.value)


def _assert_no_unsafe_advice(error):
    for word in ("weights_only", "safe_globals", "torch.load(", "trust"):
        assert word not in str(error)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (pathlib.PurePosixPath("a"), r"pathlib\.PurePosixPath"),
        (np.float64(3), r"numpy\..*scalar"),
        (torch.nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
        (print, "print"),
    ],
)
def test_a_forbidden_name_is_told(tmp_path, value, wanted, zipped):
    """As a checkpoint of Lightning has it: a state, and hyper-parameters of any class."""
    path = tmp_path / "a.ckpt"
    content = {"state_dict": {"a": torch.ones(1)}, "hyper_parameters": {"x": value}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=f"whose pickle wants {wanted}, and only tensors") as caught:
        read_checkpoint(path)
    assert len(str(caught.value)) < 500
    _assert_no_unsafe_advice(caught.value)


def test_a_pickle_of_a_protocol_that_pytorch_does_not_read(tmp_path):
    value = {"state_dict": {"a": torch.ones(1)}, "path": pathlib.PurePosixPath("a")}
    torch.save(value, tmp_path / "a.pth", pickle_protocol=4)
    with pytest.raises(UserError, match=r"whose pickle wants pathlib\.PurePosixPath"):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("lost", [1, 500, 4100])
def test_files_that_are_cut_short(tmp_path, lost, zipped):
    path = tmp_path / "a.pth"
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(UserError, match="broken or cut short, get it again") as caught:
        read_checkpoint(path)
    _assert_no_unsafe_advice(caught.value)


def test_missing_file_and_folder_of_that_name(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_checkpoint(tmp_path / "a.pth")
    with pytest.raises(UserError, match="Is a directory"):
        (tmp_path / "b.pth").mkdir()
        read_checkpoint(tmp_path / "b.pth")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.ones(1)], "holds no state"),
        (torch.ones(1), "holds no state"),
        ({}, "holds no state"),
        ({"model_state": {}}, "holds no state"),
        ({"epoch": 3, "optimizer": {"state": {}}}, "holds no state"),
        ({"a": torch.ones(1).to_sparse()}, "'a' as a torch.float32 tensor of torch.sparse_coo"),
        ({"a": torch.ones(2).to(torch.float8_e4m3fn)}, "'a' in numbers that NumPy does not have"),
        ({"a": torch.empty(2, device="meta")}, "'a' in numbers that NumPy does not have"),
        ({"a": torch.ones(1).expand(10**6, 10**6)}, "claims more numbers in 'a' than it has"),
        ({"model_state": {"a": torch.ones(1)}, "model_json": "{"}, "broken 'model_json'"),
        ({"model_state": {"a": torch.ones(1)}, "model_json": "[]"}, "broken 'model_json'"),
        ({"model_state": {"a": torch.ones(1)}, "model_json": 3}, "broken 'model_json'"),
        (
            {
                "model_state": {"a": torch.ones(1)},
                "model_json": '{"architecture": {}, "source": 3}',
            },
            "broken 'model_json'",
        ),
    ],
)
def test_files_that_hold_something_else(tmp_path, value, message):
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(UserError, match=message) as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert str(tmp_path / "a.pth") in str(caught.value)


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(UserError, match="it is no regular file"):
        read_checkpoint(tmp_path / "a.pth")


def _with_header(header, data=b""):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_with_header({"params/fc/bias": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
         "a part of a weights folder; name the folder"),
        (_with_header({}), "without tensors"),
        (_with_header(b'{"a": 1}'), "cannot be read"),
        (_with_header({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, b"1"),
         "'a' is F8_E4M3, which NumPy does not have"),
    ],
)  # fmt: skip
def test_safetensors_that_are_refused(tmp_path, content, message):
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_checkpoint(tmp_path / "model.bin")
