import numpy as np
import pytest

from senet_jax.rerank.cvnet import CVNetRerank
from tests.rerank.retrievals import Numbers, reranked_by_pairs, retrieval, score_of


class Scored(Numbers):
    """Features that come with scores of their pairs."""

    def scorer(self, pairs):
        return lambda asked: np.array([score_of(*pair) for pair in asked.tolist()], np.float32)


@pytest.mark.parametrize("weight", [0.5, 0.125])
@pytest.mark.parametrize("top", [1, 7, 25, 100])
def test_the_first_items_go_by_similarity_and_a_share_of_the_score(top, weight):
    before = retrieval(rows=60, length=25)
    after = reranked_by_pairs(CVNetRerank(top, weight), before, Scored())
    [rows] = before.database.parts
    moved = 0
    for query in range(5):
        items = before.ranked.ranks[query].tolist()
        mixed = {
            i: float(before.queries[query] @ rows[i]) + weight * score_of(query, i) for i in items
        }
        expected = sorted(items[:top], key=lambda item: -mixed[item]) + items[top:]
        assert after.ranked.ranks[query].tolist() == expected
        moved += expected != items
    assert moved > 3 or top == 1


def test_the_weight_of_the_authors_is_the_default():
    assert CVNetRerank() == CVNetRerank(100, 0.5)
