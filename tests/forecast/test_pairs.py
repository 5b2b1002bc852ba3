"""The forecast of a training on pairs, beside the triples and the maps that it is of."""

import numpy as np
import pytest

from configs import demo_reranker
from senet_jax.config import read
from senet_jax.data.builder import build
from senet_jax.data.synthetic_landmarks import TINY, training_source
from senet_jax.forecast.pairs import forecast_pairs, known_pairs
from senet_jax.models.registry import ARCHITECTURES
from senet_jax.training.pairs.kept_maps import KeptMaps
from senet_jax.training.pairs.settings import PairTrainingSettings
from senet_jax.training.pairs.triples import Triples

NETWORK = ARCHITECTURES["tiny"]
EPOCHS, SIDE = 2.0, 32


@pytest.fixture
def config(tmp_path):
    config = demo_reranker.get_config()
    config.model, config.start, config.epochs = "tiny", "nowhere/weights", EPOCHS
    config.data.folder, config.data.side = str(tmp_path / "data"), SIDE
    build(training_source(TINY), tmp_path / "data")
    return config


def test_steps_and_bytes_are_those_of_the_triples_and_their_maps(config):
    settings = read(PairTrainingSettings, config)
    known = known_pairs(settings)
    side = SIDE // NETWORK.stride(3)
    labels = np.arange(known.images) % known.classes
    maps = np.zeros((known.images, side, side, NETWORK.stage_widths[2]), np.float32)
    descriptors = np.ones((known.images, NETWORK.outputs), np.float32)
    triples = Triples(KeptMaps(maps, descriptors, labels), settings.batch_size, 0, settings.pairs)
    assert known.steps == round(EPOCHS * triples.steps_per_epoch)
    assert known.map_bytes == maps.nbytes + descriptors.nbytes


def test_lines(config):
    lines = dict(forecast_pairs(config))
    assert lines["steps"] == "12, of 8 triples each"
    assert lines["images"].startswith("48 of 12 classes, in ")
    assert set(lines) == {"images", "steps", "maps that are kept on disk", "a checkpoint, at most"}
