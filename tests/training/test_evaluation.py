import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.training import evaluation
from senet_jax.training.evaluation import Evaluator
from tests.training import landmarks

NAMES = ("landmarks", "landmarks_family_only")


@pytest.fixture
def described(monkeypatch):
    """The images that the network was asked for; it is a stand-in without one."""
    images = []

    def jit_network(architecture, preprocessing, mode):
        def describe(variables, image):
            images.append(image)
            pixels = np.asarray(image, np.float32) + variables["params"]["shift"]
            return np.resize(pixels, (1, 128))

        return describe

    monkeypatch.setattr(evaluation, "jit_network", jit_network)
    return images


def test_datasets_of_the_same_pictures_share_their_descriptors(tiny_world, described):
    datasets = [load_dataset(tiny_world, name) for name in NAMES]
    evaluator = Evaluator(landmarks.ARCHITECTURE, datasets, (1.0,))
    variables = {"params": {"shift": 0.0}, "batch_stats": {}}
    reports = evaluator.run(variables)
    assert tuple(reports) == NAMES
    assert len(described) == len(datasets[0].queries) + len(datasets[0].images)
    # What counts as junk differs, so the scores do.
    maps = [reports[name].means("medium")[0] for name in NAMES]
    assert maps[0] != maps[1]
    assert evaluator.run(variables)[NAMES[0]].to_json() == reports[NAMES[0]].to_json()
