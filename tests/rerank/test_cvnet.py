import numpy as np
import pytest

from senet_jax.rerank.cvnet import CVNetRerank
from tests.rerank.retrievals import retrieval


def _score_of(query, item):
    """Of any pair, between 0 and 1."""
    return np.random.default_rng([query, item]).random()


def _score_pairs(pairs):
    return np.array([_score_of(*pair) for pair in pairs.tolist()], np.float32)


@pytest.mark.parametrize("top", [1, 7, 25, 100])
def test_the_first_items_go_by_similarity_and_half_of_the_score(top):
    before = retrieval(rows=60, length=25)
    after = CVNetRerank(_score_pairs, top)(before)
    [rows] = before.database.parts
    moved = 0
    for query in range(5):
        items = before.ranked.ranks[query].tolist()
        mixed = {
            i: float(before.queries[query] @ rows[i]) + 0.5 * _score_of(query, i) for i in items
        }
        expected = sorted(items[:top], key=lambda item: -mixed[item]) + items[top:]
        assert after.ranked.ranks[query].tolist() == expected
        moved += expected != items
    assert moved > 3 or top == 1
