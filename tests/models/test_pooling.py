import jax
import numpy as np
import pytest

from senet_jax.models.pooling import LearnableGeneralisedMean, generalised_mean
from tests.tolerances import FEW_ROUNDINGS


def _by_formula(maps, power):
    return np.mean(np.maximum(maps.astype(np.float64), 1e-6) ** power, axis=(1, 2)) ** (1 / power)


@pytest.mark.parametrize("power", [3.0, 1.0, 2.6])
def test_equals_its_formula(power):
    maps = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    assert (maps < 0).any()
    np.testing.assert_allclose(
        generalised_mean(maps, power), _by_formula(maps, power), rtol=FEW_ROUNDINGS
    )


def test_clamps_from_below():
    maps = np.array([-5, 0, 1e-7], np.float32).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(generalised_mean(maps), [[1e-6] * 3], rtol=FEW_ROUNDINGS)


def test_is_computed_in_float32():
    maps = jax.numpy.full((1, 2, 2, 1), 1.5, jax.numpy.bfloat16)
    assert generalised_mean(maps).dtype == np.float32


def test_power_is_a_parameter_that_starts_at_three_and_learns():
    maps = np.random.default_rng(1).uniform(0.1, 2, (2, 3, 3, 4)).astype(np.float32)
    module = LearnableGeneralisedMean()
    variables = module.init(jax.random.key(0), maps)
    assert variables["params"]["p"].tolist() == [3]

    def mean(variables):
        return module.apply(variables, maps).sum()

    step = 1e-4
    by_difference = (_by_formula(maps, 3 + step).sum() - _by_formula(maps, 3 - step).sum()) / (
        2 * step
    )
    gradient = jax.grad(mean)(variables)["params"]["p"]
    # A central difference in float64 is exact to step^2; the gradient is float32.
    np.testing.assert_allclose(gradient, [by_difference], rtol=1e-5)
