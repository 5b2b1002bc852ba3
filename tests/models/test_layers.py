import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from senet_jax.models.layers import LayerOptions, l2_normalise, torch_bias_init
from tests.tolerances import FEW_ROUNDINGS


def test_l2_normalise_is_that_of_pytorch():
    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    values[0, 0] = 0
    values[1, 1] *= 1e-13  # Shorter than epsilon.
    values[2, 2] *= 1e6
    theirs = torch.nn.functional.normalize(torch.from_numpy(values).double(), dim=-1).numpy()
    np.testing.assert_allclose(l2_normalise(values), theirs, rtol=FEW_ROUNDINGS)


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
