import jax
import numpy as np
import pytest

from senet_jax.models.architecture import find_architecture
from senet_jax.models.senet import build_model
from senet_jax.rerank.geometric import (
    LocalFeatures,
    fit_whitening,
    local_features,
    mutual_matches,
    strongest_positions,
    verify,
)
from senet_jax.system.errors import UserError
from tests.models.initial import initial_variables

WIDTH = 8
STRIDE = 16


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


def test_local_features_are_in_pixels():
    maps = np.random.default_rng(0).random((3, 4, 20)).astype(np.float32)
    whitening = fit_whitening(maps.reshape(-1, 20), WIDTH)
    features = local_features(maps, whitening, STRIDE, count=5)
    positions = strongest_positions(maps, 5)
    assert features.stride == STRIDE
    assert features.points.tolist() == [[16 * column, 16 * row] for row, column in positions]
    expected = whitening(np.stack([maps[row, column] for row, column in positions]))
    assert features.descriptors.tolist() == expected.tolist()
    with pytest.raises(UserError, match="maps have 19 channels, the whitening 20"):
        local_features(maps[..., :-1], whitening, STRIDE)


def test_mutual_matches_against_loops():
    rng = np.random.default_rng(0)
    ours, others = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
    products = ours @ others.T
    expected = [
        [i, j]
        for i in range(30)
        for j in range(20)
        if products[i, j] == products[i].max() == products[:, j].max()
    ]
    assert mutual_matches(ours, others).tolist() == expected
    assert (
        mutual_matches(ours[:0], others).shape == mutual_matches(ours, others[:0]).shape == (0, 2)
    )


HOMOGRAPHY = np.array([[0.9, -0.2, 40], [0.15, 1.1, -25], [2e-4, -1e-4, 1]])


def _mapped(points):
    mapped = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ HOMOGRAPHY.T
    return mapped[:, :2] / mapped[:, 2:]


def _features(points, descriptors):
    return LocalFeatures(points.astype(np.float32), descriptors, STRIDE)


def test_inliers_are_the_points_that_lie_alike():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1000, (80, 2))
    descriptors = _unit(rng.standard_normal((80, 32)))
    moved = _mapped(points) + rng.uniform(-4, 4, (80, 2))
    moved[50:] = rng.uniform(0, 1000, (30, 2))
    off = np.linalg.norm(moved - _mapped(points), axis=1)
    assert off[50:].min() > 24
    shuffle = rng.permutation(80)
    query, item = _features(points, descriptors), _features(moved[shuffle], descriptors[shuffle])
    found = verify(query, item)
    assert found.inliers == 50
    assert found.query_points.tolist() == query.points[:50].tolist()
    assert found.item_points.tolist() == moved[:50].astype(np.float32).tolist()
    again = verify(query, item)
    assert again.item_points.tolist() == found.item_points.tolist()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_few_or_degenerate_points(count):
    """All in one place: nothing says where they would go."""
    rng = np.random.default_rng(0)
    features = _features(np.zeros((count, 2)), _unit(rng.standard_normal((count, 8))))
    assert verify(features, features).inliers == 0


@pytest.mark.slow
def test_the_networks_own_maps_find_the_shift_of_a_photograph():
    architecture = find_architecture("tiny_baseline")
    stride = 4 * int(np.prod(architecture.stage_strides[:3]))
    rng = np.random.default_rng(0)
    coarse, elsewhere = rng.standard_normal((2, 20, 20, 3)).astype(np.float32)
    pixels = np.ones((8, 8, 1), np.float32)
    image = np.kron(coarse, pixels)
    model = build_model(architecture)
    views = np.stack(
        [image[:128, :128], image[16:144, 24:152], np.kron(elsewhere, pixels)[:128, :128]]
    )
    variables = initial_variables(model, views[:1])
    maps = np.asarray(jax.jit(lambda v, x: model.apply(v, x)[1]["s3"])(variables, views))
    whitening = fit_whitening(maps[:2].reshape(-1, maps.shape[-1]), 32)
    query, item, other = (local_features(m, whitening, stride, count=150) for m in maps)
    found = verify(query, item)
    assert found.inliers > 50
    shifts = found.query_points - found.item_points
    assert np.median(shifts, axis=0).tolist() == [24, 16]
    assert verify(query, other).inliers < found.inliers / 4


def test_points_may_be_off_by_their_stride():
    rng = np.random.default_rng(0)
    points, descriptors = rng.uniform(0, 1000, (80, 2)), _unit(rng.standard_normal((80, 32)))
    shaken = points + rng.uniform(-12, 12, (80, 2))

    def inliers(stride):
        query, item = (
            LocalFeatures(p.astype(np.float32), descriptors, stride) for p in (points, shaken)
        )
        return verify(query, item).inliers

    assert inliers(16) == 80 and inliers(2) < 40
