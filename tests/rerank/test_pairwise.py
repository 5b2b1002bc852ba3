import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from senet_jax.rerank.journal import Journal
from senet_jax.rerank.pairs import PairCount
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from senet_jax.system.settings import setting
from tests.rerank.retrievals import ByNumbers, Numbers, reranked_by_pairs, retrieval, score_of


@dataclasses.dataclass(frozen=True)
class EvenFirst(PairwiseMethod):
    """Items with an even number come first."""

    needs = "numbers"

    def score(self, query, item):
        return float(item % 2 == 0)


@pytest.mark.parametrize("top", [1, 7, 25, 100])
def test_the_first_items_go_by_their_scores(top):
    before = retrieval(rows=60, length=25)
    after = reranked_by_pairs(ByNumbers(top), before)
    moved = 0
    for query in range(5):
        items = before.ranked.ranks[query].tolist()
        scores = {item: score_of(query, item) for item in items}
        expected = sorted(items[:top], key=lambda item: -scores[item]) + items[top:]
        assert after.ranked.ranks[query].tolist() == expected
        moved += expected != items
    assert moved > 3 or top == 1


def test_only_pairs_of_shortlists_are_scored():
    scored = []
    reranked_by_pairs(ByNumbers(4), retrieval(), on_scored=lambda *told: scored.append(told))
    [(method, pairs)] = scored
    expected = [(q, i) for q in range(5) for i in retrieval().ranked.ranks[q, :4].tolist()]
    assert method == ByNumbers(4)
    assert [tuple(pair) for pair in pairs.pairs.tolist()] == expected
    [rows] = retrieval().database.parts
    dots = [retrieval().queries[q] @ rows[i] for q, i in expected]
    np.testing.assert_allclose(pairs.global_scores, dots, rtol=1e-5)
    np.testing.assert_allclose(pairs.scores, [score_of(*pair) for pair in expected], rtol=1e-6)


def test_no_pair_is_scored_twice():
    count, asked, prepared = PairCount(), [], []

    class Asked(Numbers):
        def prepare(self, pairs):
            prepared.append(pairs.tolist())

        def item(self, index):
            asked.append(index)
            return index

    features = Asked()
    scorer = ByNumbers().scorer(features, count)
    pairs = np.array([[0, 3], [1, 3], [0, 3]])
    first = scorer(pairs)
    np.testing.assert_array_equal(scorer(pairs), first)
    assert first.dtype == np.float32 and first[0] == first[2] == np.float32(score_of(0, 3))
    assert asked == [3, 3] and count == PairCount(compared=6, computed=2)
    assert prepared == [[[0, 3], [1, 3]], []]


class Kept(Numbers):
    """Numbers whose scores are kept in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def prepare(self, pairs):
        """Nothing is to be made."""

    def journal(self, method, settings):
        return Journal.of(self.folder, method, settings)


@dataclasses.dataclass(frozen=True)
class KeptByNumbers(ByNumbers):
    """Scores pairs until it is told to end."""

    factor: int = setting(1, "of all scores")
    is_kept = True
    together = 2
    left: ClassVar[int] = 99

    def score(self, query, item):
        type(self).left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.factor * score_of(query, item)


def test_scores_are_kept_as_they_are_computed(tmp_path, monkeypatch):
    pairs = np.array([[0, 3], [1, 3], [2, 3], [2, 4], [0, 3]])

    def scored(**settings):
        count = PairCount()
        return KeptByNumbers(**settings).scorer(Kept(tmp_path), count)(pairs), count.computed

    monkeypatch.setattr(KeptByNumbers, "left", 3)
    with pytest.raises(KeyboardInterrupt):
        scored()
    monkeypatch.setattr(KeptByNumbers, "left", 4)
    scores, computed = scored()
    assert computed == 2 and KeptByNumbers.left == 2
    np.testing.assert_array_equal(scores, ByNumbers().scorer(Numbers(), PairCount())(pairs))
    again, computed = scored(top=7)
    assert computed == 0
    np.testing.assert_array_equal(again, scores)
    monkeypatch.setattr(KeptByNumbers, "left", 99)
    doubled, computed = scored(factor=2)
    assert computed == 4
    np.testing.assert_allclose(doubled, 2 * scores)
    [first, second] = tmp_path.iterdir()
    assert first.read_text().count("\n") == second.read_text().count("\n") == 4


def test_lists_of_one_preparation_share_their_pairs():
    found, count = retrieval(), PairCount()
    resources = {"pairs": count}
    reranked_by_pairs(ByNumbers(4), found, **resources)
    assert count == PairCount(20, 20)


def test_among_equals_the_order_stays():
    rows = np.ones((6, 2), np.float32)
    found = Retrieval(
        rows[:1], BlockedDatabase((rows,)), RankedList(np.array([[4, 2, 5, 0, 1, 3]]), 6)
    )
    assert reranked_by_pairs(EvenFirst(), found).ranked.ranks.tolist() == [[4, 2, 0, 5, 1, 3]]


def test_what_could_not_be_read_is_not_scored_and_stays_last():
    rows = np.eye(4, dtype=np.float32) + 1
    found = search(rows[:2], BlockedDatabase((rows,), unranked=(0, 3)), length=6)
    assert found.ranked.ranks.tolist() == [[1, 2, 0, 3, -1, -1], [1, 2, 0, 3, -1, -1]]
    scored = []
    after = reranked_by_pairs(EvenFirst(), found, on_scored=lambda _, pairs: scored.append(pairs))
    assert after.ranked.ranks.tolist() == [[2, 1, 0, 3, -1, -1]] * 2
    assert scored[0].pairs.tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]


def test_no_pair_at_all():
    found = search(np.ones((2, 3), np.float32), BlockedDatabase((np.ones((1, 3)),), (0,)), 1)
    assert reranked_by_pairs(ByNumbers(), found).ranked.ranks.tolist() == [[0], [0]]
    nothing = reranked_by_pairs(ByNumbers(), retrieval(length=0))
    assert nothing.ranked.ranks.shape == (5, 0)


def test_an_empty_shortlist_is_refused():
    with pytest.raises(UserError, match="top is 0; it has to be an integer from 1"):
        ByNumbers(0)


def test_a_method_without_points_says_so():
    with pytest.raises(UserError, match=r"ByNumbers finds no points .* such as geometric"):
        ByNumbers().matches(0, 1)


def test_features_that_nobody_provides_are_named():
    with pytest.raises(UserError, match="ByNumbers looks at numbers features of photographs"):
        ByNumbers()(retrieval())
