import jax
import numpy as np
import pytest

from senet_jax.models.layers import l2_normalise
from senet_jax.models.self_similarity import self_similarity
from tests.oracles import self_similarity as oracle
from tests.tolerances import FEW_ROUNDINGS


@pytest.mark.parametrize("channelwise", [True, False])
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (1, 1, 1, 2), (1, 2, 9, 3)])
def test_equals_its_definition(shape, channelwise):
    q = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ours = self_similarity(q, 7, channelwise=channelwise)
    theirs = oracle.self_similarity(q.astype(np.float64), 7, channelwise)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=FEW_ROUNDINGS * np.abs(theirs).max())


def test_window_of_another_size():
    q = np.random.default_rng(1).normal(size=(1, 4, 3, 2)).astype(np.float32)
    theirs = oracle.self_similarity(q.astype(np.float64), 3, True)
    np.testing.assert_allclose(self_similarity(q, 3), theirs, rtol=0, atol=FEW_ROUNDINGS)


def test_where_q_is_zero_the_gradient_is_finite():
    gradient = jax.grad(lambda q: self_similarity(l2_normalise(q), 3).sum())(np.zeros((1, 2, 2, 4)))
    assert np.isfinite(gradient).all()
