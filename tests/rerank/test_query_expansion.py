import builtins

import numpy as np
import pytest

from senet_jax.rerank import neighbours
from senet_jax.rerank.query_expansion import (
    DatabaseAugmentation,
    DiscriminativeQueryExpansion,
    QueryExpansion,
    augmented_rows,
    expanded_queries,
)
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from tests import tolerances
from tests.oracles import rerank as oracle
from tests.rerank.retrievals import clustered, retrieval, shuffled

ALPHAS = (0.0, 0.5, 1.0, 2.0, 3.0)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("count", [1, 5, 60, 70])
def test_expanded_queries_against_loops(alpha, count):
    found = retrieval()
    (rows,) = found.database.parts
    expected = [
        oracle.expanded(query, rows[found.ranked.items(index)[:count]], alpha)
        for index, query in enumerate(found.queries)
    ]
    seen = expanded_queries(found, count, alpha)
    np.testing.assert_allclose(seen, expected, rtol=0, atol=tolerances.FEW_ROUNDINGS)
    ranks = QueryExpansion(count, alpha)(found).ranked.ranks
    assert ranks.tolist() == search(seen, found.database, found.length).ranked.ranks.tolist()


def test_without_neighbours_nothing_changes():
    found = retrieval()
    assert QueryExpansion(0, 3.0)(found) is found
    assert DatabaseAugmentation(0, 3.0)(found) is found


def test_alpha_zero_is_the_average_query():
    """Every neighbour counts alike, also one that is not similar at all."""
    rows = np.eye(3, dtype=np.float32) * [[1], [-1], [1]]
    queries = np.array([[0.8, 0.6, 0]], np.float32)
    found = Retrieval(queries, BlockedDatabase((rows,)), RankedList(np.array([[0, 2, 1]]), 3))
    average = queries[0] + rows.sum(axis=0)
    average /= np.linalg.norm(average)
    np.testing.assert_allclose(
        expanded_queries(found, 3, 0.0)[0], average, atol=tolerances.FEW_ROUNDINGS
    )


def test_a_negative_similarity_counts_as_zero():
    rows = np.array([[1, 0], [-1, 0], [0, -1]], np.float32)
    queries = np.array([[0.6, 0.8]], np.float32)
    found = Retrieval(queries, BlockedDatabase((rows,)), RankedList(np.array([[0, 1, 2]]), 3))
    expected = oracle.expanded(queries[0], rows[:1], 1.0)
    np.testing.assert_allclose(
        expanded_queries(found, 3, 1.0)[0], expected, atol=tolerances.FEW_ROUNDINGS
    )


def test_an_empty_database_is_not_augmented():
    nothing = search(clustered(2), BlockedDatabase((clustered(3)[:0],)), 4)
    assert DatabaseAugmentation(5, 2.0)(nothing) is nothing
    assert QueryExpansion(5, 2.0)(nothing).ranked.ranks.tolist() == [[-1] * 4] * 2


@pytest.mark.parametrize("method", [QueryExpansion(4, 2.0), DatabaseAugmentation(4, 2.0)])
def test_more_neighbours_than_items(method):
    found = retrieval(rows=3, length=9)
    assert found.ranked.ranks[:, 3:].tolist() == [[-1] * 6] * 5
    ranks = method(found).ranked.ranks
    assert ranks.shape == (5, 9)
    assert np.sort(ranks[:, :3]).tolist() == [[0, 1, 2]] * 5
    assert (ranks[:, 3:] == -1).all()


def test_zero_vectors_stay_zero():
    rows = np.concatenate([np.zeros((2, 16), np.float32), clustered(10)])
    found = search(np.zeros((1, 16), np.float32), BlockedDatabase((rows,)), 12)
    for alpha in (1.0, 2.0):
        assert (expanded_queries(found, 12, alpha) == 0).all()
    augmented = np.concatenate(list(augmented_rows(found.database, 3, 1.0)))
    assert (augmented[:2] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(augmented[2:], axis=1), 1, rtol=1e-6)


def test_unranked_items_are_no_neighbours():
    rows = clustered(8)
    rows[3] = np.nan
    database = BlockedDatabase((rows,), unranked=[3])
    found = search(clustered(2, seed=1), database, 8)
    assert found.ranked.ranks[:, -1].tolist() == [3, 3]
    for method in (QueryExpansion(8, 0.0), DatabaseAugmentation(8, 0.0)):
        result = method(found)
        assert np.isfinite(result.queries).all()
        assert result.ranked.ranks[:, -1].tolist() == [3, 3]
    others = np.delete(rows, 3, axis=0)
    augmented = np.concatenate(list(augmented_rows(database, 8, 1.0)))
    expected = [
        oracle.expanded(row, np.delete(others, index, axis=0), 1.0)
        for index, row in enumerate(others)
    ]
    np.testing.assert_allclose(
        np.delete(augmented, 3, axis=0), expected, rtol=0, atol=tolerances.FEW_ROUNDINGS
    )


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_augmentation_against_loops(alpha):
    rows = clustered(50)
    expected = [
        oracle.expanded(row, rows[others], alpha)
        for row, others in zip(rows, oracle.nearest_others(rows, 6), strict=True)
    ]
    augmented = np.concatenate(list(augmented_rows(BlockedDatabase((rows,)), 6, alpha)))
    np.testing.assert_allclose(augmented, expected, rtol=0, atol=tolerances.FEW_ROUNDINGS)


