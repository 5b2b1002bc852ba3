import numpy as np

from senet_jax.features.local_features import LocalFeatures
from senet_jax.rerank.geometric import verify
from senet_jax.rerank.pairs import Features
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.rerank.verification import GeometricVerification
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from tests.rerank.retrievals import clustered, reranked_by_pairs, shuffled


def _unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def _scene(seed, shared):
    """Features of which the first `shared` lie as in every other scene."""
    common, rng = np.random.default_rng(0), np.random.default_rng(seed)
    points, descriptors = common.uniform(0, 500, (40, 2)), _unit(common.standard_normal((40, 16)))
    points[shared:] = rng.uniform(0, 500, (40 - shared, 2))
    descriptors[shared:] = _unit(rng.standard_normal((40 - shared, 16)))
    ones = np.ones(len(points), np.float32)
    return LocalFeatures(points.astype(np.float32), descriptors, ones, ones, stride=16)


class Scenes(Features):
    """Scenes of items that share more or less with every query."""

    shared = (12, 30, 12, 0, 0, 40, 20)

    def __init__(self, order=range(7)):
        self.order = order

    def query(self, index):
        return _scene(99, 40)

    def item(self, index):
        return _scene(self.order[index], self.shared[self.order[index]])


def test_a_shortlist_is_in_the_order_of_inliers():
    rows = clustered(7)
    database = BlockedDatabase((rows,), unranked=[4])
    ranks = np.array([[3, 0, 1, 2, 5, 6], [2, 4, 1, -1, -1, -1], [0, 3, 6, 2, 1, 5]])
    found = Retrieval(clustered(3, seed=1), database, RankedList(ranks, 7))
    scenes, method = Scenes(), GeometricVerification(top=4)
    inliers = [len(verify(scenes.query(0), scenes.item(item))) for item in range(7)]
    assert inliers[1] > inliers[0] > inliers[3]
    verified = reranked_by_pairs(method, found, scenes)
    expected = [
        [*sorted([3, 0, 1, 2], key=lambda item: -inliers[item]), 5, 6],
        [*sorted([2, 1], key=lambda item: -inliers[item]), 4, -1, -1, -1],
        [*sorted([0, 3, 6, 2], key=lambda item: -inliers[item]), 1, 5],
    ]
    assert verified.ranked.ranks.tolist() == expected
    assert expected[0][:2] != [3, 0]
    matches = method.matches(scenes.query(0), scenes.item(1))
    assert len(matches) == inliers[1]
    np.testing.assert_array_equal(matches.query_points[:30], matches.item_points[:30])
    other, order = shuffled(found)
    verified = reranked_by_pairs(method, other, Scenes(order))
    assert [order[verified.ranked.items(query)].tolist() for query in range(3)] == [
        [item for item in items if item >= 0] for items in expected
    ]
