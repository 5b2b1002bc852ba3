import numpy as np
import pytest

from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, ">i2"])
def test_items_and_positions(dtype):
    ranked = RankedList(np.array([[3, 0, 2], [1, -1, -1], [-1, -1, -1]], dtype), database_size=4)
    assert [ranked.items(query).tolist() for query in range(3)] == [[3, 0, 2], [1], []]
    assert ranked.positions(0, np.array([0, 1, 2, 3])).tolist() == [1, -1, 2, 0]
    assert ranked.positions(1, np.array([1, 0])).tolist() == [0, -1]
    assert ranked.positions(2, np.array([1, 0])).tolist() == [-1, -1]
    assert ranked.positions(0, np.zeros(0, np.int64)).tolist() == []


def test_unsigned_ranks_are_whole_rankings():
    ranked = RankedList(np.array([[1, 0]], np.uint64), database_size=2)
    assert ranked.positions(0, np.array([0, 1])).tolist() == [1, 0]


def test_rankings_may_be_empty():
    ranked = RankedList(np.zeros((2, 0), np.int64), database_size=3)
    assert ranked.positions(1, np.array([0, 1, 2])).tolist() == [-1, -1, -1]


def test_ranks_with_a_column_for_each_query_are_told_as_such():
    """As the benchmark's own code has them."""
    ranks = np.array([[2, 0], [1, 1], [0, 2]])
    with pytest.raises(UserError, match=r"have 3 rows for 2 queries; .* transpose them"):
        RankedList.of_queries(ranks, 2, 3)
    assert RankedList.of_queries(ranks.T, 2, 3).items(0).tolist() == [2, 1, 0]
    with pytest.raises(UserError, match="a row for each query"):
        RankedList.of_queries(ranks[0], 2, 3)


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        (np.array([[0.0, 1.0]]), "ranks are float64"),
        (np.array([[True, False]]), "ranks are bool"),
        (np.array([0, 1]), r"shape \(2,\)"),
        (np.array([[0, 1], [2, 3]]), "query 1 lists the item 3, but the database has 3"),
        (np.array([[0, -2]]), "the item -2"),
        (np.array([[2**64 - 1, 0]], np.uint64), "the item 18446744073709551615"),
        (np.array([[0, 1], [2, 2]]), "query 1 lists the item 2 more than once"),
        (np.array([[0, -1, 1]]), "the item 1 after a -1"),
        (np.array([[-1, 0, -1]]), "the item 0 after a -1"),
    ],
)
def test_wrong_ranks_are_one_line(ranks, message):
    with pytest.raises(UserError, match=message):
        RankedList(ranks, database_size=3)
