import functools

import numpy as np
import pytest

from senet_jax.metrics.average_precision import (
    average_precision,
    junk_free_positions,
    positions_by_score,
    precision_at,
)
from senet_jax.search.database import BlockedDatabase
from tests.features.memory import growth
from tests.oracles import scorer

QUERIES, WIDTH = 5, 3


def _random_items(rng, size):
    counts = rng.integers(0, size + 1, QUERIES)
    counts[0] = 0
    return [rng.permutation(size)[:count] for count in counts]


@pytest.mark.parametrize("seed", range(12))
def test_positions_equal_a_stable_sort(seed):
    """Small integers make products exact and ties heavy."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60))
    rows = rng.integers(-2, 3, (size, WIDTH)).astype(np.float32)
    queries = rng.integers(-2, 3, (QUERIES, WIDTH)).astype(np.float32)
    unranked = rng.permutation(size)[: rng.integers(0, 5)].tolist()
    items = _random_items(rng, size)
    rankings = [scorer.ranking((rows @ query).tolist(), unranked) for query in queries]
    expected = [[r.index(item) for item in i] for r, i in zip(rankings, items, strict=True)]

    cuts = np.sort(rng.integers(0, size + 1, rng.integers(0, 4)))
    for parts in ([rows], np.split(rows, cuts)):
        for block_rows in (20, 64):
            database = BlockedDatabase(tuple(parts), unranked, block_rows)
            positions = positions_by_score(queries, database, items)
            assert [p.tolist() for p in positions] == expected


def test_unranked_rows_rank_last_whatever_they_hold():
    rows = np.array([[np.nan], [1], [np.inf], [-5], [9]], np.float32)
    database = BlockedDatabase((rows,), unranked=[4, 0, 2], block_rows=2)
    (positions,) = positions_by_score(np.ones((1, 1), np.float32), database, [np.arange(5)])
    assert positions.tolist() == [2, 0, 3, 1, 4]


def test_real_numbers_rank_every_item_once_and_equal_rows_by_index():
    """An item that counted itself, or missed its equal, would leave a gap in the positions."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((301, 67)).astype(np.float32)
    copies = np.array([3, 40, 41, 130, 300])
    rows[copies] = rows[3]
    queries = rng.standard_normal((QUERIES, 67)).astype(np.float32)
    everything = [np.arange(301)] * QUERIES
    for block_rows in (128, 512):
        database = BlockedDatabase((rows,), block_rows=block_rows)
        for positions in positions_by_score(queries, database, everything):
            assert sorted(positions) == list(range(301))
            assert np.diff(positions[copies]).tolist() == [1, 1, 1, 1]


def test_an_item_keeps_its_position_whichever_others_are_asked_for():
    rng = np.random.default_rng(0)
    database = BlockedDatabase((rng.standard_normal((500, 33)).astype(np.float32),), block_rows=128)
    queries = rng.standard_normal((QUERIES, 33)).astype(np.float32)
    everything = positions_by_score(queries, database, [np.arange(500)] * QUERIES)
    items = _random_items(rng, 500)
    for whole, some, i in zip(
        everything, positions_by_score(queries, database, items), items, strict=True
    ):
        np.testing.assert_array_equal(whole[i], some)


def test_zero_of_either_sign_is_one_score():
    rows = np.array([[-0.0], [0.0], [-0.0], [0.0]], np.float32)
    (positions,) = positions_by_score(
        np.ones((1, 1), np.float32), BlockedDatabase((rows,), block_rows=4), [np.array([3, 0, 2])]
    )
    assert positions.tolist() == [3, 0, 2]


def test_memory_does_not_grow_with_the_database(monkeypatch):
    """The scores of all queries with the second half would be 419 MB."""
    queries, items = np.ones((64, 1), np.float32), [np.array([0, 5])] * 64
    database = BlockedDatabase((np.zeros((400 * 8192, 1), np.float32),))
    rank = functools.partial(positions_by_score, queries, database, items)
    assert growth(monkeypatch, rank, steps=400) < 100e6


def test_rows_are_reported():
    counts = []
    database = BlockedDatabase((np.zeros((10, 1), np.float32),), block_rows=4)
    positions_by_score(np.zeros((1, 1), np.float32), database, [np.array([0])], counts.append)
    assert counts == [4, 4, 2]


def test_junk_leaves_the_ranking():
    positives, junk = np.array([9, -1, 2, 5]), np.array([7, 0, -1, 3, 12])
    assert junk_free_positions(positives, junk).tolist() == [1, 3, 6]


def test_average_precision_by_hand():
    assert average_precision(np.array([0, 1]), 2) == 1
    assert average_precision(np.zeros(0, np.int64), 3) == 0
    # One of two positives, at rank 2 of 0, 1, 2: (0/2 + 1/3) / (2 * 2).
    assert average_precision(np.array([2]), 2) == pytest.approx(1 / 12, abs=1e-15)
    # Ranks 0 and 2: ((1 + 1) + (1/2 + 2/3)) / (2 * 2).
    assert average_precision(np.array([0, 2]), 2) == pytest.approx(19 / 24, abs=1e-15)


def test_precision_at_by_hand():
    positions = np.array([1, 2, 6])
    assert [precision_at(positions, k) for k in (1, 2, 5)] == [0, 1 / 2, 2 / 5]
    # No further than the last positive, at rank 7.
    assert precision_at(positions, 10) == 3 / 7
    assert precision_at(np.zeros(0, np.int64), 10) == 0
