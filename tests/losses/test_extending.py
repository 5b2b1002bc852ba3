"""The loss of docs/extending.md, added from outside of the package by the config file it is in."""

import os
import subprocess
import sys

import jax
import pytest

from senet_jax.command_line import keys_help, parse_with_config, validate
from senet_jax.config import read
from senet_jax.data.builder import build
from senet_jax.data.loader import spec_of_examples
from senet_jax.data.synthetic_landmarks import TINY, training_source
from senet_jax.losses import registry
from senet_jax.system.errors import CommandParser, UserError
from senet_jax.system.files import read_json
from senet_jax.training.metrics import read_metrics
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import make_setup
from tests.documents import python_under
from tests.processes import ROOT
from tests.training.training_command import ENVIRONMENT

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "LOSSES", dict(registry.LOSSES))
    path = tmp_path / "mine.py"
    path.write_text(python_under("extending", "A loss"))
    return path


def _config(file, *flags):
    parser = CommandParser(prog="train", add_help=False)
    return parse_with_config(parser, [f"--config={file}", *flags])[1]


def test_its_keys_are_checked_and_explained_like_any_other(file):
    config = _config(file, "--config.losses.proxies_temperature=0.25")
    validate(config)
    help_text = keys_help(config)
    assert (
        "  --config.losses.proxies_temperature=0.25\n        of the softmax over the proxies\n"
    ) in help_text
    assert "  --config.losses.proxies_weight=0.5\n" in help_text and "UNKNOWN" not in help_text
    for flag, message in (
        ("proxies_temperature=0.0", "is 0.0; it has to be a number above 0"),
        ("proxies_weight=-1.0", "is -1.0; it has to be a number from 0 on"),
    ):
        with pytest.raises(UserError, match=f"config.losses.{flag.split('=')[0]} {message}"):
            validate(_config(file, f"--config.losses.{flag}"))
    assert "proxies" not in {loss.name for loss in read(TrainingSettings, _without(config)).losses}


def _without(config):
    with config.unlocked():
        del config.losses.proxies_weight, config.losses.proxies_temperature
    return config


def test_without_its_weight_its_other_keys_are_unknown(file):
    config = _config(file)
    with config.unlocked():
        del config.losses.proxies_weight
    with pytest.raises(UserError, match=r"config\.losses\.proxies_temperature is unknown"):
        validate(config)


def test_a_step_has_its_parameters_and_its_metrics(file):
    config = _config(file, "--config.optimizer.no_weight_decay=('^proxies$',)")
    setup = make_setup(read(TrainingSettings, config), class_count=12, steps_per_epoch=3.0)
    state = setup.abstract_state()
    assert state.params["proxies"].shape == (12, 128)
    assert state.by_rows == ("classes",)
    batch = {
        name: jax.ShapeDtypeStruct((4, *shape), dtype)
        for name, (shape, dtype) in spec_of_examples(32, pairs=False).items()
    }
    after, metrics = jax.eval_shape(setup.make_step(), state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {"loss_classification", "loss_proxies", "largest_logit"} < metrics.keys()


def test_another_loss_of_its_name_is_refused(file):
    validate(_config(file))
    validate(_config(file))  # Loaded again, it takes its own place.

    class Other(registry.LOSSES["proxies"]):
        pass

    with pytest.raises(ValueError, match="the loss 'proxies' is Proxies already"):
        registry.register(Other)


@pytest.mark.slow
def test_a_training_with_it_by_the_command(file, tmp_path):
    build(training_source(TINY), tmp_path / "data")
    settings = {
        "model": "demo_baseline",
        "data.folder": tmp_path / "data",
        "data.side": 32,
        "data.workers": 0,
        "start": "",
        "batch_size": 8,
        "epochs": 2 / 6,  # Of 48 images.
        "optimizer.warmup_epochs": 0.0,
        "log_every_steps": 1,
        "losses.classification_weight": 0.0,
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "senet_jax.main"),
            *(f"--config={file}", f"--workdir={tmp_path / 'run'}"),
            *(f"--config.{key}={value}" for key, value in settings.items()),
        ],
        cwd=tmp_path,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, last = read_metrics(tmp_path / "run")
    assert first["train/loss"] == pytest.approx(0.5 * first["train/loss_proxies"])
    assert first["train/loss_proxies"] != last["train/loss_proxies"]
    assert "loss proxies" in done.stderr
    run = read_json(tmp_path / "run" / "report.json")["run"]
    assert run["config"]["losses"]["proxies_weight"] == 0.5
