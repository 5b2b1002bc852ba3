import pytest

from senet_jax.rerank.cvnet import CVNetRerank
from tests.rerank.retrievals import retrieval, score_of, score_pairs


@pytest.mark.parametrize("top", [1, 7, 25, 100])
def test_the_first_items_go_by_similarity_and_half_of_the_score(top):
    before = retrieval(rows=60, length=25)
    after = CVNetRerank(score_pairs, top)(before)
    [rows] = before.database.parts
    moved = 0
    for query in range(5):
        items = before.ranked.ranks[query].tolist()
        mixed = {
            i: float(before.queries[query] @ rows[i]) + 0.5 * score_of(query, i) for i in items
        }
        expected = sorted(items[:top], key=lambda item: -mixed[item]) + items[top:]
        assert after.ranked.ranks[query].tolist() == expected
        moved += expected != items
    assert moved > 3 or top == 1
