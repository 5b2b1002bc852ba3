import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from senet_jax.convert.__main__ import main
from senet_jax.convert.twin import Twin
from senet_jax.models import random_weights
from senet_jax.models.registry import ARCHITECTURES
from senet_jax.weights import load_weights, save_weights
from tests.convert.checkpoints import (
    assert_equal_states,
    load,
    save,
    state_dict,
    under_cvnet_names,
    under_torchvision_names,
)
from tests.oracles.cvnet_twin import RerankerTwin
from tests.oracles.lively_twin import architecture_named, lively_weights

REPOSITORY = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("small_heads")


@pytest.fixture
def convert(run_command_here):
    return lambda *arguments: run_command_here(main, *arguments)


@pytest.fixture
def there_and_back(convert, tmp_path):
    """Converts a checkpoint to a folder and that to a checkpoint: (its weights, its state)."""

    def run(path, *flags):
        there = convert(path, tmp_path / "weights", *flags)
        assert (there.returncode, there.stderr) == (0, "")
        assert f"wrote {tmp_path / 'weights'}: " in there.stdout
        back = convert(tmp_path / "weights", tmp_path / "back.pth")
        assert (back.returncode, back.stderr) == (0, "")
        return load_weights(tmp_path / "weights"), load(tmp_path / "back.pth")

    return run


def _refused(done):
    """The one line with which a command ended."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("name", [*(n for n in ARCHITECTURES if "tiny" in n), "tiny_classifier"])
def test_there_and_back_gives_the_same_file(there_and_back, tmp_path, name):
    state = state_dict(name)
    counters = [key for key in state if key.endswith("num_batches_tracked")]
    assert counters and all(state[key] % 2 == 1 for key in counters)
    weights, back = there_and_back(save(tmp_path / "a.pyth", state), f"--model={name}")
    assert weights.architecture == architecture_named(name)
    assert weights.source["file"] == "a.pyth" and weights.source["naming"] == "authors"
    known = None if "classifier" in name else "GLDv2-clean, licence none given"
    assert weights.provenance == name + (f", trained on {known}" if known else "")
    assert_equal_states(back, state)
    Twin(weights.architecture).load_state_dict(back, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r50", "resnet50"])
def test_there_and_back_in_full_size(there_and_back, tmp_path, name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = Twin(ARCHITECTURES[name]).state_dict()
    weights, back = there_and_back(save(tmp_path / "a.pth", state))
    assert weights.architecture.name == name
    assert len(back) == len(state) == (353 if name == "r50" else 320)
    assert_equal_states(back, state)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pyth"])
def test_a_bare_state(there_and_back, tmp_path, suffix):
    state = state_dict("tiny")
    torch.save(state, tmp_path / f"a{suffix}")
    weights, back = there_and_back(tmp_path / f"a{suffix}")
    assert weights.architecture == ARCHITECTURES["tiny"]
    assert_equal_states(back, state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_are_kept(there_and_back, tmp_path, dtype):
    state = state_dict("tiny")
    state = {key: t.to(dtype) if t.is_floating_point() else t for key, t in state.items()}
    _, back = there_and_back(save(tmp_path / "a.pth", state))
    assert_equal_states(back, state)


def test_without_counters_of_batches(there_and_back, tmp_path):
    state = {k: t for k, t in state_dict("tiny").items() if "num_batches" not in k}
    weights, back = there_and_back(save(tmp_path / "a.pth", state))
    assert not weights.carried
    assert_equal_states(back, state)


@pytest.mark.parametrize("flags", [(), ("--model=tiny_classifier",)])
@pytest.mark.parametrize("rename", [lambda state: state, under_torchvision_names])
def test_a_classifier_keeps_its_number_of_classes(there_and_back, tmp_path, rename, flags):
    state = state_dict("tiny_classifier")
    state["head.fc.weight"], state["head.fc.bias"] = torch.ones(5, 128), torch.ones(5)
    weights, back = there_and_back(save(tmp_path / "a.pth", rename(state)), *flags)
    assert weights.architecture == dataclasses.replace(
        architecture_named("tiny_classifier"), outputs=5
    )
    assert torch.equal(back["head.fc.weight"], state["head.fc.weight"])


def test_torchvision_comes_back_under_the_authors_names_with_bgr(convert, there_and_back, tmp_path):
    state = state_dict("tiny_classifier")
    path = save(tmp_path / "a.pth", under_torchvision_names(state))
    weights, back = there_and_back(path)
    assert weights.source["naming"] == "torchvision"
    rgb = state.pop("stem.conv.weight")
    assert torch.equal(back.pop("stem.conv.weight"), rgb.flip(1))
    assert_equal_states(back, state)
    assert "stem flipped from RGB to BGR" in convert(path, tmp_path / "again").stdout


def test_cvnet_global_alone(there_and_back, tmp_path):
    state = under_cvnet_names(state_dict("tiny_learnable"))
    weights, back = there_and_back(save(tmp_path / "a.pth", state))
    assert weights.architecture.name == "tiny_learnable"
    assert weights.tensors["params/pool/p"] == np.float32(2.6)
    assert_equal_states(back, state)


def _with_reranker(state, features):
    """The trunk's state with a re-ranker's tensors, random, as CVNet's checkpoints have them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return state | RerankerTwin(features).state_dict()


