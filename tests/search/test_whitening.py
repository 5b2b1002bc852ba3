import numpy as np
import pytest

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.whitening import SHRINKAGE, fit_shrunk_whitening, fit_whitening
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
    with pytest.raises(UserError, match=f"{width} components of {count} rows with 20"):
        fit_whitening(np.ones((count, 20), np.float32), width)


def test_activations_of_another_network_are_refused():
    activations = np.random.default_rng(0).random((30, 20)).astype(np.float32)
    whitening = fit_whitening(activations, WIDTH)
    with pytest.raises(UserError, match=r"the shape \[30, 19\], the whitening takes rows of 20"):
        whitening(activations[:, :-1])


def test_shrunk_whitening_by_its_definition():
    rng = np.random.default_rng(0)
    rows = _unit(rng.standard_normal((50, 6)) * [3, 2, 1, 1, 1, 0.1] + 1)
    database = BlockedDatabase((rows[:30], rows[30:]), unranked=[7, 40], block_rows=16)
    whitening = fit_shrunk_whitening(database)
    kept = np.delete(rows, [7, 40], axis=0).astype(np.float64)
    mean = kept.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(kept.T, bias=True))
    expected = (kept - mean) @ axes / np.sqrt(variances + SHRINKAGE * variances.max())
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    ours = whitening(kept)
    np.testing.assert_allclose(ours @ ours.T, expected @ expected.T, atol=1e-5)
    # What could not be read has no direction.
    assert not whitening(np.zeros((1, 6))).any()


def test_few_or_equal_descriptors_have_a_whitening():
    for rows in (np.ones((1, 5)), np.ones((9, 5)), np.eye(5)[:2]):
        with np.errstate(all="raise"):
            whitening = fit_shrunk_whitening(BlockedDatabase((rows.astype(np.float32),)))
        assert np.isfinite(whitening(rows)).all()


def test_descriptors_that_are_too_wide_are_refused():
    with pytest.raises(UserError, match="9,000 numbers are whitened up to 8,192"):
        fit_shrunk_whitening(BlockedDatabase((np.ones((1, 9000), np.float32),)))
