import re
import sys

import numpy as np
import pytest

from senet_jax.rerank import neighbours
from senet_jax.rerank.graph import mutual_graph
from senet_jax.rerank.methods import make_chain
from senet_jax.rerank.neighbours import nearest_others
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError
from tests import tolerances
from tests.oracles import rerank as oracle
from tests.rerank.retrievals import clustered


def _lists(database, count):
    batches = list(nearest_others(database, count, "test"))
    return np.concatenate([batch.asked.ranked.ranks for batch in batches]).tolist()


@pytest.mark.parametrize("batch_rows", [7, 1024])
def test_against_loops(monkeypatch, batch_rows):
    monkeypatch.setattr(neighbours, "BATCH_ROWS", batch_rows)
    rows = clustered(30)
    for count in (4, 29, 50):
        database = BlockedDatabase((rows,), block_rows=20)
        assert _lists(database, count) == oracle.nearest_others(rows, count)
    (first, *_) = nearest_others(database, 4, "test")
    asked = first.asked.queries
    assert (asked == rows[: len(asked)]).all()
    products = np.take_along_axis(asked @ rows.T, first.asked.ranked.ranks, axis=1)
    np.testing.assert_allclose(first.similarities, products, atol=tolerances.FEW_ROUNDINGS)


def test_an_item_is_not_its_own_neighbour_among_duplicates():
    """Six equal rows: the last ones do not find themselves among their two nearest."""
    database = BlockedDatabase((np.tile(np.float32([[1, 0]]), (6, 1)),))
    assert _lists(database, 2) == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


def test_a_row_without_rank_asks_with_zeros_and_is_found_last():
    rows = clustered(4)
    rows[1] = np.nan
    database = BlockedDatabase((rows,), unranked=[1])
    (found,) = nearest_others(database, 3, "test")
    assert found.asked.queries[1].tolist() == [0] * 16
    assert found.asked.ranked.ranks[[0, 2, 3], 2].tolist() == [1, 1, 1]
    assert np.isnan(found.similarities[[0, 2, 3], 2]).all()


def test_one_item_has_no_others():
    assert _lists(BlockedDatabase((clustered(1),)), 3) == [[]]


class TestByLists:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        pytest.importorskip("faiss", reason="faiss-cpu is not installed")
        monkeypatch.setattr(neighbours, "SMALL_DATABASE", 0)
        monkeypatch.setattr(neighbours, "BATCH_ROWS", 128)

    def test_as_many_mutual_neighbours_are_found_as_asked_for_and_told(self, capsys):
        rows = clustered(600, width=32, clusters=60)
        database = BlockedDatabase((rows[:90], rows[90:]), unranked=[7], block_rows=250)
        exact = mutual_graph(database, 9)
        reached = []
        for recall in (0.5, 0.9):
            found = mutual_graph(database, 9, recall)
            assert abs((found - exact).multiply(exact > 0)).max() > 0.1  # Something is missed.
            shared = (found > 0).multiply(exact > 0)
            reached.append(shared.nnz / exact.nnz)
            assert reached[-1] >= recall
            told = re.search(
                r"building the graph: ([0-9]+) of 128 lists find ([0-9.]+) % of",
                capsys.readouterr().err,
            )
            assert told and int(told[1]) < 32
            # The sample is of all rows, by half of their neighbours.
            assert float(told[2]) == pytest.approx(100 * reached[-1], abs=3)
        assert reached[0] < reached[1]

    def test_where_nothing_is_near_all_rows_are_searched_exactly(self, capsys):
        rows = np.random.default_rng(0).standard_normal((300, 64)).astype(np.float32)
        database = BlockedDatabase((rows,))
        found = [each.asked.ranked.ranks for each in nearest_others(database, 5, "test", 0.95)]
        assert np.concatenate(found).tolist() == oracle.nearest_others(rows, 5)
        assert "recall=0.95 is asked for: all rows are searched exactly" in capsys.readouterr().err

    def test_without_mutual_neighbours_all_rows_are_searched_exactly(self):
        database = BlockedDatabase((clustered(20),))
        (found,) = nearest_others(database, 0, "test", 0.9)
        assert found.asked.ranked.ranks.shape == (20, 0)

    def test_a_broken_descriptor_is_named(self):
        rows = clustered(200)
        rows[11] = np.nan
        with pytest.raises(UserError, match="row 11 of part 0 of the database is not finite"):
            list(nearest_others(BlockedDatabase((rows,)), 5, "test", 0.9))


@pytest.mark.parametrize("method", ["dba(recall=0.9)", "truncated_diffusion(recall=0.9)"])
def test_without_faiss_a_recall_below_one_is_refused_at_once(monkeypatch, method):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        UserError, match=r"approximate neighbours need .* pip install '.*\[faiss\]'"
    ):
        make_chain(method)
