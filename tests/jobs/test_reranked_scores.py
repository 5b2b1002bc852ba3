import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.jobs.reranked_scores import evaluate_reranked, without_junk
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.report import evaluate_descriptors, evaluate_ranks
from senet_jax.rerank.method import Method, Resources
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


class Spy(Method):
    """Does nothing but call a function, and counts its database stages."""

    def __init__(self, function):
        object.__setattr__(self, "rerank", function)
        object.__setattr__(self, "stages", [])

    def prepare(self, database, resources):
        self.stages.append(database)
        return super().prepare(database, resources)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_junk_leaves_the_lists_and_the_order_stays(retrieval, ground_truth, protocol):
    junk = {"easy": [*JUNK, *HARD], "medium": JUNK, "hard": [*JUNK, *EASY]}[protocol.name]
    dropped = without_junk(retrieval, ground_truth, protocol)
    for query in range(2):
        expected = [item for item in retrieval.ranked.items(query) if item not in set(junk)]
        assert dropped.ranked.items(query).tolist() == expected


def test_a_method_that_does_nothing_changes_no_score(retrieval, ground_truth):
    plain = evaluate_descriptors(ground_truth, retrieval.queries, retrieval.database.parts)
    reports = evaluate_reranked(ground_truth, retrieval, Spy(lambda found: found), Resources())
    for report in reports.values():
        for name, scores in plain.scores.items():
            np.testing.assert_array_equal(report.scores.scores[name], scores)


def test_only_one_of_the_two_looks_at_the_ground_truth(retrieval, ground_truth):
    seen = []

    def see(found):
        seen.append(found.ranked.ranks)
        return found

    spy = Spy(see)
    evaluate_reranked(ground_truth, retrieval, spy, Resources())
    assert spy.stages == [retrieval.database]
    blind, *of_protocols = seen
    np.testing.assert_array_equal(blind, retrieval.ranked.ranks)
    assert [np.isin(JUNK, ranks).any() for ranks in of_protocols] == [False] * 3


def test_blind_expansion_is_a_search_with_the_expanded_queries(retrieval, ground_truth):
    expansion = QueryExpansion(3, 1.0)
    queries = expansion(retrieval).queries
    expected = evaluate_descriptors(ground_truth, queries, retrieval.database.parts)
    report = evaluate_reranked(ground_truth, retrieval, expansion, Resources())["blind"]
    for name, scores in expected.scores.items():
        np.testing.assert_array_equal(report.scores.scores[name], scores)
    value = report.to_json()
    assert value["cost"]["seconds_per_query"] > 0
    assert value["cost"]["database_seconds"] >= 0
    assert value["medium"]["queries"] == 2


def test_the_cost_is_that_of_a_list(retrieval, ground_truth):
    resources = Resources()
    pairs = resources.pairs

    def looks_at_three_pairs_of_each_query(found):
        pairs.compared += 3 * len(found.queries)
        pairs.computed += 1
        return found

    method = Spy(looks_at_three_pairs_of_each_query)
    reports = evaluate_reranked(ground_truth, retrieval, method, resources)
    for report in reports.values():
        assert report.cost.pairs_per_query == 3
        assert report.cost.computed_pairs_per_query == 1 / len(retrieval.queries)
        assert report.cost.peak_memory_bytes > 2**20


def test_the_lists_come_with_their_scores(retrieval, ground_truth):
    expansion = QueryExpansion(3, 1.0)
    reports = evaluate_reranked(ground_truth, retrieval, expansion, Resources())
    blind, protocol = reports["blind"].ranked, reports["protocol"].ranked
    assert blind.ranks.tolist() == expansion(retrieval).ranked.ranks.tolist()
    assert list(protocol) == [each.name for each in PROTOCOLS]
    for each in PROTOCOLS:
        expected = expansion(without_junk(retrieval, ground_truth, each)).ranked
        assert protocol[each.name].ranks.tolist() == expected.ranks.tolist()
    for report in reports.values():
        again = evaluate_ranks(ground_truth, report.ranked)
        assert again.to_json() == report.scores.to_json()
