"""The command: what it writes, and what it refuses to write."""

import dataclasses
import json

import numpy as np
import pytest

from senet_jax.export import __main__ as command
from senet_jax.export import write
from senet_jax.export.targets import TARGETS, StableHLO
from senet_jax.export.write import DESCRIPTION, ROUNDING, SHAPES, write_export
from senet_jax.system.errors import UserError
from senet_jax.weights import load_weights, save_weights
from tests.oracles.lively_twin import lively_weights
from tests.tolerances import BATCHED, TIMES_THE_TWIN

SOURCE = {"package": "somebody-s-model", "licence": "Apache-2.0", "note": "trained on ImageNet"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("weights") / "tiny"
    weights = lively_weights("tiny_baseline")
    save_weights(place, dataclasses.replace(weights, source=SOURCE))
    return place


def test_the_bar_is_that_of_the_tests():
    assert ROUNDING == BATCHED and write.TIMES_ITS_OWN == TIMES_THE_TWIN
    assert len({height > width for _, height, width in SHAPES}) == 2
    assert len({count for count, *_ in SHAPES}) == len(SHAPES)


@pytest.fixture
def small(monkeypatch):
    """One small shape to compare: each takes three programs."""
    monkeypatch.setattr(write, "SHAPES", ((2, 40, 56),))


def test_an_export_says_what_it_takes(folder, tmp_path, small, run_command_here):
    done = run_command_here(command.main, folder, tmp_path / "out", "--to=stablehlo")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:2]] == ["2x40x56"]
    assert done.stdout.endswith(f"trained on ImageNet\nwrote {tmp_path / 'out'}\n")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [DESCRIPTION, "model.stablehlo"]
    said = json.loads((tmp_path / "out" / DESCRIPTION).read_text())
    assert said["input"]["channels"] == "RGB" and said["input"]["type"] == "uint8"
    assert said["evaluation"]["scales"] == [0.7071, 1.0, 1.4142]
    assert said["weights"]["source"] == SOURCE
    assert said["weights"]["sha256"] == load_weights(folder).sha256
    (found,) = said["compared_with_the_model"]
    assert 0 < found["own_distance"] <= BATCHED and found["distance"] <= BATCHED


class _Counterfeit(StableHLO):
    """An export whose descriptors are changed."""

    def __init__(self, change):
        self._change = change

    def load(self, folder):
        right = super().load(folder)
        return lambda images: self._change(right(images))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found + np.eye(*found.shape, dtype=np.float32) * 2e-5, "distance of 2e-05"),
        (lambda found: found * np.float32(np.nan), "distance of nan"),
        (lambda found: found[:, :-1], r"gives \[2, 127\] numbers in place of \[2, 128\]"),
    ],
)
def test_a_counterfeit_is_refused(folder, tmp_path, small, monkeypatch, change, said):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.onnx").write_text("a former export")
    monkeypatch.setitem(TARGETS, "stablehlo", _Counterfeit(change))
    with pytest.raises(UserError, match=f"{said}.*nothing was written"):
        write_export(tmp_path / "out", load_weights(folder), "stablehlo")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.onnx"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_export_is_not_replaced(folder, tmp_path, run_command_here):
    (tmp_path / "mine.txt").write_text("mine")
    done = run_command_here(command.main, folder, tmp_path, "--to=stablehlo")
    assert done.returncode == 2
    assert "is there and holds something else than an export; remove it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_network_that_does_not_describe_is_refused(tmp_path, run_command_here):
    save_weights(tmp_path / "trunk", lively_weights("tiny_classifier"))
    done = run_command_here(command.main, tmp_path / "trunk", tmp_path / "out", "--to=onnx")
    assert done.returncode == 2 and "tiny_classifier, which does not describe" in done.stderr
    assert not (tmp_path / "out").exists()
