import jax
import numpy as np
import pytest
import torch

from senet_jax.models.architecture import ARCHITECTURES
from senet_jax.models.layers import l2_normalise
from senet_jax.models.random_weights import random_variables
from senet_jax.models.senet import build_model, variable_shapes
from senet_jax.weights import flatten
from tests.oracles.lively_twin import smooth_images

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def variables():
    return random_variables(ARCHITECTURES["tiny_baseline"], 0)


def test_has_the_shapes_and_dtypes_of_the_network(variables):
    shapes = dict(flatten(variable_shapes(ARCHITECTURES["tiny_baseline"])))
    ours = dict(flatten(variables))
    assert ours.keys() == shapes.keys()
    for path, array in ours.items():
        assert isinstance(array, np.ndarray)
        assert (array.shape, array.dtype) == (shapes[path].shape, np.float32), path


def test_nothing_is_as_it_starts(variables):
    """A tensor of equal values would hide that it is used twice, or not at all."""
    for path, array in flatten(variables):
        assert np.ptp(array) > 0, path


def test_descriptors_differ(variables):
    """Those of freshly initialised networks have cosines above .99."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images = smooth_images((8, 3, 96, 128)).permute(0, 2, 3, 1).numpy()
    model = build_model(ARCHITECTURES["tiny_baseline"])
    descriptors = l2_normalise(jax.jit(model.apply)(variables, images)[0])
    assert (descriptors @ descriptors.T).min() < 0.9
