import pathlib
import pickle

import ml_dtypes
import numpy as np
import pytest
import torch

from senet_jax.convert.checkpoint import is_checkpoint_name, read_checkpoint, write_checkpoint
from senet_jax.errors import UserError


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a/b.pyth"])
def test_pytorch_files_by_their_names(name):
    assert is_checkpoint_name(name)


@pytest.mark.parametrize("name", ["a", "a.pth/b", "pth", "a.npz", "weights.r50"])
def test_anything_else_is_a_folder(name):
    assert not is_checkpoint_name(name)


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
    read, written_here = read_checkpoint(path)
    assert written_here == {}
    assert read["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert (read["b"].dtype, read["b"].tolist()) == (ml_dtypes.bfloat16, [1.5, -2])
    assert (read["c"].dtype, read["c"].tolist()) == (ml_dtypes.bfloat16, [0.5])
    assert read["d"].tolist() == [[1, 1], [1, 1]]
    assert (read["e"].dtype, read["e"].shape, read["e"].item()) == (np.int64, (), 7)


def test_what_is_written_is_read(tmp_path):
    state = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "b": np.array([1.5, -2], ml_dtypes.bfloat16),
        "c": np.array(7, np.int64),
    }
    described = {"architecture": {"name": "x"}, "source": {"random": True}, "format": 1}
    write_checkpoint(tmp_path / "a.pth", state, described)
    read, written_here = read_checkpoint(tmp_path / "a.pth")
    assert written_here == {"architecture": {"name": "x"}, "source": {"random": True}}
    for key, array in state.items():
        assert (read[key].dtype, read[key].shape) == (array.dtype, array.shape)
        assert read[key].tobytes() == array.tobytes()
    theirs = torch.load(tmp_path / "a.pth", weights_only=True)["model_state"]
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
    with pytest.raises(UserError, match="not a PyTorch file that can be read safely"):
        read_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"this is text\n", None])
def test_broken_files(tmp_path, content):
    path = tmp_path / "a.pth"
    if content is None:
        torch.save({"a": torch.ones(1000)}, path)
        content = path.read_bytes()[:-500]
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a PyTorch file that can be read safely"):
        read_checkpoint(path)


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
        ({"epoch": 3, "state_dict": {"a": torch.ones(1)}}, "a int under 'epoch'"),
        ({"a": torch.ones(1).to_sparse()}, "a Tensor under 'a'"),
        ({"a": torch.ones(2).to(torch.float8_e4m3fn)}, "NumPy has no type for"),
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
