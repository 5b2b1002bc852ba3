import functools

import numpy as np
import pytest

from senet_jax.metrics.average_precision import positions_by_score
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.system.errors import UserError
from tests.features.memory import growth
from tests.oracles import scorer

QUERIES = 5


@pytest.mark.parametrize("seed", range(12))
def test_against_a_stable_sort(seed):
    """Small integers: products are exact in any order of summation, and ties are many."""
    rng = np.random.default_rng(seed)
    size, k = (int(rng.choice(numbers)) for numbers in ([1, 50], [10, 60]))
    rows = rng.integers(-2, 3, (size, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (QUERIES, 3)).astype(np.float32)
    unranked = rng.permutation(size)[: rng.integers(0, 5)].tolist()
    expected = [scorer.ranking((rows @ query).tolist(), unranked)[:k] for query in queries]

    cuts = np.sort(rng.integers(0, size + 1, rng.integers(0, 4)))
    for parts in ([rows], np.split(rows, cuts)):
        for block_rows in (20, 64):
            ranked = top_k(queries, BlockedDatabase(tuple(parts), unranked, block_rows), k)
            assert ranked.ranks.tolist() == expected
            assert ranked.database_size == size


def test_the_items_are_those_that_stand_first_by_their_positions():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((301, 67)).astype(np.float32)
    rows[[40, 41, 130, 300]] = rows[3]
    queries = rng.standard_normal((QUERIES, 67)).astype(np.float32)
    for block_rows in (128, 512):
        database = BlockedDatabase((rows,), block_rows=block_rows)
        ranked = top_k(queries, database, 100)
        for positions in positions_by_score(queries, database, list(ranked.ranks)):
            assert positions.tolist() == list(range(100))


def test_unranked_rows_rank_last_whatever_they_hold():
    rows = np.array([[np.nan], [1], [np.inf], [-5], [9]], np.float32)
    database = BlockedDatabase((rows,), unranked=[4, 0, 2], block_rows=2)
    assert top_k(np.ones((1, 1), np.float32), database, 9).ranks.tolist() == [[1, 3, 0, 2, 4]]


@pytest.mark.parametrize("block_rows", [1, 8])
def test_zero_of_either_sign_is_one_score(block_rows):
    rows = np.array([[-0.0], [0.0], [-0.0], [0.0], [1.0], [0.0]], np.float32)
    database = BlockedDatabase((rows,), block_rows=block_rows)
    queries = np.array([[1], [-1]], np.float32)
    assert top_k(queries, database, 4).ranks.tolist() == [[4, 0, 1, 2], [0, 1, 2, 3]]


def test_nothing_to_search_and_nothing_to_find():
    rows, queries = np.ones((3, 2), np.float32), np.ones((QUERIES, 2), np.float32)
    assert top_k(queries, BlockedDatabase((rows[:0],)), 4).ranks.shape == (QUERIES, 0)
    assert top_k(queries[:0], BlockedDatabase((rows,)), 4).ranks.shape == (0, 3)


def test_values_that_are_not_finite_are_named():
    rows = np.ones((10, 2))
    rows[7, 1] = np.nan
    with pytest.raises(UserError, match="row 7 of part 0 of the database is not finite"):
        top_k(np.ones((1, 2), np.float32), BlockedDatabase((rows,), block_rows=4), 1)


def test_rows_are_reported():
    counts = []
    database = BlockedDatabase((np.zeros((10, 1), np.float32),), block_rows=4)
    top_k(np.zeros((1, 1), np.float32), database, 2, counts.append)
    assert counts == [4, 4, 2]


def test_memory_does_not_grow_with_the_database(monkeypatch):
    """The scores of all queries with the second half would be 210 MB."""
    queries = np.ones((32, 1), np.float32)
    database = BlockedDatabase((np.zeros((400 * 8192, 1), np.float32),))
    assert growth(monkeypatch, functools.partial(top_k, queries, database, 10), steps=400) < 100e6
