import numpy as np
import pytest

from senet_jax.rerank import retrieval as retrieval_module
from senet_jax.rerank.refinement import Refinement
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from tests.oracles import rerank as oracle
from tests.rerank.retrievals import clustered, retrieval, shuffled


def _expected(found, top, **settings):
    """The lists by loops; a shortlist is sorted, what follows keeps its place."""
    (rows,) = found.database.parts
    lists = []
    for index, query in enumerate(found.queries):
        items = found.ranked.items(index)
        scores = oracle.refinement_scores(query, rows[items[:top]], **settings)
        lists.append([*items[:top][oracle.ordered(scores)], *items[top:]])
    return lists


@pytest.mark.parametrize("top", [1, 2, 9, 30, 60, 400])
def test_against_loops(top):
    found = retrieval()
    refined = Refinement(top)(found)
    assert refined.ranked.ranks.tolist() == _expected(found, top)
    assert refined.queries is found.queries
    if top > 2:
        assert (refined.ranked.ranks != found.ranked.ranks).any()


@pytest.mark.parametrize(
    "settings", [{"neighbours": 2}, {"weight": 0.9}, {"merged": 1}, {"neighbours": 0}]
)
def test_other_settings_against_loops(settings):
    found = retrieval(seed=3)
    expected = _expected(found, 20, **settings)
    assert Refinement(20, **settings)(found).ranked.ranks.tolist() == expected


@pytest.mark.parametrize("length", [5, 8, 30])
def test_negative_similarities_against_loops(length):
    """Of few items all are neighbours, those on the other side as well."""
    rng = np.random.default_rng(0)
    rows = clustered(30) * rng.choice([-1, 1], (30, 1)).astype(np.float32)
    found = search(rng.standard_normal((20, 16)).astype(np.float32), BlockedDatabase((rows,)), 30)
    ended = found.ranked.ranks.copy()
    ended[:, length:] = -1
    found = found.with_ranks(ended)
    seen = Refinement()(found).ranked.ranks[:, :length]
    assert seen.tolist() == _expected(found, 400)


def test_few_queries_at_a_time_give_the_same(monkeypatch):
    found = retrieval()
    together = Refinement(20)(found).ranked.ranks
    monkeypatch.setattr(retrieval_module, "ROWS_AT_ONCE", 45)
    assert Refinement(20)(found).ranked.ranks.tolist() == together.tolist()


def test_short_lists_and_unranked_items_stay_behind():
    rows = clustered(12)
    rows[5] = np.nan
    ranks = np.array([[3, 1, 0, 5, -1], [2, 5, -1, -1, -1], [-1] * 5])
    queries = clustered(3, seed=4)
    database = BlockedDatabase((rows,), unranked=[5])
    refined = Refinement()(Retrieval(queries, database, RankedList(ranks, 12)))
    lists = refined.ranked.ranks
    scores = oracle.refinement_scores(queries[0], rows[[3, 1, 0]])
    assert lists[0].tolist() == [*np.array([3, 1, 0])[oracle.ordered(scores)], 5, -1]
    assert lists[1:].tolist() == ranks[1:].tolist()


def test_duplicates_and_zeros_keep_their_order():
    rows = np.float32([[0, 0], [0.6, 0.8], [0.6, 0.8], [0, 0], [0.6, 0.8]])
    found = search(np.float32([[0.6, 0.8]]), BlockedDatabase((rows,)), 5)
    assert found.ranked.ranks.tolist() == [[1, 2, 4, 0, 3]]
    refined = Refinement(neighbours=2)(found)
    assert refined.ranked.ranks.tolist() == [[1, 2, 4, 0, 3]]


def test_the_order_of_the_database_changes_nothing():
    found = retrieval()
    other, order = shuffled(found)
    method = Refinement(20)
    assert order[method(other).ranked.ranks].tolist() == method(found).ranked.ranks.tolist()


def test_a_descriptor_that_is_not_finite_is_named():
    rows = clustered(6)
    rows[4, 2] = np.inf
    found = Retrieval(clustered(1), BlockedDatabase((rows,)), RankedList(np.array([[1, 4]]), 6))
    with pytest.raises(UserError, match="row 4 of part 0 of the database is not finite"):
        Refinement()(found)


def test_an_empty_shortlist_is_refused():
    with pytest.raises(UserError, match="top is 0; it has to be an integer from 1"):
        Refinement(top=0)


def test_no_query_and_no_item():
    found = retrieval()
    none = Retrieval(found.queries[:0], found.database, RankedList(found.ranked.ranks[:0], 60))
    assert Refinement()(none).ranked.ranks.shape == (0, 60)
    empty = Retrieval(found.queries, found.database, RankedList(np.zeros((5, 0), int), 60))
    assert Refinement()(empty).ranked.ranks.shape == (5, 0)