def test_cvnet_with_its_reranker(there_and_back, tmp_path):
    state = _with_reranker(under_cvnet_names(state_dict("tiny_learnable")), 96)
    weights, back = there_and_back(save(tmp_path / "a.pth", state))
    assert not set(RerankerTwin(96).state_dict()) & set(weights.carried)
    kernel = weights.tensors["params/reranker/compress_0/kernel"]
    np.testing.assert_array_equal(kernel, state["conv2ds.0.weight"].permute(2, 3, 1, 0))
    assert_equal_states(back, state)


def test_senet_with_a_reranker(there_and_back, tmp_path):
    state = _with_reranker(state_dict("tiny"), 96)
    weights, back = there_and_back(save(tmp_path / "a.pth", state))
    assert weights.architecture.name == "tiny"
    kernel = weights.tensors["params/reranker/compress_2/kernel"]
    np.testing.assert_array_equal(kernel, state["conv2ds.2.weight"].permute(2, 3, 1, 0))
    assert_equal_states(back, state)


@pytest.mark.slow
def test_cvnet_in_full_size(there_and_back, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = Twin(ARCHITECTURES["cvnet_r50"]).state_dict()
    state = _with_reranker(under_cvnet_names(trunk), 1024)
    weights, back = there_and_back(save(tmp_path / "a.pth", state))
    assert weights.architecture.name == "cvnet_r50"
    assert len(back) == 382
    assert_equal_states(back, state)


def test_half_a_reranker_is_refused(convert, tmp_path):
    state = _with_reranker(under_cvnet_names(state_dict("tiny_learnable")), 96)
    del state["cv_learner.mlp.2.bias"]
    line = _refused(convert(save(tmp_path / "a.pth", state), tmp_path / "weights"))
    assert "cv_learner.mlp.2.bias is missing" in line


def test_cosine_or_dot_is_for_the_user_to_say(convert, tmp_path):
    """Names and shapes do not tell them apart; a file that was written here does."""
    path = save(tmp_path / "a.pth", state_dict("tiny_dot"))
    assert convert(path, tmp_path / "guessed").stdout.count("tiny,") == 1
    convert(path, tmp_path / "told", "--model=tiny_dot")
    convert(tmp_path / "told", tmp_path / "back.pth")
    convert(tmp_path / "back.pth", tmp_path / "again")
    assert load_weights(tmp_path / "again").architecture.name == "tiny_dot"
    for source in (tmp_path / "told", tmp_path / "back.pth"):
        line = _refused(convert(source, tmp_path / "wrong", "--model=tiny"))
        assert "holds tiny_dot, not tiny; leave --model out" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(more=torch.ones(1)), "1 names or shapes do not fit tiny: more is unkn"),
        (lambda s: s.pop("s3.b1.f.b.weight"), "s3.b1.f.b.weight is missing"),
        (
            lambda s: s.update({"SSM.FFN.2.bias": torch.ones(127)}),
            "SSM.FFN.2.bias is [127], not [128]",
        ),
        (
            lambda s: s["SSM.FFN.2.bias"].fill_(torch.nan),
            "SSM.FFN.2.bias holds 128 values that are not finite",
        ),
        (
            lambda s: s.update({"SSM.FFN.2.bias": torch.ones(128, dtype=torch.int64)}),
            "SSM.FFN.2.bias is int64; a weight is a floating-point number",
        ),
        (
            lambda s: s.update({"SSM.FFN.2.bias": torch.ones(128, dtype=torch.bool)}),
            "SSM.FFN.2.bias is bool",
        ),
    ],
)
def test_wrong_tensors_are_named(convert, tmp_path, change, message):
    state = state_dict("tiny")
    change(state)
    line = _refused(convert(save(tmp_path / "a.pth", state), tmp_path / "weights"))
    assert message in line
    assert not (tmp_path / "weights").exists()


