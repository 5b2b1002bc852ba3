import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.training import evaluator as evaluation
from senet_jax.training.evaluator import Evaluator
from tests.features.mean_colour import MeanColour
from tests.training import landmarks

RGB = Preprocessing("RGB")
NAMES = ("landmarks", "landmarks_family_only")


@pytest.fixture
def described(monkeypatch):
    """What the networks, which are stand-ins, were asked for: a list of each."""
    networks = []

    def describer(architecture, preprocessing, variables):
        assert (architecture, preprocessing) == (landmarks.ARCHITECTURE, RGB)
        networks.append(MeanColour("exact"))
        return networks[-1]

    monkeypatch.setattr(evaluation, "Describer", describer)
    return networks


def test_datasets_of_the_same_pictures_share_their_descriptors(tiny_world, described):
    datasets = [load_dataset(tiny_world, name) for name in NAMES]
    evaluator = Evaluator(landmarks.ARCHITECTURE, RGB, datasets, (1.0,))
    variables = {"params": {}, "batch_stats": {}}
    reports = evaluator.run(variables)
    assert tuple(reports) == NAMES
    (network,) = described
    assert sum(network.filled) == len(datasets[0].queries) + len(datasets[0].images)
    # What counts as junk differs, so the scores do.
    maps = [reports[name].means("medium")[0] for name in NAMES]
    assert maps[0] != maps[1]
    assert evaluator.run(variables)[NAMES[0]].to_json() == reports[NAMES[0]].to_json()
