import numpy as np
import pytest

from senet_jax.rerank.lightglue import LightGlueMatching, check_matcher
from senet_jax.rerank.methods import make_chain
from senet_jax.rerank.pairs import Features, PairCount, ScoredPairs
from senet_jax.system.errors import UserError
from tests.models.small_disk import small_weights
from tests.rerank.test_keypoint_matcher import WEIGHTS, some_keypoints


class Source(Features):
    """Keypoints by the sum of the numbers of a query and an item."""

    def __init__(self):
        self.side = None

    def at(self, side):
        self.side = side
        return self

    def query(self, index):
        return some_keypoints(20, index)

    def item(self, index):
        return some_keypoints(17 + index, index)


def test_the_score_is_the_sum_or_the_number_of_the_matches():
    [method] = make_chain("lightglue(side=99,keypoints=18)").methods
    source = Source()
    features = method.features(source)
    assert source.side == 99
    count = PairCount()
    scores = method.scorer(features, count)(np.array([[0, 0], [1, 2], [0, 0]]))
    assert count == PairCount(compared=3, computed=2) and scores[0] == scores[2]
    numbers = LightGlueMatching(keypoints=18, count=True)
    for score, (query, item) in zip(scores, [(0, 0), (1, 2)], strict=False):
        images = features.query(query), features.item(item)
        matches = method.matches(*images)
        assert score == pytest.approx(matches.scores.sum(), rel=1e-4)
        assert numbers.score(*images) == len(matches)
        own = {tuple(point) for point in images[0].points[:18].tolist()}
        assert {tuple(point) for point in matches.query_points.tolist()} <= own
    assert scores[0] > 0


def test_the_similarity_counts_beside_the_score():
    scores = np.array([0, 1, 9, 9], np.float32)
    scored = ScoredPairs(np.zeros((4, 2), int), np.array([0.5, 0.4, 0.3, 0.2], np.float32), scores)
    mixed = LightGlueMatching(weight=0.01).mixed(scored)
    np.testing.assert_allclose(mixed, [0.5, 0.41, 0.39, 0.29], rtol=1e-6)
    # The score alone, and the similarity among equals.
    assert np.argsort(-LightGlueMatching(weight=1000).mixed(scored)).tolist() == [2, 3, 1, 0]


def test_weights_without_a_matcher_are_one_line():
    check_matcher(WEIGHTS)
    tensors = {k: v for k, v in WEIGHTS.tensors.items() if "/matcher/" not in k}
    with pytest.raises(UserError, match="these weights of small have no matcher; convert"):
        check_matcher(small_weights(tensors=tensors))
    part = {k: v for k, v in WEIGHTS.tensors.items() if "/matcher/posenc" not in k}
    with pytest.raises(UserError, match="params/matcher/posenc/kernel is missing from the weights"):
        small_weights(tensors=part)
    broken = {**WEIGHTS.tensors, "params/head/bias": np.full(9, np.nan, np.float32)}
    with pytest.raises(UserError, match="params/head/bias holds 9 values that are not finite"):
        small_weights(tensors=broken)
