import dataclasses

import numpy as np
import pytest

from senet_jax.features import extract as extract_module
from senet_jax.features.plan import CPU_COSTS
from senet_jax.index import update as update_module
from senet_jax.index.store import open_index
from senet_jax.index.update import update
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture
from tests.features.mean_colour import MeanColour
from tests.oracles.lively_twin import lively_weights

SHAPES = [(30, 40), (40, 30), (70, 90), (90, 70)]


class Colours(MeanColour):
    """Mean colours, in the width of the tiny networks."""

    width = 128

    def values(self, scales, parts):
        described = super().values(scales, parts)
        return [d and {"descriptor": np.pad(d["descriptor"], (0, 125))} for d in described]


class World:
    """A folder of photographs, an index of it, and how many photographs were described."""

    def __init__(self, folder, weights):
        self.photos, self.index, self.weights = folder / "photos", folder / "index", weights
        self.photos.mkdir()
        self.describer = Colours()

    def write(self, name, seed, suffix=".jpg"):
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(*SHAPES[seed % 4], seed=seed), suffix))
        return path

    def update(self, **options):
        """Brings the index up to date; what that has done."""
        options = {"photos": self.photos, "folder": self.index, "weights": self.weights} | options
        return update(**{"storage": None} | options)

    def found(self):
        """Path relative to the photographs -> its descriptor as it is stored."""
        index = open_index(self.index)
        return {
            path.removeprefix(f"{self.photos}/"): index.contents.descriptors[row].tobytes()
            for row, paths in index.paths_of_row.items()
            for path in paths
        }

    @property
    def described(self):
        """How many photographs the network was given."""
        return sum(self.describer.filled) // 3


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    save_weights(folder, lively_weights("tiny_baseline"))
    return folder


@pytest.fixture
def world(tmp_path, weights, monkeypatch):
    """Batches of up to two photographs, of which three make a group that is saved."""
    monkeypatch.setattr(update_module, "SHARD_BATCHES", 3)
    costs = dataclasses.replace(CPU_COSTS, batch_pixels=2 * 130 * 130)
    monkeypatch.setattr(extract_module, "device_costs", lambda: costs)
    world = World(tmp_path, weights)
    monkeypatch.setattr(update_module.Describer, "of", lambda weights: world.describer)
    return world


@pytest.fixture
def town(world):
    """Twenty photographs, in folders."""
    for number in range(20):
        world.write(f"{number % 3}/{number}.jpg", number)
    return world


@pytest.fixture
def queries():
    numbers = np.random.default_rng(0).random((5, 128), np.float32)
    numbers[:, 3:] = 0
    return numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
