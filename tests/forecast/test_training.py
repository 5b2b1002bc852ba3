import itertools
import re

import jax
import numpy as np
import pytest

from configs import common, demo
from senet_jax.config import read
from senet_jax.data.builder import build
from senet_jax.data.synthetic_landmarks import TINY, training_source
from senet_jax.forecast.training import forecast_training, state_bytes
from senet_jax.system.errors import UserError
from senet_jax.training.parallel import ParallelStep
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import make_setup


@pytest.fixture
def config():
    config = common.train("tiny")
    config.data.folder = "nowhere/gldv2_clean"
    return config


def _before_compiling(config):
    lines = forecast_training(config)
    return dict(itertools.takewhile(lambda line: line[0] != "state of a device", lines))


def test_gldv2_clean_is_known_without_its_images(config):
    lines = _before_compiling(config)
    assert lines["images"].startswith("1,580,470 of 81,313 classes, all that its list names")
    assert "nowhere/gldv2_clean is not there" in lines["images"]
    # SPEC: 10,976 steps an epoch, the last of which is not full, and 274 k in 25 epochs.
    assert lines["steps"] == "274,387, 10,975.5 an epoch"
    assert lines["batch"] == "144 images of 512 x 512, 18 on each of 8 devices"
    assert lines["parameters, network"] == "113,904"
    assert "feed" not in lines


def test_other_data_has_to_be_there(config):
    config.data.folder = "nowhere/photographs"
    with pytest.raises(UserError, match=r"with python -m senet_jax\.data\.prepare folder"):
        next(forecast_training(config))


def test_prepared_data_is_counted(config, tmp_path):
    report = build(training_source(TINY), tmp_path / "data")
    config.data.folder = str(tmp_path / "data")
    config.batch_size, config.epochs = 16, 8.0
    lines = _before_compiling(config)
    assert (
        lines["images"]
        == f"{report['images']} of {report['classes']} classes, in {tmp_path / 'data'}"
    )
    assert lines["steps"] == f"{8 * report['images'] // 16}, {report['images'] / 16} an epoch"
    rate, cores, ten_times = (
        float(figure.replace(",", ""))
        for name in ("feed", "  cores that leave no wait")
        for figure in re.findall(r"([\d,.]+) (?:images/s|where)", lines[name])
    )
    # L_con takes a partner of every image.
    assert cores == pytest.approx(2 * 16 / rate, abs=0.06)
    assert ten_times == pytest.approx(10 * cores, abs=1.1)


def test_a_batch_that_devices_cannot_share(config):
    config.batch_size = 12
    with pytest.raises(UserError, match="a batch of 12 cannot be shared by 8 devices"):
        next(forecast_training(config))


@pytest.mark.parametrize("contrastive_weight", [0.0, 0.5])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_state_takes_what_it_takes_when_it_is_placed(config, contrastive_weight, optimizer):
    config.losses.contrastive_weight = contrastive_weight
    config.optimizer.name = optimizer
    config.losses.queue_length = 256
    shapes = make_setup(
        read(TrainingSettings, config), class_count=100, steps_per_epoch=9.0
    ).abstract_state()
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    placed = ParallelStep(lambda state, batch: (state, {}), state).to_devices(state)
    on_last_device = sum(
        shard.data.nbytes
        for leaf in jax.tree.leaves(placed)
        for shard in leaf.addressable_shards
        if shard.device == jax.devices()[-1]
    )
    parts = state_bytes(shapes, jax.device_count())
    assert sum(parts.values()) == on_last_device
    queue = 256 // 8 * (128 + 1) * 4 + 4
    assert parts.get("contrastive loss, queue") == (queue if contrastive_weight else None)
    assert ("contrastive loss, momentum network" in parts) == bool(contrastive_weight)


def _bytes(text):
    return int(text.split(" ")[0].replace(",", ""))


def _channels(config):
    """Of all batch norms together, and how many of them there are."""
    setup = make_setup(read(TrainingSettings, config), class_count=100, steps_per_epoch=9.0)
    statistics = jax.tree.leaves(setup.abstract_state().batch_stats)  # A mean and a variance each.
    return sum(leaf.size for leaf in statistics) // 2, len(statistics) // 2


@pytest.mark.slow
def test_the_compiled_step(config):
    config.data.side = 64
    config.batch_size = 16
    lines = dict(forecast_training(common.classification_only(config)))
    found = {name: _bytes(text) for name, text in lines.items() if "bytes" in text}
    kinds = ("all-gather", "all-reduce", "all-to-all", "reduce-scatter")
    of_kinds = sum(found.get(f"  {kind}", 0) for kind in kinds)
    assert found["sent by a device in a step"] == of_kinds
    # A ring sends every gradient of the network nearly twice; batch statistics come on top.
    gradients = 4 * 113_904 * 2 * 7 / 8
    assert gradients < found["  all-reduce"] < 1.1 * gradients
    channels, norms = _channels(config)
    # A mean and a variance, and the gradient of each.
    assert found["  of it for batch norms"] == 4 * 4 * channels * 2 * 7 / 8
    assert lines["  of it for batch norms"].endswith(f", in {4 * norms} sums")
    # At least what the first convolution gives: 16 channels of a quarter of each image's pixels.
    assert found["besides it in a step"] > 2 * 32 * 32 * 16 * 4


def test_the_demo_needs_its_data(tmp_path, monkeypatch):
    # In the repository they are, once `make demo` was there.
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="runs/demo/data/synthetic_landmarks is no prepared"):
        next(forecast_training(demo.get_config()))
