import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.jobs.reranked_scores import evaluate_reranked, without_junk
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.rerank.pairwise import PairCount
from senet_jax.rerank.query_expansion import QueryExpansion
from senet_jax.rerank.retrieval import search
from senet_jax.search.database import BlockedDatabase

COUNT, WIDTH = 40, 8
EASY, HARD, JUNK = np.array([3, 9, 11]), np.array([4, 20]), np.array([1, 7, 30])


@pytest.fixture
def retrieval():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(COUNT + 2, WIDTH)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return search(rows[COUNT:], BlockedDatabase((rows[:COUNT],)), COUNT)


@pytest.fixture
def ground_truth():
    return GroundTruth(
        image_names=tuple(f"i{i}" for i in range(COUNT)),
        query_names=("a", "b"),
        easy=(EASY, EASY),
        hard=(HARD, HARD),
        junk=(JUNK, JUNK),
        boxes=None,
    )


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_junk_leaves_the_lists_and_the_order_stays(retrieval, ground_truth, protocol):
    junk = {"easy": [*JUNK, *HARD], "medium": JUNK, "hard": [*JUNK, *EASY]}[protocol.name]
    dropped = without_junk(retrieval, ground_truth, protocol)
    for query in range(2):
        expected = [item for item in retrieval.ranked.items(query) if item not in set(junk)]
        assert dropped.ranked.items(query).tolist() == expected


def test_a_method_that_does_nothing_changes_no_score(retrieval, ground_truth):
    plain = evaluate_descriptors(ground_truth, retrieval.queries, retrieval.database.parts)
    for report in evaluate_reranked(
        ground_truth, retrieval, lambda found: found, PairCount()
    ).values():
        for name, scores in plain.scores.items():
            np.testing.assert_array_equal(report.scores.scores[name], scores)


def test_only_one_of_the_two_looks_at_the_ground_truth(retrieval, ground_truth):
    seen = []

    def spy(found):
        seen.append(found.ranked.ranks)
        return found

    evaluate_reranked(ground_truth, retrieval, spy, PairCount())
    blind, *of_protocols = seen
    np.testing.assert_array_equal(blind, retrieval.ranked.ranks)
    assert [np.isin(JUNK, ranks).any() for ranks in of_protocols] == [False] * 3


def test_blind_expansion_is_a_search_with_the_expanded_queries(retrieval, ground_truth):
    expansion = QueryExpansion(3, 1.0)
    queries = expansion(retrieval).queries
    expected = evaluate_descriptors(ground_truth, queries, retrieval.database.parts)
    report = evaluate_reranked(ground_truth, retrieval, expansion, PairCount())["blind"]
    for name, scores in expected.scores.items():
        np.testing.assert_array_equal(report.scores.scores[name], scores)
    value = report.to_json()
    assert value["cost"]["seconds_per_query"] > 0
    assert value["medium"]["queries"] == 2


def test_the_cost_is_that_of_a_list(retrieval, ground_truth):
    pairs = PairCount()

    def looks_at_three_pairs_of_each_query(found):
        pairs.compared += 3 * len(found.queries)
        pairs.computed += 1
        return found

    reports = evaluate_reranked(ground_truth, retrieval, looks_at_three_pairs_of_each_query, pairs)
    for report in reports.values():
        assert report.cost.pairs_per_query == 3
        assert report.cost.computed_pairs_per_query == 1 / len(retrieval.queries)
        assert report.cost.peak_memory_bytes > 2**20
