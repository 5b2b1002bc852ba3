import numpy as np
import pytest

from senet_jax.rerank.pairwise import PairwiseRerank, ScoredPairs
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from tests.rerank.retrievals import retrieval, score_of, score_pairs


@pytest.mark.parametrize("top", [1, 7, 25, 100])
def test_the_first_items_go_by_their_scores(top):
    before = retrieval(rows=60, length=25)
    after = PairwiseRerank(score_pairs, top)(before)
    moved = 0
    for query in range(5):
        items = before.ranked.ranks[query].tolist()
        scores = {item: score_of(query, item) for item in items}
        expected = sorted(items[:top], key=lambda item: -scores[item]) + items[top:]
        assert after.ranked.ranks[query].tolist() == expected
        moved += expected != items
    assert moved > 3 or top == 1


def test_only_pairs_of_shortlists_are_scored_each_once():
    asked = []
    PairwiseRerank(lambda pairs: asked.append(pairs) or score_pairs(pairs), 4)(retrieval())
    [pairs] = asked
    expected = [(q, i) for q in range(5) for i in retrieval().ranked.ranks[q, :4].tolist()]
    assert [tuple(pair) for pair in pairs.tolist()] == expected


def test_among_equals_the_order_stays():
    rows = np.ones((6, 2), np.float32)
    found = Retrieval(
        rows[:1], BlockedDatabase((rows,)), RankedList(np.array([[4, 2, 5, 0, 1, 3]]), 6)
    )
    even_first = PairwiseRerank(lambda pairs: (pairs[:, 1] % 2 == 0).astype(np.float32))(found)
    assert even_first.ranked.ranks.tolist() == [[4, 2, 0, 5, 1, 3]]


def test_what_could_not_be_read_is_not_scored_and_stays_last():
    rows = np.eye(4, dtype=np.float32) + 1
    found = search(rows[:2], BlockedDatabase((rows,), unranked=(0, 3)), length=6)
    assert found.ranked.ranks.tolist() == [[1, 2, 0, 3, -1, -1], [1, 2, 0, 3, -1, -1]]
    scored = []
    rerank = PairwiseRerank(lambda pairs: 3.0 * pairs[:, 1], on_scored=scored.append)
    after = rerank(found)
    assert after.ranked.ranks.tolist() == [[2, 1, 0, 3, -1, -1]] * 2
    assert scored[0].pairs.tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]


def test_no_pair_at_all():
    found = search(np.ones((2, 3), np.float32), BlockedDatabase((np.ones((1, 3)),), (0,)), 1)
    assert PairwiseRerank(score_pairs)(found).ranked.ranks.tolist() == [[0], [0]]


def test_the_pairs_are_saved(tmp_path):
    path = tmp_path / "rerank" / "a" / "cvnet.csv"
    scored = []

    def save(pairs):
        scored.append(pairs)
        pairs.save(path)

    PairwiseRerank(score_pairs, 3, save)(retrieval())
    head, *lines = path.read_text().splitlines()
    assert head == "query,item,global,score" and len(lines) == 15
    table = np.array([line.split(",") for line in lines], np.float64)
    np.testing.assert_array_equal(table[:, :2], scored[0].pairs)
    np.testing.assert_array_equal(table[:, 2].astype(np.float32), scored[0].global_scores)
    np.testing.assert_array_equal(table[:, 3].astype(np.float32), scored[0].scores)
    [rows] = retrieval().database.parts
    dots = [retrieval().queries[int(q)] @ rows[int(i)] for q, i in table[:, :2]]
    np.testing.assert_allclose(table[:, 2], dots, rtol=1e-5)


def test_an_empty_shortlist_is_refused():
    with pytest.raises(UserError, match="a shortlist of 0 items to score; take one at least"):
        PairwiseRerank(score_pairs, 0)


def test_scores_that_do_not_fit_are_refused():
    pairs, scores = np.array([[0, 4], [1, 5]]), np.array([1, np.nan], np.float32)
    with pytest.raises(UserError, match="2 pairs have 2 global scores and 1 pairwise ones"):
        ScoredPairs(pairs, scores, scores[:1])
    with pytest.raises(UserError, match="the score of query 1 and item 5 is not finite"):
        ScoredPairs(pairs, scores[:1].repeat(2), scores)
