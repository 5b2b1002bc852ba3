import dataclasses
import errno
import json
import os
import pathlib
import shutil
import time

import ml_dtypes
import numpy as np
import pytest

from senet_jax import weights as weights_module
from senet_jax.models.registry import ARCHITECTURES
from senet_jax.system.errors import UserError
from senet_jax.weights import is_weights_folder, load_weights, save_weights
from tests.oracles.lively_twin import lively_weights

CASES = pathlib.Path(__file__).resolve().parents[2] / "shared" / "cases" / "model_json"
KERNEL = "params/trunk/stem/conv/kernel"


def _changed(**changes):
    """The lively weights with some tensors exchanged."""
    weights = lively_weights("tiny_baseline")
    return dataclasses.replace(weights, tensors={**weights.tensors, **changes})


def _in_dtype(dtype):
    tensors = lively_weights("tiny_baseline").tensors
    return _changed(**{name: tensor.astype(dtype) for name, tensor in tensors.items()})


def _describe(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def folder(tmp_path):
    save_weights(tmp_path / "weights", lively_weights("tiny_baseline"))
    return tmp_path / "weights"


def _assert_equal_bytes(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name].dtype == theirs[name].dtype, name
        assert ours[name].shape == theirs[name].shape, name
        assert ours[name].tobytes() == theirs[name].tobytes(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, ml_dtypes.bfloat16])
def test_there_and_back_is_bit_equal(tmp_path, dtype):
    carried = {
        "counter": np.array(7, np.int64),
        "ranks": np.arange(6, dtype=np.int32).reshape(2, 3),
        "half": np.array([[1.5, -2]], ml_dtypes.bfloat16),
        "transposed": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    }
    weights = dataclasses.replace(_in_dtype(dtype), carried=carried)
    save_weights(tmp_path / "weights", weights)
    loaded = load_weights(tmp_path / "weights")
    _assert_equal_bytes(loaded.tensors, weights.tensors)
    _assert_equal_bytes(loaded.carried, carried)
    assert loaded.architecture == weights.architecture
    assert loaded.preprocessing == weights.preprocessing
    assert loaded.source == weights.source
    assert not loaded.random


def test_folder_has_two_files_that_others_can_read(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    assert folder.stat().st_mode & 0o777 == 0o755
    described = json.loads((folder / "model.json").read_text())
    assert described["weights_sha256"] == load_weights(folder).sha256
    assert described["architecture"]["name"] == "tiny_baseline"
    assert [path.name for path in folder.parent.iterdir()] == ["weights"]


def test_variables_are_a_tree_of_float32():
    variables = _in_dtype(np.float16).variables()
    kernel = variables["params"]["trunk"]["stem"]["conv"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, _in_dtype(np.float16).tensors[KERNEL])


def test_a_weights_folder_is_replaced(folder):
    weights = _changed(**{KERNEL: lively_weights("tiny_baseline").tensors[KERNEL] * 2})
    save_weights(folder, weights)
    _assert_equal_bytes(load_weights(folder).tensors, weights.tensors)
    assert len(list(folder.iterdir())) == 2
    assert len(list(folder.parent.iterdir())) == 1


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "weights").mkdir()
    save_weights(tmp_path / "weights", lively_weights("tiny_baseline"))
    assert is_weights_folder(tmp_path / "weights")


def test_anything_else_is_not_replaced(folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "a.jpg").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    for occupied in (tmp_path / "file", tmp_path / "photographs", folder):
        with pytest.raises(UserError, match=f"{occupied} is there and"):
            save_weights(occupied, lively_weights("tiny_baseline"))
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "photographs" / "a.jpg").read_text() == "mine"
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"cannot write .*file/weights: .*; choose a place"):
        save_weights(tmp_path / "file" / "weights", lively_weights("tiny_baseline"))


def _full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _KilledError(BaseException):
    """Nothing of the program catches it, as nothing catches a SIGKILL."""


def _killed(*_):
    raise _KilledError


@pytest.mark.parametrize("fault", [_full_disk, _killed])
@pytest.mark.parametrize("where", ["fsync", "write_json", "rename"])
def test_a_fault_while_saving_leaves_the_old_weights_whole(folder, monkeypatch, where, fault):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rename = pathlib.Path.rename

    def rename_all_but_the_new(path, target):
        return rename(path, target) if "replaced" in (path.name, target.name) else fault()

    if where == "rename":
        monkeypatch.setattr(pathlib.Path, "rename", rename_all_but_the_new)
    else:
        monkeypatch.setattr(os if where == "fsync" else weights_module, where, fault)
    weights = _changed(**{KERNEL: lively_weights("tiny_baseline").tensors[KERNEL] * 2})
    with pytest.raises((UserError, _KilledError), match=r"No space left|^$"):
        save_weights(folder, weights)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["weights"]


def test_missing_folder_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match=r"no weights folder at .*senet_jax\.convert SOURCE"):
        load_weights(tmp_path / "weights")


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match="is no weights folder: it lacks"):
        load_weights(folder)


