import itertools
import warnings

import numpy as np
import pytest
import scipy.spatial
from skimage.measure import ransac
from skimage.transform import AffineTransform

from senet_jax.data.revisitop import load_dataset
from senet_jax.features.keypoints import Fitted
from senet_jax.features.local_features import LocalFeatures
from senet_jax.features.whitening import local_feature_cache
from senet_jax.rerank.gv import AffineVerification, nearest_matches
from senet_jax.rerank.pairs import Features
from senet_jax.rerank.retrieval import search
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError
from tests.data.pictures import MINIPHOTOS, needs_miniphotos
from tests.oracles.lively_twin import lively_weights
from tests.rerank.retrievals import clustered, reranked_by_pairs


def _unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def _features(points, descriptors):
    ones = np.ones(len(points), np.float32)
    return LocalFeatures(np.asarray(points, np.float32), descriptors, ones, ones, stride=16)


@pytest.mark.parametrize("distance", [0.7, 1.0, 1.3])
def test_matches_are_those_of_scipys_tree(distance):
    rng = np.random.default_rng(0)
    ours, others = _unit(rng.standard_normal((2, 60, 8)))
    far, nearest = scipy.spatial.cKDTree(others).query(ours, distance_upper_bound=distance)
    expected = [[row, nearest[row]] for row in range(60) if far[row] < distance]
    assert nearest_matches(ours, others, distance).tolist() == expected
    assert len(nearest_matches(ours[:0], others, 1.0)) == 0
    assert len(nearest_matches(ours, others[:0], 1.0)) == 0
    with pytest.raises(UserError, match="have 8 and 4 numbers"):
        nearest_matches(ours, others[:, :4], 1.0)


def test_a_match_is_strictly_nearer():
    ours, others = np.array([[1, 0]], np.float32), np.array([[0.4, 0.8]], np.float32)
    distance = float(np.linalg.norm(ours.astype(float) - others))
    assert len(nearest_matches(ours, others, distance)) == 0
    assert len(nearest_matches(ours, others, np.nextafter(distance, 2))) == 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_three_matches_or_fewer_are_nothing(count):
    rng = np.random.default_rng(0)
    points, descriptors = rng.uniform(0, 500, (count, 2)), _unit(np.eye(9)[:count])
    features = _features(points, descriptors)
    method = AffineVerification()
    assert method.score(features, features) == len(method.matches(features, features))
    assert method.score(features, features) == (4 if count == 4 else 0)


class Scenes(Features):
    """Items that share more or less with every query: none, too few, alike many."""

    shared = (0, 20, 3, 20, 31, 0, 40, 2)

    def query(self, index):
        return self._scene(99, 40)

    def item(self, index):
        return self._scene(index, self.shared[index])

    def _scene(self, seed, shared):
        common, rng = np.random.default_rng(0), np.random.default_rng(seed)
        points, descriptors = common.uniform(0, 500, (40, 2)), _unit(np.eye(80))
        points[shared:] = rng.uniform(0, 500, (40 - shared, 2))
        own = np.roll(descriptors, -40, axis=0)[:40]
        return _features(
            points[:, ::-1] if seed == 6 else points,
            np.concatenate([descriptors[:shared], own[shared:]]),
        )


def test_the_order_is_of_inliers_then_of_similarity_then_of_the_database():
    rows = clustered(8)
    rows[3] = rows[1]
    queries = clustered(3, seed=1)
    found = search(queries, BlockedDatabase((rows,)), 8)
    scenes, method = Scenes(), AffineVerification(top=6)
    reranked = reranked_by_pairs(method, found, scenes)
    # As DELG does it: a stable sort of the whole database, by inliers of the first of the list.
    for query, descriptor in enumerate(queries):
        listed = found.ranked.items(query)
        inliers = dict.fromkeys(range(8), 0.0)
        for item in listed[:6].tolist():
            inliers[item] = method.score(scenes.query(query), scenes.item(item))
        assert len(set(inliers.values())) >= 3
        similarity = rows @ descriptor
        expected = sorted(range(8), key=lambda i: (inliers[i], similarity[i]), reverse=True)
        assert reranked.ranked.items(query).tolist() == expected
    points = method.matches(scenes.query(0), scenes.item(6))
    np.testing.assert_allclose(points.query_points, points.item_points[:, ::-1])
    assert len(points) == 40 and points.scores.tolist() == pytest.approx([1] * 40)


def _as_delgs_code_does_it(query, item):
    """The query's points that agree: scipy's tree, then scikit-image's RANSAC."""
    tree = scipy.spatial.cKDTree(item.descriptors)
    _, nearest = tree.query(query.descriptors, distance_upper_bound=1.0)
    near = nearest < len(item.keypoints)
    of_query, of_item = query.keypoints[near], item.keypoints[nearest[near]]
    if len(of_query) <= 3:
        return of_query[:0]
    pair = of_item.astype(float), of_query.astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, agree = ransac(pair, AffineTransform, 3, 20.0, max_trials=1000, rng=0)
    return of_query[:0] if agree is None else of_query[agree]


@pytest.mark.slow
@needs_miniphotos
def test_the_inliers_of_real_photographs_are_those_of_scikit_image(tmp_path):
    """Of local features as the engine makes them, of the same places and of others."""
    images = Fitted(load_dataset(MINIPHOTOS.parent, "miniphotos").images, 512)
    chosen = [images[item] for item in (0, 16, 17, 19, 21)]  # Two each of two places.
    weights = lively_weights("tiny_baseline")
    cache = local_feature_cache(weights, chosen, tmp_path, 2**30, few_shapes=True)
    cache.fill(chosen, "local features")
    method, counts = AffineVerification(), []
    for query, item in itertools.combinations([LocalFeatures.of(cache[p]) for p in chosen], 2):
        points = method.matches(query, item).query_points
        np.testing.assert_array_equal(points, _as_delgs_code_does_it(query, item))
        counts.append(len(points))
    assert len(counts) == 10 and min(counts) > 3 and 2 * min(counts) < max(counts)
