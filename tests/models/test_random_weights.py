import functools

import jax
import numpy as np
import pytest
import torch

from senet_jax.models import random_weights
from senet_jax.models.cvnet import (
    PairRegion,
    Reranker,
    reranker_shapes,
    resizings,
    stage3_before_relu,
)
from senet_jax.models.layers import l2_normalise
from senet_jax.models.random_weights import _dead_leaves, random_reranker, random_variables
from senet_jax.models.registry import ARCHITECTURES, build_model, variable_shapes
from senet_jax.models.valid_region import WHOLE
from senet_jax.weights import flatten
from tests.oracles.lively_twin import architecture_named, smooth_images
from tests.programs import quickly

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
    descriptors = l2_normalise(quickly(model.apply)(variables, images)[0])
    assert (descriptors @ descriptors.T).min() < 0.9


@pytest.fixture(scope="module")
def trunk():
    """The trunk of a re-ranker, and its variables."""
    architecture = architecture_named("tiny_learnable")
    return architecture, random_variables(architecture, 0)


@pytest.fixture(scope="module")
def reranker(trunk):
    return random_reranker(*trunk, 0)


def test_reranker_has_its_shapes_and_nothing_is_as_it_starts(trunk, reranker):
    shapes, ours = dict(flatten(reranker_shapes(trunk[0]))), dict(flatten(reranker))
    assert ours.keys() == shapes.keys()
    for path, array in ours.items():
        assert isinstance(array, np.ndarray) and np.ptp(array) > 0, path
        assert (array.shape, array.dtype) == (shapes[path].shape, np.float32), path


def test_reranker_is_the_same_for_a_seed(trunk, monkeypatch):
    sizes = random_weights.PAIRED_SIZES[:2]  # Pairs of large maps take long.
    monkeypatch.setattr(random_weights, "PAIRED_SIZES", sizes)
    first, same, other = (random_reranker(*trunk, seed) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, same, first)
    assert all((a != b).any() for a, b in zip(*map(jax.tree.leaves, (first, other)), strict=True))


def test_scores_of_other_images_are_spread(trunk, reranker):
    (architecture, variables), params = trunk, reranker
    images = _dead_leaves(np.random.default_rng(9))[:6]
    describe = quickly(functools.partial(stage3_before_relu, build_model(architecture)))
    stage3 = describe(variables, images, WHOLE)
    size = stage3.shape[1:3]
    apply = jax.jit(Reranker().apply, static_argnames="method")
    maps = apply({"params": params}, stage3, resizings(size, size), method="maps")
    first, second = np.nonzero(~np.eye(6, dtype=bool))
    region = PairRegion(np.tile(np.int32([*size, *size]), (30, 1)))
    scores = apply({"params": params}, maps[first], maps[second], region, method="scores")
    assert scores.min() < 0.3 and scores.max() > 0.7 and np.std(scores) > 0.1