def test_control_characters_in_names_do_not_reach_the_terminal(convert, tmp_path):
    state = state_dict("tiny") | {"\x1b[2J" * 100: torch.ones(1)}
    done = convert(save(tmp_path / "a.pth", state), tmp_path / "weights", "--verbose")
    assert done.returncode == 2 and r"\x1b[2J" in done.stderr and "\x1b" not in done.stderr
    state = {f"module.{key}": tensor for key, tensor in state_dict("tiny").items()}
    state["\x1b[2J"] = torch.ones(1)
    done = convert(save(tmp_path / "a.pth", state), tmp_path / "weights", "--verbose")
    assert done.returncode == 0 and r"\x1b[2J" in done.stdout and "\x1b" not in done.stdout


def test_no_network_has_these_blocks(convert, tmp_path):
    path = save(tmp_path / "a.pth", {"s1.b1.f.a.weight": torch.ones(1)})
    line = _refused(convert(path, tmp_path / "weights"))
    assert "no model has the layers of this checkpoint" in line and "authors names" in line


def test_wrong_model_is_told_what_it_looks_like(convert, tmp_path):
    path = save(tmp_path / "a.pth", state_dict("tiny_concat"))
    line = _refused(convert(path, tmp_path / "weights", "--model=tiny"))
    assert "SSM.FFN.0.weight is [128, 256, 1, 1], not [128, 128, 1, 1]" in line
    assert "it looks like tiny_concat" in line
    line = _refused(convert(path, tmp_path / "weights", "--model=r50"))
    assert "do not fit r50" in line and "it looks like tiny_concat" in line
    line = _refused(convert(path, tmp_path / "weights", "--model=r51"))
    assert "no model is called 'r51'" in line


def test_verbose_lists_every_difference(convert, tmp_path):
    path = save(tmp_path / "a.pth", state_dict("tiny_baseline"))
    done = convert(path, tmp_path / "weights", "--model=tiny", "--verbose")
    *differences, error = done.stderr.splitlines()
    missing = state_dict("tiny").keys() - state_dict("tiny_baseline").keys()
    missing = {key for key in missing if "num_batches" not in key}
    assert sorted(differences) == sorted(f"{key} is missing" for key in missing)
    assert error.startswith(f"error: {len(missing)} names or shapes do not fit tiny: ")