def test_wrong_checksum(folder):
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"SHA-256 .*model\.json says .*broken or was exchanged"):
        load_weights(folder)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_truncated_tensors_with_a_checksum_that_fits(folder, content):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-8] if content is None else content)
    _describe(folder, weights_sha256=weights_module.sha256_of_file(path))
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be read"):
        load_weights(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "lacks architecture"),
        ("{}", "lacks architecture, preprocessing, source, weights_sha256"),
    ],
)
def test_broken_description(folder, content, message):
    (folder / "model.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load_weights(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": {"name": "tiny"}}, "does not describe a network"),
        ({"architecture": ARCHITECTURES["tiny"].to_json()}, "ssm/.* is missing"),
        ({"preprocessing": {"mean": 1}}, "preprocessing holds .*mean"),
        ({"source": None}, "source"),
        ({"source": ["a"]}, "source"),
        ({"weights_sha256": 5}, "SHA-256"),
    ],
)
def test_wrong_description(folder, changes, message):
    _describe(folder, **changes)
    with pytest.raises(UserError, match=message) as caught:
        load_weights(folder)
    assert str(folder) in str(caught.value)


def _deep(levels):
    value = {}
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"architecture": ARCHITECTURES["tiny_baseline"].to_json() | numbers}
            for numbers in (
                {"depths": [1, 1, 2**63, 1]},
                {"stage_widths": [32, 64, 96, 1]},
                {"stage_widths": [32, 64, 10**400, 128]},
                {"name": "\x1b[2J" * 1000},
            )
        ),
        {"architecture": _deep(200)},
        {"architecture": ["a"] * 100_000},
        {"preprocessing": {"channel_order": _deep(50), "mean": [0] * 3, "std": [1] * 3}},
        {"preprocessing": {"channel_order": "BGR", "mean": [0] * 3, "std": [10**4000] * 3}},
        {"preprocessing": ["a"] * 100_000},
        {"source": _deep(200)},
        {"source": ["a"] * 100_000},
        {"weights_sha256": ["a"] * 100_000},
        {"weights_sha256": 10**4000},
    ],
)
def test_hostile_descriptions_are_refused_at_once(folder, changes):
    _describe(folder, **changes)
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        load_weights(folder)
    assert time.process_time() - start < 1
    assert len(str(caught.value)) - len(str(folder)) < 400
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ({}, ""),
        ({"note": ["a"]}, ""),
        ({"note": "of\nmoths\x1b[2J"}, "of moths\\x1b[2J"),
        ({"note": "a" * 1000}, f"{'a' * 117} ... {'a' * 78}"),
    ],
)
def test_a_note_of_the_source_is_short_and_on_one_line(source, note):
    weights = dataclasses.replace(lively_weights("tiny_baseline"), source=source)
    assert weights.note == note


@pytest.mark.parametrize(
    ("source", "names", "remarks"),
    [
        ({}, (), []),
        ({"training_set": "GLDv2-clean"}, ("GLDv2-clean",), ["trained on GLDv2-clean"]),
        (
            {"training_set": "a, then\nb", "training_sets": ["a", 3, "b"]},
            ("a", "b"),
            ["trained on a, then b"],
        ),
        ({"training_set": ["a"], "training_sets": "ab"}, (), []),
        ({"training_set": "moths", "note": "of moths"}, ("moths",), ["of moths"]),
    ],
)
def test_what_weights_were_trained_on(source, names, remarks):
    weights = dataclasses.replace(lively_weights("tiny_baseline"), source=source)
    assert (weights.training_sets, weights.remarks) == (names, remarks)


@pytest.mark.skipif(not CASES.is_dir(), reason="no shared/cases/model_json beside the repository")
def test_the_shared_cases_are_refused(folder):
    for path in sorted(CASES.iterdir()):
        shutil.copy(path, folder / "model.json")
        with pytest.raises(UserError, match=r"does not describe a network|has more than 64 bits"):
            load_weights(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_a_fifo_is_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match="is no weights folder"):
        load_weights(folder)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({KERNEL: np.full((7, 7, 3, 16), np.nan, np.float32)}, "2352 values that are not finite"),
        ({KERNEL: np.zeros((7, 7, 3, 8), np.float32)}, r"has the shape \(7, 7, 3, 8\)"),
        ({KERNEL: np.zeros((7, 7, 3, 16), np.int32)}, "is int32; a weight is a floating-point"),
        ({"params/extra/kernel": np.zeros(1, np.float32)}, "extra/kernel is unknown to"),
    ],
)
def test_wrong_tensors(tensors, message):
    with pytest.raises(UserError, match=message):
        _changed(**tensors)


def test_missing_tensor():
    weights = lively_weights("tiny_baseline")
    tensors = {name: tensor for name, tensor in weights.tensors.items() if name != KERNEL}
    with pytest.raises(UserError, match=f"{KERNEL} is missing from the weights of tiny_baseline"):
        dataclasses.replace(weights, tensors=tensors)
