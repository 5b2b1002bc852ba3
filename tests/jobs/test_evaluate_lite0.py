"""From the package with the weights of EfficientNet-Lite0 to a report, by two commands."""

import json
import pathlib

import numpy as np
import pytest

from senet_jax.convert.__main__ import main as convert
from senet_jax.main import main
from senet_jax.models.preprocessing import normalise
from senet_jax.system import runtime
from senet_jax.weights import load_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.oracles import lite0
from tests.oracles.lite0 import needs_lite0

# ml_collections loads a config file in an old way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning"),
    needs_lite0,
]

REPOSITORY = pathlib.Path(__file__).parents[2]
HEADING = "lite0, trained on ImageNet, not on landmarks"


@pytest.fixture
def evaluate(tmp_path, run_command_here, monkeypatch):
    # The memory of this process stays as it is.
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)

    def run(*flags):
        assert run_command_here(convert, "pretrained:lite0", tmp_path / "weights").returncode == 0
        arguments = [
            "main",
            f"--config={REPOSITORY}/configs/evaluate.py:lite0",
            f"--workdir={tmp_path / 'run'}",
            f"--config.weights={tmp_path / 'weights'}",
            *flags,
        ]
        done = run_command_here(lambda: main(arguments))
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads((tmp_path / "run" / "report.json").read_text())

    return run


def test_photographs_are_described_as_the_package_would(evaluate, tmp_path):
    shape = (75, 110)
    write_dataset(tmp_path, "town", boxes=[(0, 0, shape[1], shape[0])] * 2)
    images = {name: picture(*shape, seed=ord(name)) for name in "abcqr"}
    for name, image in images.items():
        (tmp_path / "town" / "jpg" / f"{name}.jpg").write_bytes(encoded(image, ".png"))
    printed, report = evaluate(
        f"--config.data_root={tmp_path}", "--config.datasets=town", "--config.scales=(1.0,)"
    )
    assert f"town, {HEADING}\n" in printed
    source = report["run"]["weights"]
    assert (source["model"], source["training_set"]) == ("lite0", "ImageNet")
    preprocessing = load_weights(tmp_path / "weights").preprocessing
    pixels = normalise(np.stack([images[name] for name in "abc"]), preprocessing)
    ours = np.load(tmp_path / "run" / "descriptors" / "town" / "database.npy")
    np.testing.assert_allclose(ours, lite0.descriptors(pixels), rtol=0, atol=1e-5)
