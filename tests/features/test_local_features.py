import numpy as np
import pytest

from senet_jax.features.local_features import fit_whitening, strongest_positions
from senet_jax.system.errors import UserError

WIDTH = 8


def _unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_whitened_activations_have_no_correlation():
    rng = np.random.default_rng(0)
    activations = np.abs(rng.standard_normal((4000, 20)) @ rng.standard_normal((20, 20)))
    whitening = fit_whitening(activations.astype(np.float32), WIDTH)
    projected = (_unit(activations) - whitening.mean) @ whitening.projection
    np.testing.assert_allclose(np.cov(projected.T), np.eye(WIDTH), atol=1e-3)
    # They are the axes along which the activations vary most.
    kept = _unit(activations) - whitening.mean
    variances = np.linalg.svd(kept, compute_uv=False) ** 2 / (len(kept) - 1)
    lengths = np.linalg.norm(whitening.projection, axis=0)
    np.testing.assert_allclose(lengths, variances[:WIDTH] ** -0.5, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(whitening(activations), axis=1), 1, rtol=1e-5)


def test_axes_without_variance_stay_small():
    activations = np.zeros((30, 5), np.float32)
    activations[:, :2] = np.random.default_rng(0).random((30, 2))
    assert np.isfinite(fit_whitening(activations, 5)(activations)).all()
    same = np.ones((30, 5), np.float32)
    with np.errstate(all="raise"):
        assert np.isfinite(fit_whitening(same, 5)(same)).all()


@pytest.mark.parametrize(("count", "width"), [(9, 9), (100, 21), (100, 0)])
def test_more_components_than_there_are_are_refused(count, width):
    with pytest.raises(UserError, match=f"{width} components of {count} activations with 20"):
        fit_whitening(np.ones((count, 20), np.float32), width)


def test_strongest_positions():
    maps = np.zeros((3, 4, 2), np.float32)
    maps[2, 1], maps[0, 3], maps[1, 0], maps[1, 1] = [3, 4], [6, 0], [0, 1], [1, 0]
    assert strongest_positions(maps, 3).tolist() == [[0, 3], [2, 1], [1, 0]]
    assert strongest_positions(maps, 99).tolist() == [[0, 3], [2, 1], [1, 0], [1, 1]]
    assert strongest_positions(maps * 0, 99).shape == (0, 2)


def test_activations_of_another_network_are_refused():
    activations = np.random.default_rng(0).random((30, 20)).astype(np.float32)
    whitening = fit_whitening(activations, WIDTH)
    with pytest.raises(UserError, match="maps have 19 channels, the whitening 20"):
        whitening(activations[:, :-1])
