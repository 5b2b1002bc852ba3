import numpy as np
import pytest

from senet_jax.rerank.pairs import ScoredPairs
from senet_jax.system.errors import UserError


def test_scores_that_do_not_fit_are_refused():
    pairs, scores = np.array([[0, 4], [1, 5]]), np.array([1, np.nan], np.float32)
    with pytest.raises(UserError, match="2 pairs have 2 global scores and 1 pairwise ones"):
        ScoredPairs(pairs, scores, scores[:1])
    with pytest.raises(UserError, match="the score of query 1 and item 5 is not finite"):
        ScoredPairs(pairs, scores[:1].repeat(2), scores)


def test_a_union_has_each_pair_once_in_order():
    first = ScoredPairs(np.array([[1, 2], [0, 3]]), np.float32([0.5, 0.25]), np.float32([1, 2]))
    second = ScoredPairs(np.array([[0, 3], [0, 1]]), np.float32([0.25, 1]), np.float32([9, 3]))
    union = ScoredPairs.union([first, second])
    assert union.pairs.tolist() == [[0, 1], [0, 3], [1, 2]]
    assert union.global_scores.tolist() == [1, 0.25, 0.5]
    assert union.scores.tolist() == [3, 2, 1]
