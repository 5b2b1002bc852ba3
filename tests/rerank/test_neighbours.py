import numpy as np
import pytest

from senet_jax.rerank import neighbours
from senet_jax.rerank.neighbours import nearest_others
from senet_jax.search.database import BlockedDatabase
from tests.oracles import rerank as oracle
from tests.rerank.retrievals import clustered


def _lists(database, count):
    batches = list(nearest_others(database, count, "test"))
    return np.concatenate([batch.ranked.ranks for batch in batches]).tolist()


@pytest.mark.parametrize("batch_rows", [7, 1024])
def test_against_loops(monkeypatch, batch_rows):
    monkeypatch.setattr(neighbours, "BATCH_ROWS", batch_rows)
    rows = clustered(30)
    for count in (4, 29, 50):
        database = BlockedDatabase((rows,), block_rows=20)
        assert _lists(database, count) == oracle.nearest_others(rows, count)
    (first, *_) = nearest_others(database, 4, "test")
    assert (first.queries == rows[: len(first.queries)]).all()


def test_an_item_is_not_its_own_neighbour_among_duplicates():
    """Six equal rows: the last ones do not find themselves among their two nearest."""
    database = BlockedDatabase((np.tile(np.float32([[1, 0]]), (6, 1)),))
    assert _lists(database, 2) == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


def test_a_row_without_rank_asks_with_zeros_and_is_found_last():
    rows = clustered(4)
    rows[1] = np.nan
    database = BlockedDatabase((rows,), unranked=[1])
    (found,) = nearest_others(database, 3, "test")
    assert found.queries[1].tolist() == [0] * 16
    assert found.ranked.ranks[[0, 2, 3], 2].tolist() == [1, 1, 1]


def test_one_item_has_no_others():
    assert _lists(BlockedDatabase((clustered(1),)), 3) == [[]]
