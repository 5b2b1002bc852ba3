import numpy as np
import pytest

from senet_jax.rerank import neighbours
from senet_jax.rerank.graph import kept_graph, mutual_graph
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.checksummed import load_arrays, save_arrays
from senet_jax.system.errors import UserError
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


@pytest.fixture
def database():
    return BlockedDatabase((clustered(30),), block_rows=16)


def test_a_kept_graph_is_the_one_that_was_made(tmp_path, monkeypatch, database):
    path = tmp_path / "folder" / "graph.npz"
    made = kept_graph(path, database, NEIGHBOURS)
    assert (made != mutual_graph(database, NEIGHBOURS)).nnz == 0
    monkeypatch.setattr("senet_jax.rerank.graph.mutual_graph", None)
    # The cut into parts and blocks is not part of what a database is.
    (rows,) = database.parts
    again = kept_graph(path, BlockedDatabase((rows[:11], rows[11:])), NEIGHBOURS)
    assert (made != again).nnz == 0
    assert made.dtype == again.dtype


def test_a_graph_of_other_descriptors_or_neighbours_is_refused(tmp_path, database):
    path = tmp_path / "graph.npz"
    kept_graph(path, database, NEIGHBOURS)
    (rows,) = database.parts
    other = rows.copy()
    other[29, 15] = np.nextafter(other[29, 15], 1)
    for parts, unranked in (((other,), ()), ((rows[:-1],), ()), ((rows,), (2,))):
        with pytest.raises(UserError, match="is the graph of other descriptors"):
            kept_graph(path, BlockedDatabase(parts, unranked), NEIGHBOURS)
    with pytest.raises(UserError, match="the graph of 7 neighbours, not of 8"):
        kept_graph(path, database, 8)


def _flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "broken",
    [lambda content: b"", lambda content: b"no archive", lambda content: content[:-50], _flipped],
    ids=["empty", "text", "truncated", "flipped"],
)
def test_a_broken_file_is_refused(tmp_path, database, broken):
    path = tmp_path / "graph.npz"
    kept_graph(path, database, NEIGHBOURS)
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(UserError, match=r"graph\.npz is not a whole graph: .*; remove it"):
        kept_graph(path, database, NEIGHBOURS)


def test_a_file_of_something_else_is_refused(tmp_path, database):
    path = tmp_path / "graph.npz"
    kept_graph(path, database, NEIGHBOURS)
    arrays = load_arrays(path)
    wrong = [
        {key: value for key, value in arrays.items() if key != "items"},
        arrays | {"items": arrays["items"] + 1000},
        arrays | {"ends": arrays["ends"][:-1]},
        arrays | {"similarities": arrays["similarities"][:-1]},
    ]
    smaller = {
        "similarities": np.zeros(0, np.float32),
        "items": np.zeros(0, int),
        "ends": np.zeros(4, int),
    }
    save_arrays(path, **arrays | smaller)
    with pytest.raises(UserError, match="is the graph of other descriptors"):
        kept_graph(path, database, NEIGHBOURS)
    for content in wrong:
        save_arrays(path, **content)
        with pytest.raises(UserError, match="not a whole graph"):
            kept_graph(path, database, NEIGHBOURS)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match="not a whole graph"):
        kept_graph(path, database, NEIGHBOURS)


def test_a_place_that_cannot_be_written_is_found_out_before_the_work(
    tmp_path, monkeypatch, database
):
    monkeypatch.setattr("senet_jax.rerank.graph.mutual_graph", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        kept_graph(tmp_path / "file" / "graph.npz", database, NEIGHBOURS)


def test_a_compressed_graph_or_one_of_other_numbers_is_refused(tmp_path, database):
    path = tmp_path / "graph.npz"
    kept_graph(path, database, NEIGHBOURS)
    arrays = load_arrays(path)
    np.savez_compressed(path, **arrays)
    with pytest.raises(UserError, match="not a whole graph: it is compressed"):
        kept_graph(path, database, NEIGHBOURS)
    for similarities in (arrays["similarities"].astype(complex), arrays["similarities"] * np.nan):
        save_arrays(path, **arrays | {"similarities": similarities})
        with pytest.raises(UserError, match="its similarities are no finite float32"):
            kept_graph(path, database, NEIGHBOURS)
