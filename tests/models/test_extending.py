"""A family of models from outside, as the documentation shows it, through the ordinary commands."""

import json
import sys

import numpy as np
import pytest
import torch

from senet_jax.convert.__main__ import main as convert
from senet_jax.convert.compare import main as compare
from senet_jax.data.prepare import main as prepare
from senet_jax.main import main
from senet_jax.models import registry
from senet_jax.models.family import Family
from senet_jax.system import runtime
from senet_jax.system.errors import UserError
from senet_jax.weights import load_weights
from tests.convert.checkpoints import assert_equal_states, load
from tests.data.pictures import encoded, picture, write_dataset
from tests.documents import python_under

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
CONFIG = """
import patches
from configs import evaluate

def get_config():
    return evaluate.get_config("patches16")
"""
TRAINING = """
import patches
from configs import common

def get_config():
    return common.train("patches16")
"""
SHAPE = (40, 48)


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Files that register the family when they are imported; afterwards nothing is left of it."""
    (tmp_path / "patches.py").write_text(python_under("extending", "A model family"))
    (tmp_path / "config.py").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    tables = (registry._FAMILIES, registry.ARCHITECTURES)
    before = [dict(table) for table in tables]
    yield tmp_path
    sys.modules.pop("patches", None)
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


def _state():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        patches = torch.nn.Conv2d(3, 64, 16, 16)
    return {f"embed.{name}": tensor for name, tensor in patches.state_dict().items()}


def _expected(state, pixels):
    """The descriptor of one image by its definition, in float64."""
    pixels = pixels.astype(np.float64) / 255
    pixels = (pixels - [0.406, 0.456, 0.485]) / [0.225, 0.224, 0.229]
    height, width = (-(-side // 16) * 16 for side in pixels.shape[:2])
    above, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    padded = np.zeros((height, width, 3))
    padded[above : above + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    tiles = padded.reshape(height // 16, 16, width // 16, 16, 3)
    kernel, bias = (state[f"embed.{leaf}"].double().numpy() for leaf in ("weight", "bias"))
    maps = np.einsum("iujvc,dcuv->ijd", tiles, kernel) + bias
    descriptor = np.maximum(maps, 0).mean(axis=(0, 1))
    return descriptor / np.linalg.norm(descriptor)


def test_a_family_from_outside_goes_through_the_ordinary_doors(
    registered, run_command_here, monkeypatch
):
    state = _state()
    torch.save(state, registered / "a.pth")
    refused = run_command_here(convert, registered / "a.pth", registered / "weights")
    assert refused.returncode == 2
    assert "no model has the layers of this checkpoint" in refused.stderr

    import patches

    done = run_command_here(convert, registered / "a.pth", registered / "weights")
    assert (done.returncode, done.stderr) == (0, "")
    assert "patches names" in done.stdout and "patches16, 49,216 parameters" in done.stdout
    described = json.loads((registered / "weights" / "model.json").read_text())
    assert (described["format"], described["family"]) == (2, "patches")
    assert described["architecture"] == {"name": "patches16", "outputs": 64, "side": 16}
    assert run_command_here(convert, registered / "weights", registered / "b.pth").returncode == 0
    assert_equal_states(load(registered / "b.pth"), state)

    done = run_command_here(compare, registered / "weights", registered / "a.pth", "a.jpg")
    assert done.returncode == 2 and "holds patches16, which is not there in PyTorch" in done.stderr
    done = run_command_here(convert, "random:patches16:0", registered / "random")
    assert done.returncode == 0 and "nothing is learned in them" in done.stdout

    write_dataset(registered, "town", boxes=[(0, 0, SHAPE[1], SHAPE[0])] * 2)
    folder = registered / "town" / "jpg"
    folder.mkdir(exist_ok=True)
    for name in "abcqr":
        image = picture(*SHAPE, seed=ord(name))
        (folder / f"{name}.jpg").write_bytes(encoded(image, ".png"))
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    evaluated = run_command_here(
        lambda: main(
            [
                "main",
                f"--config={registered / 'config.py'}",
                f"--workdir={registered / 'run'}",
                f"--config.weights={registered / 'weights'}",
                f"--config.data_root={registered}",
                "--config.datasets=town",
                "--config.scales=(1.0,)",
            ]
        )
    )
    assert (evaluated.returncode, evaluated.stderr.count("error")) == (0, 0), evaluated.stderr
    ours = np.load(registered / "run" / "descriptors" / "town" / "database.npy")
    expected = [_expected(state, picture(*SHAPE, seed=ord(name))) for name in "abc"]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)
    assert registry.family_of(patches.PatchSettings("x", outputs=3)).name == "patches"


def test_a_family_from_outside_is_trained(registered, run_command_here):
    def run(command, *arguments):
        done = run_command_here(command, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr

    import patches

    run(convert, "random:patches16:0", registered / "weights")
    for label in range(4):
        folder = registered / "photographs" / str(label)
        folder.mkdir(parents=True)
        for view in range(8):
            image = picture(*SHAPE, seed=10 * label + view)
            (folder / f"{view}.png").write_bytes(encoded(image, ".png"))
    prepared = f"--target={registered / 'mine'}"
    run(prepare, "folder", f"--images={registered / 'photographs'}", prepared, "--held_out=0")
    (registered / "config.py").write_text(TRAINING)
    flags = {
        "start": registered / "weights",
        "data.folder": registered / "mine",
        "data.side": 32,
        "data.workers": 0,
        "batch_size": 8,
        "epochs": 1.0,
        "optimizer.warmup_epochs": 0.0,
        "losses.queue_length": 32,
        "evaluation.datasets": "",
    }
    given = [f"--config={registered / 'config.py'}", f"--workdir={registered / 'run'}"]
    given += [f"--config.{key}={value}" for key, value in flags.items()]
    said = run(lambda: main(["main", *given]))
    assert "patches taken (2 tensors), classes fresh\n" in said and "step 4/4" in said
    before, after = (load_weights(registered / name) for name in ("weights", "run/weights"))
    assert after.architecture == patches.PatchSettings("patches16", outputs=64)
    assert all((after.tensors[path] != before.tensors[path]).any() for path in before.tensors)


def test_a_family_is_not_registered_twice(registered):
    [senet, *_] = registry.families()
    registry.register(senet)  # The same again changes nothing.
    assert registry.families()[0] is senet
    other = Family("other", senet.settings, senet.build, senet.gives)
    with pytest.raises(UserError, match="'other', or one with settings of the type SENetSettings"):
        registry.register(other)

    import patches

    class Settings(patches.PatchSettings):
        pass

    models = (Settings("r50", outputs=1),)
    with pytest.raises(UserError, match="a model 'r50' is registered already"):
        registry.register(Family("again", Settings, patches.build, {}, models=models))
    assert "again" not in {family.name for family in registry.families()}
