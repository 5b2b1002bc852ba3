import sys

import numpy as np
import pytest

from senet_jax.search import exact as search
from senet_jax.search import faiss_index
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.faiss_index import Faiss
from senet_jax.system.errors import UserError

SIZE, WIDTH, QUERIES = 1000, 32, 5
# Each with the share of the ten nearest that it finds at least; chance would find a hundredth.
INDICES = {"Flat": 1, "IVF4,Flat": 1, "PQ16x4": 0.5, "IVF4,PQ16x4": 0.5, "LSH": 0.2}


@pytest.fixture(scope="module")
def faiss():
    return pytest.importorskip("faiss", reason="faiss-cpu is not installed")


@pytest.fixture(scope="module")
def rows():
    rows = np.random.default_rng(0).standard_normal((SIZE, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def queries(rows):
    noise = np.random.default_rng(1).standard_normal((QUERIES, WIDTH)).astype(np.float32)
    return rows[::200] + 0.05 * noise


@pytest.mark.parametrize("description", INDICES)
def test_against_exact_search(faiss, rows, queries, description):
    database = BlockedDatabase((rows[:300], rows[300:]), block_rows=128)
    exact = search.top_k(queries, database, 10).ranks
    found = Faiss(description).prepare(database).top_k(queries, 10)
    assert found.ranks.shape == exact.shape
    assert found.database_size == SIZE
    # What is nearest by far comes first in each of them.
    np.testing.assert_array_equal(found.ranks[:, 0], exact[:, 0])
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(exact, found.ranks, strict=True)])
    assert recall >= INDICES[description]
    if description == "Flat":
        np.testing.assert_array_equal(found.ranks, exact)


def test_probes_are_the_lists_that_are_searched(faiss, rows, queries):
    database = BlockedDatabase((rows,))
    few, all_of_them = (
        Faiss("IVF16,Flat", probes).prepare(database).top_k(queries, SIZE).ranks
        for probes in (1, 16)
    )
    assert (np.sort(all_of_them) == np.arange(SIZE)).all()
    assert ((few >= 0).sum(axis=1) < SIZE / 2).all()


def test_the_index_of_choice_grows_with_the_database(faiss, rows, queries):
    database = BlockedDatabase(
        (np.concatenate([rows, *(-share * rows for share in (0.9, 0.8, 0.7, 0.6))]),)
    )
    index = Faiss(probes=64).prepare(database)
    assert index.backend == Faiss("IVF64,Flat", 64)
    exact = search.top_k(queries, database, 10).ranks
    np.testing.assert_array_equal(index.top_k(queries, 10).ranks, exact)


@pytest.mark.parametrize("size", [0, 1, 2, 9])
def test_databases_of_any_size_have_one(faiss, rows, queries, size):
    index = Faiss().prepare(BlockedDatabase((rows[:size],)))
    assert index.backend == Faiss("Flat")
    assert (np.sort(index.top_k(queries, 20).ranks) == np.arange(size)).all()


def test_rows_are_told_once_while_it_is_built_and_once_while_it_is_searched(faiss, rows, queries):
    told = []
    index = Faiss("Flat").prepare(BlockedDatabase((rows,), block_rows=400), told.append)
    assert told == [400, 400, 200]
    index.top_k(queries, 10, told.append)
    assert told[3:] == [SIZE]


@pytest.mark.parametrize("k", [2, 10])
def test_unranked_items_are_not_found(faiss, k):
    rows = np.array([[np.nan], [1], [np.inf], [-5], [9], [7]], np.float32)
    database = BlockedDatabase((rows,), unranked=[4, 0, 2], block_rows=4)
    index = Faiss("Flat").prepare(database)
    expected = [5, 1, 3, -1, -1, -1][:k]
    assert index.top_k(np.ones((1, 1), np.float32), k).ranks.tolist() == [expected]


def test_nothing_to_search_and_nothing_to_find(faiss, rows, queries):
    nothing = Faiss("Flat").prepare(BlockedDatabase((rows[:0],)))
    assert nothing.top_k(queries, 4).ranks.shape == (QUERIES, 0)
    unranked = Faiss("Flat").prepare(BlockedDatabase((rows[:3],), unranked=range(3)))
    assert unranked.top_k(queries, 4).ranks.tolist() == [[-1] * 3] * QUERIES


def test_it_learns_from_rows_at_equal_distances(monkeypatch):
    monkeypatch.setattr(faiss_index, "TRAINING_ROWS", 9)
    rows = np.arange(31, dtype=np.float32)[:, None]
    database = BlockedDatabase((rows[:11], rows[11:]), unranked=[8, 9], block_rows=6)
    assert faiss_index.training_rows(database)[:, 0].tolist() == [0, 4, 12, 16, 20, 24, 28]


def test_values_that_are_not_finite_are_named(faiss):
    rows = np.ones((10, 2))
    rows[7, 1] = np.nan
    with pytest.raises(UserError, match="row 7 of part 0 of the database is not finite"):
        Faiss("Flat").prepare(BlockedDatabase((rows,), block_rows=4))


@pytest.mark.parametrize("description", ["Tree", "PQ5", "IVF2000,Flat", "Flät", "\ud800"])
def test_indices_that_cannot_be_made_are_one_line(faiss, rows, description):
    with pytest.raises(UserError, match=r"faiss cannot make the index .* of 1000 rows"):
        Faiss(description).prepare(BlockedDatabase((rows,)))


def test_without_faiss_it_is_one_line(monkeypatch, rows):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"pip install '\.\[faiss\]'"):
        Faiss().prepare(BlockedDatabase((rows,)))
