import jax
import numpy as np
import pytest

from senet_jax.models.architecture import SelfSimilarityConfig
from senet_jax.models.layers import LayerOptions, l2_normalise
from senet_jax.models.self_similarity import SelfSimilarityModule, self_similarity
from tests.models.initial import initial_variables
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


@pytest.mark.parametrize(
    "config",
    [
        SelfSimilarityConfig(width=4, window=5),
        SelfSimilarityConfig("direct", "dot", "concat", width=4, window=3),
    ],
)
@pytest.mark.parametrize("positions", [1, 29])  # Of 2 x 5 x 7: one row, or two, at a time.
def test_some_rows_at_a_time_give_the_same(config, positions):
    maps = np.random.default_rng(2).normal(size=(2, 5, 7, 6)).astype(np.float32)
    whole = SelfSimilarityModule(config, LayerOptions())
    parts = SelfSimilarityModule(config, LayerOptions(positions_per_part=positions))
    variables = initial_variables(whole, maps)
    expected, named = jax.jit(whole.apply)(variables, maps)
    ours, named_by_parts = jax.jit(parts.apply)(variables, maps)
    assert named.keys() - named_by_parts.keys() == {"self_similarity"}
    for one, other in ((ours, expected), (named_by_parts["structure"], named["structure"])):
        bar = FEW_ROUNDINGS * np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=bar)


def test_all_positions_per_part_if_they_are_not_too_many():
    maps = np.ones((2, 5, 7, 6), np.float32)
    module = SelfSimilarityModule(
        SelfSimilarityConfig(width=4), LayerOptions(positions_per_part=70)
    )
    (_, named), _ = jax.eval_shape(module.init_with_output, jax.random.key(0), maps)
    assert named["self_similarity"].shape == (2, 5, 7, 7, 7, 4)
