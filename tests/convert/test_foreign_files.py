"""Files as people have them, through the command: any name, any wrapper, any prefix."""

import os
import sys

import pytest
import safetensors.torch
import torch

from senet_jax.convert.__main__ import main
from senet_jax.convert.twin import Twin
from senet_jax.models.registry import ARCHITECTURES
from senet_jax.weights import load_weights, save_weights
from tests.convert.checkpoints import (
    assert_equal_states,
    load,
    state_dict,
    under_cvnet_names,
    under_torchvision_names,
)
from tests.oracles.lively_twin import lively_weights

pytestmark = pytest.mark.usefixtures("small_heads")


@pytest.fixture
def convert(run_command_here):
    return lambda *arguments: run_command_here(main, *arguments)


@pytest.fixture
def taken(convert, tmp_path):
    """Converts a value that was saved with PyTorch: what the command says, and the weights."""

    def run(value, name="a.pth", *flags, **options):
        torch.save(value, tmp_path / name, **options)
        done = convert(tmp_path / name, tmp_path / "weights", *flags)
        assert (done.returncode, done.stderr) == (0, "")
        said, *_, summary = done.stdout.splitlines()
        assert said.startswith(f"{tmp_path / name}: ")
        assert summary.startswith(f"wrote {tmp_path / 'weights'}: ")
        return said.removeprefix(f"{tmp_path / name}: "), load_weights(tmp_path / "weights")

    return run


def _under(prefix, state):
    return {prefix + key: tensor for key, tensor in state.items()}


def _assert_same_tensors(ours, theirs):
    assert ours.tensors.keys() == theirs.tensors.keys()
    for path, tensor in theirs.tensors.items():
        assert ours.tensors[path].tobytes() == tensor.tobytes(), path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "name", ["a.pth", "a.ckpt", "a.pth.tar", "pytorch_model.bin", "a.safetensors", "a"]
)
def test_a_file_is_told_by_its_content(taken, name, zipped):
    said, weights = taken(state_dict("tiny"), name, _use_new_zipfile_serialization=zipped)
    kind = "PyTorch file" + ("" if zipped else " of the old format")
    assert said == f"{kind}, float32 and int64, authors names"
    assert weights.source["file"] == name
    _assert_same_tensors(weights, lively_weights("tiny"))


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda s: {"state_dict": s, "optimizer": {"state": {}}, "epoch": 3}, "its 'state_dict', "),
        (lambda s: {"model": s}, "its 'model', "),
        (lambda s: {"model": {"state_dict": s}}, "its 'model.state_dict', "),
        (lambda s: {"module": _under("module.", s)}, "its 'module', prefix 'module.' taken off, "),
        (lambda s: {"state_dict_ema": s}, "its 'state_dict_ema', "),
        (
            lambda s: {"model_ema": _under("x.", s), "model": _under("_orig_mod.module.", s)},
            "its 'model' and not 'model_ema', prefix '_orig_mod.module.' taken off, ",
        ),
        (lambda s: {"teacher": s, "student": dict(s)}, "its 'teacher' and not 'student', "),
        (
            lambda s: _under("backbone.", s) | {"queue": torch.ones(3)},
            "prefix 'backbone.' taken off, float32 and int64, left out 1 ('queue'), ",
        ),
        (
            lambda s: _under("encoder_k.", s) | _under("encoder_q.", s),
            "prefix 'encoder_q.' taken off, not the network under 'encoder_k.', ",
        ),
    ],
)
def test_wrappers_and_prefixes_come_off_and_are_told(taken, wrap, said):
    told, weights = taken(wrap(state_dict("tiny")))
    assert told.startswith(f"PyTorch file, {said}")
    _assert_same_tensors(weights, lively_weights("tiny"))


def test_cvnet_under_a_prefix(taken):
    state = under_cvnet_names(state_dict("tiny_learnable"))
    said, weights = taken({"state_dict": _under("module.", state)})
    assert "prefix 'module.' taken off" in said and said.endswith("cvnet names")
    _assert_same_tensors(weights, lively_weights("tiny_learnable"))


@pytest.mark.parametrize("head", [{}, {"projection_head.0.weight": torch.ones(3)}])
@pytest.mark.parametrize("rename", [lambda state: state, under_torchvision_names])
def test_a_trunk_without_a_classifier(taken, convert, tmp_path, rename, head):
    state = state_dict("tiny_classifier")
    del state["head.fc.weight"], state["head.fc.bias"]
    said, weights = taken(_under("module.", rename(state) | head))
    assert ("left out 1 ('module.projection_head.0.weight')" in said) == bool(head)
    known = ARCHITECTURES["tiny_classifier"]
    assert weights.architecture == known.without_classifier()
    assert {path.split("/")[1] for path in weights.tensors} == {"trunk"}
    said = convert(tmp_path / "weights", tmp_path / "back.pth").stdout
    assert "tiny_classifier" in said and "without a classifier" in said
    back = load(tmp_path / "back.pth")
    if rename is under_torchvision_names:
        state["stem.conv.weight"] = state["stem.conv.weight"].flip(1)
    assert_equal_states(back, state)
    Twin(weights.architecture).load_state_dict(back, strict=True)
    assert convert(tmp_path / "back.pth", tmp_path / "again").returncode == 0
    assert load_weights(tmp_path / "again").architecture == weights.architecture


