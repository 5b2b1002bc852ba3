import numpy as np
import pytest

from senet_jax.search import inverted_lists
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.inverted_lists import InvertedLists
from tests.rerank.retrievals import clustered

ROWS, WIDTH, UNRANKED, COUNT = 200, 16, [3, 150], 40


@pytest.fixture(scope="module")
def lists():
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    rows = np.rint(64 * clustered(ROWS, WIDTH)) / 64  # Products are exact in any order of sums.
    rows[UNRANKED] = np.nan
    parts = rows[:77], rows[77:]
    return InvertedLists.learned(BlockedDatabase(parts, UNRANKED, block_rows=64))


@pytest.mark.parametrize("probes", [1, 5, 64])
def test_what_probes_reach_is_ranked_by_dot_product(lists, monkeypatch, probes):
    monkeypatch.setattr(inverted_lists, "_COMPARED_AT_ONCE", 9)
    rows = np.nan_to_num(np.concatenate(lists.database.parts))
    assert len(lists.centroids) == 64
    products, nearness = rows @ rows.T, rows @ lists.centroids.T
    own = nearness.argmax(axis=1)
    counted = []
    found = lists.nearest(probes, COUNT, counted.append)
    for item in range(ROWS):
        probed = np.argsort(-nearness[item])[:probes]
        reached = np.setdiff1d(np.flatnonzero(np.isin(own, probed)), UNRANKED)
        expected = [] if item in UNRANKED else -np.sort(-products[item, reached])[:COUNT]
        seen = found.ranked.items(item)
        assert np.isin(seen, reached).all()
        assert products[item, seen].tolist() == list(expected)
        assert found.similarities[item, : len(seen)].tolist() == list(expected)
        assert np.isnan(found.similarities[item, len(seen) :]).all()
    assert sum(counted) == ROWS - len(UNRANKED)


def test_no_more_lists_than_rows_to_learn_them_from(lists):
    few = InvertedLists.learned(BlockedDatabase((clustered(5, WIDTH),)))
    assert len(few.centroids) == 5
    assert np.sort(few.nearest(5, 5).ranked.ranks, axis=1).tolist() == [[0, 1, 2, 3, 4]] * 5
