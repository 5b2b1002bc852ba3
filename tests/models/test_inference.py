import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from senet_jax.models.inference import fold, fold_batch_norms, transpose
from senet_jax.models.registry import build_model, variable_shapes
from tests.oracles.lively_twin import (
    architecture_named,
    lively_twin,
    lively_weights,
    maps_of_twin,
    smooth_images,
)
from tests.programs import quickly
from tests.tolerances import FEW_ROUNDINGS, TIMES_THE_TWIN

NAMES = (
    *("tiny", "tiny_direct", "tiny_dot", "tiny_concat", "tiny_fusion", "tiny_baseline"),
    *("tiny_learnable", "tiny_classifier"),
)
ODD = (37, 61)  # The maps of the last stage are 5x8.
# All that inference asks of a network; of the 320 positions of a batch some rows at a time.
FAST = {
    **dict.fromkeys(("folded", "separate_blocks", "fast_blocks", "fast_offsets"), True),
    "positions_per_part": 130,
}


def _some_slow(*fast):
    return [n if n in fast else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]


def _images():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return smooth_images((8, 3, *ODD)).permute(0, 2, 3, 1).numpy().copy()


def _unit(descriptors):
    descriptors = np.asarray(descriptors, np.float64)
    return descriptors / np.linalg.norm(descriptors, axis=-1, keepdims=True)


def _assert_as_near_as_the_twin(name, images, descriptors):
    theirs, exact = (
        _unit(maps_of_twin(lively_twin(name), images, dtype)["descriptor"])
        for dtype in (torch.float32, torch.float64)
    )
    distance = np.linalg.norm(_unit(descriptors) - exact)
    assert distance <= TIMES_THE_TWIN * np.linalg.norm(theirs - exact)


@pytest.mark.parametrize("name", _some_slow("tiny"))
def test_the_fast_form_describes_as_the_readable_one(name):
    """Both are held against the same twin, the readable one in `test_senet`."""
    variables = fold_batch_norms(lively_weights(name).variables())
    model, images = build_model(architecture_named(name), **FAST), _images()
    descriptors, _ = quickly(model.apply)(variables, images)
    _assert_as_near_as_the_twin(name, images, descriptors)


@pytest.mark.parametrize("name", _some_slow("tiny_concat"))
def test_a_transposed_image_has_the_same_descriptor(name):
    variables = transpose(fold_batch_norms(lively_weights(name).variables()))
    model, images = build_model(architecture_named(name), **FAST), _images()
    descriptors, maps = quickly(model.apply)(variables, images.swapaxes(1, 2))
    assert maps["s4"].shape[1:3] == (8, 5)
    _assert_as_near_as_the_twin(name, images, descriptors)


@pytest.mark.parametrize("name", NAMES)
def test_folding_leaves_the_variables_of_the_folded_network(name):
    """A norm that was left would be taken for nothing by the network, without a word."""
    model = build_model(architecture_named(name), folded=True)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *ODD, 3)))
    variables = jax.tree.map(
        lambda leaf: np.ones(leaf.shape, leaf.dtype), variable_shapes(architecture_named(name))
    )
    before = jax.tree.map(np.copy, variables)
    folded = fold_batch_norms(variables)
    kinds = [
        jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree) for tree in (shapes, folded)
    ]
    assert kinds[0] == kinds[1]
    jax.tree.map(np.testing.assert_array_equal, variables, before)


def test_a_layer_does_what_its_norm_did():
    rng = np.random.default_rng(0)
    inputs, kernel = rng.normal(size=(50, 6)), rng.normal(size=(1, 1, 6, 4))
    bias, scale, shift, mean = rng.normal(size=(4, 4))
    variance = rng.uniform(1e-6, 2, 4)
    outputs = inputs @ kernel[0, 0] + bias
    expected = (outputs - mean) / np.sqrt(variance + 1e-5) * scale + shift
    layer = fold(
        {"kernel": kernel, "bias": bias},
        {"scale": scale, "bias": shift},
        {"mean": mean, "var": variance},
    )
    assert layer["kernel"].shape == kernel.shape
    assert layer["kernel"].dtype == layer["bias"].dtype == np.float32
    ours = inputs @ layer["kernel"][0, 0].astype(np.float64) + layer["bias"]
    bar = FEW_ROUNDINGS * (np.abs(inputs) @ np.abs(layer["kernel"][0, 0]) + np.abs(layer["bias"]))
    assert (np.abs(ours - expected) <= bar).all()


def test_turning_twice_changes_nothing():
    variables = fold_batch_norms(lively_weights("tiny").variables())
    jax.tree.map(np.testing.assert_array_equal, transpose(transpose(variables)), variables)
