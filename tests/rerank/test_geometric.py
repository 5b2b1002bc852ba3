import jax
import numpy as np
import pytest

from senet_jax.features.local_features import LocalFeatures
from senet_jax.features.networks import LocalNetwork, Part
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import build_model, find_architecture
from senet_jax.rerank.geometric import mutual_matches, verify
from senet_jax.search.whitening import fit_whitening
from tests.models.initial import initial_variables

STRIDE = 16


def _unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


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
    return _strided(points, descriptors, STRIDE)


def _strided(points, descriptors, stride):
    ones = np.ones(len(points), np.float32)
    return LocalFeatures(points.astype(np.float32), descriptors, ones, ones, stride)


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
    assert found.query_points.tolist() == query.keypoints[:50].tolist()
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
    network = LocalNetwork(architecture, Preprocessing(), whitening=whitening)
    parts = [Part((view.shape[:2],), transposed=False, corner=(0, 0)) for view in views]
    query, item, other = map(LocalFeatures.of, network.values([maps], parts))
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
        query, item = (_strided(p, descriptors, stride) for p in (points, shaken))
        return verify(query, item).inliers

    assert inliers(16) == 80 and inliers(2) < 40
