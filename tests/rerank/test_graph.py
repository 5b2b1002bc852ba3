import numpy as np
import pytest

from senet_jax.rerank import neighbours
from senet_jax.rerank.graph import mutual_graph
from senet_jax.search.database import BlockedDatabase
from tests import tolerances
from tests.oracles import rerank as oracle
from tests.rerank.retrievals import clustered

NEIGHBOURS = 7  # The item itself among them.


@pytest.mark.parametrize("count", [1, NEIGHBOURS, 99])
def test_against_loops(monkeypatch, count):
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", 20)
    rows = clustered(40)
    graph = mutual_graph(BlockedDatabase((rows,), block_rows=24), count)
    np.testing.assert_allclose(
        graph.toarray(),
        oracle.mutual_similarities(rows, count - 1),
        rtol=0,
        atol=tolerances.FEW_ROUNDINGS,
    )
    assert graph.dtype == np.float32
    assert (graph != graph.T).nnz == 0


def test_negative_similarities_and_zeros_join_nothing():
    rows = np.float32([[1, 0], [-1, 0], [0.6, 0.8], [0, 0]])
    graph = mutual_graph(BlockedDatabase((rows,)), 4)
    assert np.argwhere(graph.toarray()).tolist() == [[0, 2], [2, 0]]


def test_unranked_items_are_joined_to_nothing():
    rows = clustered(10)
    rows[3] = np.nan
    graph = mutual_graph(BlockedDatabase((rows,), unranked=[3]), 10).toarray()
    assert not graph[3].any() and not graph[:, 3].any()
    assert (np.delete(np.delete(graph, 3, 0), 3, 1) > 0).sum() == 9 * 8