@pytest.mark.parametrize("target", ["file/weights", "file/a.pth"])
def test_unwritable_target(convert, tmp_path, target):
    (tmp_path / "file").write_text("mine")
    save_weights(tmp_path / "weights", lively_weights("tiny_baseline"))
    line = _refused(convert(tmp_path / "weights", tmp_path / target))
    assert f"cannot write {tmp_path / target}" in line


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.pth", "No such file"),
        ("missing", "No such file"),
        ("random:tiny", "is not random:NAME:SEED"),
        ("random:tiny:-1", "is not random:NAME:SEED"),
        ("random:tiny:12345678901", "is not random:NAME:SEED"),
        ("random:r51:0", "no model is called 'r51'"),
    ],
)
def test_wrong_source(convert, tmp_path, source, message):
    if not source.startswith("random:"):
        source = tmp_path / source
    assert message in _refused(convert(source, tmp_path / "weights"))


class _Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (pathlib.Path.touch, (self.marker,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_file_runs_nothing(convert, tmp_path, zipped):
    state = state_dict("tiny") | {"more": _Hostile(tmp_path / "ran")}
    path = save(tmp_path / "a.pth", state, _use_new_zipfile_serialization=zipped)
    line = _refused(convert(path, tmp_path / "weights"))
    assert "whose pickle wants getattr" in line
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.pth"]


def test_wrong_command_line(convert):
    assert "required: TARGET" in _refused(convert("a.pth"))
    assert "unrecognized arguments: --colour" in _refused(convert("a", "b", "--colour"))


def _python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_without_pytorch_it_is_one_line(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    path = save(tmp_path / "a.pth", state_dict("tiny"))
    command = ("-m", "senet_jax.convert", path, tmp_path / "weights")
    line = _refused(_python(*command, PYTHONPATH=str(tmp_path)))
    assert (
        "PyTorch files need a package" in line
        and "no torch here" in line
        and "pip install '.[convert]'" in line
    )


def test_random_weights_stay_marked_as_such(convert, tmp_path):
    source = {"random": True, "seed": 7}
    weights = dataclasses.replace(lively_weights("tiny_dot"), source=source)
    save_weights(tmp_path / "weights", weights)
    assert (
        "random weights, nothing is learned"
        in convert(tmp_path / "weights", tmp_path / "a.pth").stdout
    )
    convert(tmp_path / "a.pth", tmp_path / "again")
    described = json.loads((tmp_path / "again" / "model.json").read_text())
    assert described["source"] == source
    assert described["architecture"]["name"] == "tiny_dot"


@pytest.mark.slow
def test_random_weights_are_the_same_in_every_process(convert, tmp_path):
    done = _python("-m", "senet_jax.convert", "random:tiny_baseline:3", tmp_path / "there")
    assert done.returncode == 0, done.stderr
    assert convert("random:tiny_baseline:3", tmp_path / "here").returncode == 0
    assert convert("random:tiny_baseline:4", tmp_path / "other").returncode == 0
    there, here, other = (
        (tmp_path / name / "weights.safetensors").read_bytes()
        for name in ("there", "here", "other")
    )
    assert there == here != other
    assert load_weights(tmp_path / "here").source == {"random": True, "seed": 3}


@pytest.mark.slow
def test_random_weights_of_cvnet_have_a_reranker(convert, tmp_path, monkeypatch):
    sizes = random_weights.PAIRED_SIZES[:2]  # Pairs of large maps take long.
    monkeypatch.setattr(random_weights, "PAIRED_SIZES", sizes)
    assert convert("random:tiny_learnable:3", tmp_path / "a").returncode == 0
    assert convert(tmp_path / "a", tmp_path / "a.pth").returncode == 0
    assert convert(tmp_path / "a.pth", tmp_path / "b").returncode == 0
    there, back = load_weights(tmp_path / "a"), load_weights(tmp_path / "b")
    assert there.random and there.sha256 == back.sha256
    RerankerTwin(96).load_state_dict(
        {k: t for k, t in load(tmp_path / "a.pth").items() if not k.startswith("encoder_q.")}
    )
    assert there.tensors["params/reranker/compress_0/kernel"].shape == (3, 3, 96, 256)
