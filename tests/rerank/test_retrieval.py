import numpy as np
import pytest

from senet_jax.rerank import retrieval as module
from senet_jax.rerank.retrieval import (
    Retrieval,
    reordered,
    search,
    shortlists,
    similarities,
)
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from tests import tolerances
from tests.oracles.rerank import ordered
from tests.rerank.retrievals import clustered, retrieval


@pytest.mark.parametrize("batch_rows", [1, 11, 8192])
def test_shortlists_are_all_first_items_in_batches(monkeypatch, batch_rows):
    monkeypatch.setattr(module, "BATCH_DESCRIPTORS", batch_rows)
    found = retrieval()
    (rows,) = found.database.parts
    ranks = found.ranked.ranks.copy()
    ranks[1, 2:] = -1
    batches = list(shortlists(found.with_ranks(ranks), 4))
    assert len(batches) == {1: 5, 11: 3, 8192: 1}[batch_rows]
    items = np.concatenate([batch.items for batch in batches])
    assert items.tolist() == ranks[:, :4].tolist()
    assert np.concatenate([range(5)[batch.rows] for batch in batches]).tolist() == list(range(5))
    assert (np.concatenate([b.queries for b in batches]) == found.queries).all()
    are_ranked = np.concatenate([batch.are_ranked for batch in batches])
    assert are_ranked.tolist() == (items >= 0).tolist()
    descriptors = np.concatenate([batch.descriptors for batch in batches])
    assert (descriptors[are_ranked] == rows[items[are_ranked]]).all()
    assert not descriptors[~are_ranked].any()


def test_shortlists_leave_out_what_is_unranked():
    rows = clustered(5)
    rows[2] = np.nan
    database = BlockedDatabase((rows,), unranked=[2])
    found = Retrieval(clustered(1), database, RankedList(np.array([[1, 2, 0]]), 5))
    (batch,) = shortlists(found, 400)
    assert batch.are_ranked.tolist() == [[True, False, True]]
    assert batch.items.tolist() == [[1, 2, 0]]
    assert not batch.descriptors[0, 1].any()


def test_similarities_are_dot_products():
    queries, items = clustered(3), clustered(12).reshape(3, 4, 16)
    expected = [[float(queries[i] @ item) for item in items[i]] for i in range(3)]
    np.testing.assert_allclose(
        similarities(queries, items), expected, atol=tolerances.FEW_ROUNDINGS
    )


def test_a_search_is_padded_to_its_length():
    rows, queries = clustered(4), clustered(2, seed=1)
    database = BlockedDatabase((rows,))
    found = search(queries, database, 6).ranked.ranks
    assert found[:, :4].tolist() == top_k(queries, database, 4).ranks.tolist()
    assert found[:, 4:].tolist() == [[-1, -1]] * 2


def test_the_first_items_are_reordered_and_equals_stay():
    found = retrieval()
    many = np.random.default_rng(0).integers(3, size=(5, 50))
    for ranks, old, own in zip(
        reordered(found, many).ranked.ranks, found.ranked.ranks, many, strict=True
    ):
        assert ranks.tolist() == [*old[:50][ordered(own)], *old[50:]]
    found = found.with_ranks(found.ranked.ranks[:, :6])
    scores = np.array([[0, 2, 2, 1]] * 4 + [[1, 1, -np.inf, -np.inf]], np.float32)
    old = found.ranked.ranks.copy()
    seen = reordered(found, scores).ranked.ranks
    assert seen[:4].tolist() == old[:4, [1, 2, 3, 0, 4, 5]].tolist()
    assert seen[4].tolist() == old[4].tolist()
    assert found.ranked.ranks.tolist() == old.tolist()


@pytest.mark.parametrize(
    ("queries", "ranks", "size", "message"),
    [
        (np.ones((2, 3), np.float32), np.zeros((2, 1), int), 5, "has 3 columns, the database 16"),
        (clustered(2), np.zeros((3, 1), int), 5, "3 rows for 2 queries"),
        (clustered(2), np.zeros((2, 1), int), 4, "of 4 items, the database has 5"),
        (
            clustered(2) * np.float32([[1], [np.nan]]),
            np.zeros((2, 1), int),
            5,
            "row 1 of the array of quer",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(queries, ranks, size, message):
    with pytest.raises(UserError, match=message):
        Retrieval(queries, BlockedDatabase((clustered(5),)), RankedList(ranks, size))
