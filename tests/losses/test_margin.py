import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.losses import margin
from senet_jax.system.errors import UserError
from tests.oracles import losses as oracle

M = 0.15
TINY = 1e-3  # In radians: well above the rounding of a float32 cosine at pi - m.
ANGLES = [*np.linspace(0, math.pi, 181), math.pi - M - TINY, math.pi - M + TINY, 1e-4, 1e-3]
ONE = np.float32(1)
COSINES = np.float32([*np.cos(ANGLES), np.nextafter(ONE, ONE * 2), np.nextafter(ONE, 0 * ONE)])


_positive = jax.jit(margin.positive_cosine, static_argnums=1)
_slopes = jax.jit(jax.vmap(jax.grad(lambda cosine: margin.positive_cosine(cosine, M))))


@pytest.mark.parametrize("m", [0.0, M, 0.5])
def test_positive_at_every_angle(m):
    found = _positive(COSINES, m)
    expected = [oracle.positive(oracle.angle(float(c)), m) for c in COSINES]
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-7)


def test_positive_has_a_finite_slope_at_every_angle():
    assert np.isfinite(_slopes(COSINES)).all()


def test_slope_of_positive():
    theta = np.linspace(0.02, math.pi - 0.02, 101)
    slopes = _slopes(np.float32(np.cos(theta)))
    expected = np.where(theta < math.pi - M, np.sin(theta + M) / np.sin(theta), 1)
    np.testing.assert_allclose(slopes, expected, rtol=1e-3)  # A float32 cosine at .02: 3e-4.


def test_the_two_branches_do_not_meet():
    angles = np.array([math.pi - M - TINY, math.pi - M + TINY])
    before, after = map(float, _positive(np.float32(np.cos(angles)), M))
    assert before == pytest.approx(-1, abs=1e-6)
    assert before - after == pytest.approx(math.cos(M) + M * math.sin(M) - 1, abs=2e-4)


def test_threshold_of_a_negative():
    found = margin.negative_threshold(jnp.asarray(COSINES), M, "curricular")
    expected = [math.cos(oracle.angle(float(c)) + M) for c in COSINES]
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-7)
    assert (margin.negative_threshold(jnp.asarray(COSINES), M, "arc") > 1).all()


@pytest.mark.parametrize("kind", ["curricular", "arc"])
def test_threshold_has_no_gradient(kind):
    assert jax.grad(margin.negative_threshold)(0.5, M, kind) == 0


def test_running_scalar():
    assert margin.updated_running(jnp.float32(0.5), jnp.float32(-0.3)) == pytest.approx(0.492)
    assert jax.grad(margin.updated_running, argnums=1)(0.5, 0.3) == 0


def test_unknown_kind():
    with pytest.raises(UserError, match="no margin of the kind 'sphere'; it is curricular or arc"):
        margin.negative_threshold(jnp.float32(0), M, "sphere")