def test_augmentation_streamed_from_files_is_the_one_in_memory(tmp_path, monkeypatch):
    rows = clustered(90, seed=2)
    whole = np.concatenate(list(augmented_rows(BlockedDatabase((rows,)), 5, 2.0)))
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", 7)
    parts = []
    for index, part in enumerate(np.split(rows, [31, 32])):
        np.save(tmp_path / f"{index}.npy", part)
        parts.append(np.load(tmp_path / f"{index}.npy", mmap_mode="r"))
    batches = list(augmented_rows(BlockedDatabase(tuple(parts), block_rows=50), 5, 2.0))
    assert [len(batch) for batch in batches] == [7] * 12 + [6]
    np.testing.assert_allclose(
        np.concatenate(batches), whole, rtol=0, atol=tolerances.FEW_ROUNDINGS
    )


def test_equal_rows_stay_equal():
    rows = np.tile(np.float32([[0.6, 0.8]]), (6, 1))
    augmented = np.concatenate(list(augmented_rows(BlockedDatabase((rows,)), 2, 2.0)))
    np.testing.assert_allclose(augmented, rows, atol=tolerances.FEW_ROUNDINGS)


@pytest.mark.parametrize(
    "method", [QueryExpansion(5, 2.0), QueryExpansion(5, 0.0), DatabaseAugmentation(5, 2.0)]
)
def test_the_order_of_the_database_changes_nothing(method):
    found = retrieval()
    other, order = shuffled(found)
    assert order[method(other).ranked.ranks].tolist() == method(found).ranked.ranks.tolist()


@pytest.mark.parametrize("numbers", [(-1, 1.0), (3, -0.5), (3, float("nan"))])
@pytest.mark.parametrize("method", [QueryExpansion, DatabaseAugmentation])
def test_negative_numbers_are_refused(method, numbers):
    with pytest.raises(UserError, match="it has to be"):
        method(*numbers)


class TestDiscriminative:
    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")

    def test_the_query_is_the_normal_between_first_and_last(self):
        """Two points: the widest margin's normal is their difference."""
        rows = np.array([[0, 1, 0], [0, 0, 1]], np.float32)
        queries = np.array([[0, 1, 0]], np.float32)
        found = search(queries, BlockedDatabase((rows,)), 2)
        expanded = DiscriminativeQueryExpansion(positives=1, negatives=1)(found)
        # The margin is soft, and the intercept is penalised too: they turn the normal by some
        # degrees. Another sign, or a query that stayed as it was, is 0.7 away.
        np.testing.assert_allclose(expanded.queries[0], [0, 0.5**0.5, -(0.5**0.5)], atol=0.2)
        assert np.linalg.norm(expanded.queries[0]) == pytest.approx(1, abs=1e-6)

    def test_positives_stay_ahead_of_negatives(self):
        found = retrieval()
        expanded = DiscriminativeQueryExpansion(positives=3, negatives=20)(found)
        (rows,) = found.database.parts
        for index in range(len(found.queries)):
            items = found.ranked.items(index)
            scores = rows[items] @ expanded.queries[index]
            assert scores[:3].min() > scores[-20:].max()
        assert (expanded.queries != found.queries).any(axis=1).all()

    def test_only_the_ends_of_a_list_count(self):
        found = retrieval()
        ends = found.with_ranks(np.delete(found.ranked.ranks, np.s_[3:40], axis=1))
        method = DiscriminativeQueryExpansion(positives=3, negatives=20)
        assert method(ends).queries.tolist() == method(found).queries.tolist()

    def test_without_negatives_the_query_stays(self):
        found = retrieval(rows=4, length=9)
        expanded = DiscriminativeQueryExpansion(positives=5)(found)
        assert expanded.queries.tolist() == found.queries.tolist()
        assert expanded.ranked.ranks.tolist() == found.ranked.ranks.tolist()

    def test_unranked_items_and_zeros_are_no_obstacle(self):
        rows = clustered(30)
        rows[4], rows[9] = np.nan, 0
        database = BlockedDatabase((rows,), unranked=[4])
        expanded = DiscriminativeQueryExpansion(5)(search(clustered(3, seed=1), database, 30))
        assert np.isfinite(expanded.queries).all()
        assert expanded.ranked.ranks[:, -1].tolist() == [4, 4, 4]

    def test_the_order_of_the_database_changes_nothing(self):
        found = retrieval()
        other, order = shuffled(found)
        method = DiscriminativeQueryExpansion(5, 10)
        assert order[method(other).ranked.ranks].tolist() == method(found).ranked.ranks.tolist()


def test_discriminative_expansion_names_the_library_that_it_lacks(monkeypatch):
    real_import = builtins.__import__

    def without_sklearn(name, *arguments, **options):
        if name.startswith("sklearn"):
            raise ImportError("No module named 'sklearn'")
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_sklearn)
    with pytest.raises(UserError, match=r"pip install '\.\[dqe\]'"):
        DiscriminativeQueryExpansion(5)