def test_half_a_network_is_no_trunk(convert, tmp_path):
    """What a head lacks of SENet is missing; it is not taken for a trunk with something beside."""
    state = state_dict("tiny")
    del state["head.fc.weight"], state["head.fc.bias"]
    torch.save(state, tmp_path / "a.pth")
    done = convert(tmp_path / "a.pth", tmp_path / "weights")
    assert done.returncode == 2
    assert (
        "2 names or shapes do not fit tiny: head.fc.bias is missing, head.fc.weight" in done.stderr
    )


def test_safetensors_as_timm_publishes_them(convert, tmp_path):
    state = under_torchvision_names(state_dict("tiny_classifier"))
    path = tmp_path / "model.safetensors"
    tensors = {key: tensor.contiguous() for key, tensor in state.items()}
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    done = convert(path, tmp_path / "weights")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{path}: safetensors file, float32 and int64, torchvision names")
    assert "stem flipped from RGB to BGR" in done.stdout
    weights = load_weights(tmp_path / "weights")
    flipped = lively_weights("tiny_classifier").tensors["params/trunk/stem/conv/kernel"][:, :, ::-1]
    assert (weights.tensors["params/trunk/stem/conv/kernel"] == flipped).all()


def test_a_safetensors_target_is_read_by_others_and_by_this(convert, tmp_path):
    state = state_dict("tiny_dot")
    torch.save(state, tmp_path / "a.pth")
    for source, target in (("a.pth", "b.safetensors"), ("b.safetensors", "weights")):
        done = convert(tmp_path / source, tmp_path / target, "--model=tiny_dot")
        assert (done.returncode, done.stderr) == (0, "")
    assert_equal_states(safetensors.torch.load_file(tmp_path / "b.safetensors"), dict(state))
    assert load_weights(tmp_path / "weights").architecture.name == "tiny_dot"


def test_safetensors_need_no_pytorch(convert, tmp_path, monkeypatch):
    save_weights(tmp_path / "weights", lively_weights("tiny"))
    monkeypatch.setitem(sys.modules, "torch", None)
    for source, target in (("weights", "a.safetensors"), ("a.safetensors", "again")):
        done = convert(tmp_path / source, tmp_path / target)
        assert (done.returncode, done.stderr) == (0, "")
    _assert_same_tensors(load_weights(tmp_path / "again"), lively_weights("tiny"))
    assert "PyTorch files need" in convert(tmp_path / "again", tmp_path / "a.pth").stderr


@pytest.mark.parametrize("target", ["x.ckpt", "x.bin", "x.onnx", "x.pth.tar", "x.npz"])
def test_a_target_is_never_a_folder_with_the_name_of_a_file(convert, tmp_path, target):
    torch.save(state_dict("tiny"), tmp_path / "a.pth")
    done = convert(tmp_path / "a.pth", tmp_path / target)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "no such file is written here" in done.stderr
    assert os.listdir(tmp_path) == ["a.pth"]


def test_verbose_lists_what_is_taken_and_what_is_not(convert, tmp_path):
    state = _under("backbone.", state_dict("tiny")) | {"queue": torch.ones(3)}
    torch.save(state, tmp_path / "a.pth")
    lines = convert(tmp_path / "a.pth", tmp_path / "weights", "--verbose").stdout.splitlines()
    assert len(lines) == len(state) + 2
    assert "  head.fc.bias: float32[128]" in lines and "  queue: left out" in lines


def test_a_folder_that_is_another_s_names_the_file_in_it(convert, tmp_path):
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").write_bytes(b"")
    done = convert(tmp_path / "snapshot", tmp_path / "weights")
    assert done.returncode == 2 and "has 'model.safetensors' in it; name the file" in done.stderr


def test_paths_of_home_and_of_other_machines(convert, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    torch.save(state_dict("tiny"), tmp_path / "a.pth")
    assert convert("~/a.pth", "~/weights").returncode == 0
    assert convert("~/weights", "~/b.pth").returncode == 0
    for source, target in (("gs://x/a.pth", "b"), ("a.pth", "gs://x/b"), ("a.pth", "s3://x/b.pth")):
        done = convert(source, target)
        assert done.returncode == 2 and "is no path of this machine" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.pth", "b.pth", "weights"]
