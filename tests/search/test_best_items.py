import numpy as np
import pytest

from senet_jax.search.best_items import BestItems
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.search.ranked_list import FoundLists, RankedList
from senet_jax.search.scores import scores_of_blocks


def _best(queries, database, length):
    best = BestItems(len(queries), length)
    for start, scores in scores_of_blocks(queries, database, database.starts):
        best.add(start, scores)
    return best.lists(database)


@pytest.mark.parametrize("length", [1, 5, 40, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_the_search_with_ties_and_rows_that_are_not_ranked(seed, length):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 70))
    rows = rng.integers(-2, 3, (size, 3)).astype(np.float32)
    rows[rng.random(size) < 0.1] = -0.0
    queries = rng.integers(-2, 3, (4, 3)).astype(np.float32)
    unranked = {int(row) for row in rng.permutation(size)[: rng.integers(0, 9)]}
    database = BlockedDatabase((rows,), unranked, block_rows=8)
    found = _best(queries, database, length)
    expected = top_k(queries, database, length).ranks
    np.testing.assert_array_equal(found.ranked.ranks, expected)
    assert found.ranked.ranks.dtype == np.int32 and found.similarities.dtype == np.float32
    scores = np.take_along_axis(queries @ rows.T, expected, axis=1)
    scores[np.isin(expected, list(unranked))] = np.nan
    np.testing.assert_array_equal(found.similarities, scores)


def test_the_scores_are_those_that_are_counted_to_the_bit():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((300, 33)).astype(np.float32)
    database = BlockedDatabase((rows,), block_rows=64)
    found = _best(rows[:3], database, 300)
    for start, scores in scores_of_blocks(rows[:3], database, database.starts):
        for query in range(3):
            items = found.ranked.ranks[query]
            here = (items >= start) & (items < start + 64)
            of_block = np.asarray(scores)[query, items[here] - start]
            np.testing.assert_array_equal(found.similarities[query, here], of_block)


def test_lists_without_similarities_of_their_own():
    for similarities in (np.zeros((2, 2), np.float32), np.zeros((2, 1))):
        with pytest.raises(ValueError, match="similarities of"):
            FoundLists(RankedList(np.zeros((2, 1), int), 3), similarities)
