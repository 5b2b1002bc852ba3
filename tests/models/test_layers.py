import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from senet_jax.models.layers import LayerOptions, blocked_dot, l2_normalise, torch_bias_init
from tests.tolerances import FEW_ROUNDINGS, ROUNDING


@pytest.mark.parametrize("count", [2048, 96, 77])
def test_blocked_dot_loses_few_roundings(count):
    """Of positive numbers and weights of both signs, as the last layer has them, one image."""
    rng = np.random.default_rng(0)
    inputs = rng.uniform(0.5, 1.5, (1, count)).astype(np.float32)
    kernel = rng.normal(size=(count, 512)).astype(np.float32)
    exact = inputs.astype(np.float64) @ kernel.astype(np.float64)
    distance = np.linalg.norm(jax.jit(blocked_dot)(inputs, kernel) - exact)
    assert distance <= 4 * ROUNDING * np.linalg.norm(exact)


def test_the_last_layer_is_a_plain_one_in_training_and_nearly_else():
    rng = np.random.default_rng(0)
    inputs, kernel, bias = rng.normal(size=(2, 64)), rng.normal(size=(64, 5)), rng.normal(size=5)
    variables = {"params": {"kernel": kernel, "bias": bias}}
    inputs, variables = jax.tree.map(np.float32, (inputs, variables))
    expected = nn.Dense(5).apply(variables, inputs)
    trained = LayerOptions(train=True).linear(5, name=None).apply(variables, inputs)
    np.testing.assert_array_equal(trained, expected)
    ours = LayerOptions().linear(5, name=None).apply(variables, inputs)
    bar = FEW_ROUNDINGS * (np.abs(inputs) @ np.abs(kernel) + np.abs(bias))
    assert (np.abs(ours - expected) <= bar).all()


def test_l2_normalise_is_that_of_pytorch():
    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    values[0, 0] = 0
    values[1, 1] *= 1e-13  # Shorter than epsilon.
    values[2, 2] *= 1e6
    theirs = torch.nn.functional.normalize(torch.from_numpy(values).double(), dim=-1).numpy()
    np.testing.assert_allclose(l2_normalise(values), theirs, rtol=FEW_ROUNDINGS)


def test_l2_normalise_of_a_descriptor_loses_no_more_than_storing_it():
    values = np.random.default_rng(0).normal(size=(50, 2048)).astype(np.float32)
    exact = values / np.linalg.norm(values.astype(np.float64), axis=1, keepdims=True)
    distance = np.linalg.norm(jax.jit(l2_normalise)(values) - exact, axis=1)
    assert distance.max() <= 2 * ROUNDING


def test_l2_normalise_has_a_finite_gradient_at_zero():
    gradient = jax.grad(lambda v: l2_normalise(v)[0])(jnp.zeros(3))
    np.testing.assert_allclose(gradient, [1e12, 0, 0], rtol=FEW_ROUNDINGS)


def test_l2_normalise_is_float32_whatever_it_gets():
    assert l2_normalise(jnp.ones(3, jnp.bfloat16)).dtype == np.float32


@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_updates_as_pytorch_but_for_the_biased_variance(train):
    maps = np.random.default_rng(1).normal(3, 2, (2, 4, 5, 6)).astype(np.float32)
    norm = LayerOptions(train=train).batch_norm()
    variables = norm.init(jax.random.key(0), maps)
    ours, updated = norm.apply(variables, maps, mutable=["batch_stats"])
    twin = torch.nn.BatchNorm2d(6).double().train(train)
    with torch.no_grad():
        theirs = twin(torch.from_numpy(maps).double().permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    # Where the mean is cancelled its rounding remains: up to three times the values here.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=3 * FEW_ROUNDINGS)
    count = maps[..., 0].size
    unbiased = np.asarray(updated["batch_stats"]["var"], np.float64)
    if train:
        unbiased = 0.9 + (unbiased - 0.9) * count / (count - 1)
    np.testing.assert_allclose(unbiased, twin.running_var, rtol=3 * FEW_ROUNDINGS)
    np.testing.assert_allclose(
        updated["batch_stats"]["mean"], twin.running_mean, rtol=3 * FEW_ROUNDINGS
    )


def test_batch_norm_over_an_axis_is_that_of_the_whole_batch():
    maps = np.random.default_rng(2).normal(size=(4, 3, 2, 2, 5)).astype(np.float32)
    whole = LayerOptions(train=True).batch_norm()
    spread = LayerOptions(train=True, axis_name="devices").batch_norm()
    variables = whole.init(jax.random.key(0), maps[0])
    expected, _ = whole.apply(variables, maps.reshape(12, 2, 2, 5), mutable=["batch_stats"])
    ours, _ = jax.vmap(
        lambda part: spread.apply(variables, part, mutable=["batch_stats"]), axis_name="devices"
    )(maps)
    np.testing.assert_allclose(
        ours.reshape(expected.shape), expected, rtol=0, atol=3 * FEW_ROUNDINGS
    )


def test_bias_is_uniform_within_its_bound():
    bias = torch_bias_init(16)(jax.random.key(0), (10_000,))
    assert 0.249 < bias.max() <= 0.25
    assert -0.25 <= bias.min() < -0.249
