import numpy as np
import pytest
import scipy.sparse

from senet_jax.rerank.diffusion import Diffusion, TruncatedDiffusion
from senet_jax.rerank.graph import mutual_graph
from senet_jax.rerank.method import Resources
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from tests.oracles import rerank as oracle
from tests.rerank.retrievals import clustered, retrieval, shuffled

# To the end: the order is then that of the dense solution.
SOLVED = {"tolerance": 1e-12, "iterations": 10_000}
GRAPH = {"graph_neighbours": 9, "query_neighbours": 4}


def _found(seed=0):
    """Few clusters: what a query starts from is joined to many items."""
    return retrieval(clusters=3, seed=seed)


def _dense(found):
    """Each query's f: float64[q n]."""
    (rows,) = found.database.parts
    mutual = oracle.mutual_similarities(rows.astype(float), GRAPH["graph_neighbours"] - 1)
    return [
        oracle.diffused(query, found.ranked.items(index)[: GRAPH["query_neighbours"]], mutual, rows)
        for index, query in enumerate(found.queries)
    ]


def _assert_in_order_of(lists, scores, reached):
    """Lists are in the order of scores; where none arrives there is no order to check."""
    for ranks, f in zip(lists, scores, strict=True):
        arrives = f[ranks] > 1e-9 * f.max()
        assert arrives.sum() >= reached
        assert arrives[: arrives.sum()].all()
        assert (np.diff(f[ranks]) <= 1e-7 * f.max()).all()


def test_exact_is_the_dense_solve():
    found = _found()
    diffused = Diffusion(**GRAPH, **SOLVED)(found)
    _assert_in_order_of(diffused.ranked.ranks, _dense(found), reached=9)
    assert (diffused.ranked.ranks != found.ranked.ranks).any(axis=1).all()
    assert np.sort(diffused.ranked.ranks).tolist() == [list(range(60))] * 5


def test_a_short_list_is_filled_with_what_diffusion_finds():
    found = _found()
    short = found.with_ranks(found.ranked.ranks[:, :6])
    whole = Diffusion(**GRAPH, **SOLVED)(found).ranked.ranks
    assert Diffusion(**GRAPH, **SOLVED)(short).ranked.ranks.tolist() == whole[:, :6].tolist()
    ended = found.with_ranks(
        np.pad(found.ranked.ranks[:, :4], ((0, 0), (0, 56)), constant_values=-1)
    )
    assert (Diffusion(**GRAPH, **SOLVED)(ended).ranked.ranks[:, :9] == whole[:, :9]).all()


@pytest.mark.parametrize("top", [60, 1000])
def test_truncated_is_exact_where_nothing_is_cut(top):
    found = _found()
    exact = Diffusion(**GRAPH)(found)
    assert (
        TruncatedDiffusion(top=top, **GRAPH)(found).ranked.ranks.tolist()
        == exact.ranked.ranks.tolist()
    )


def test_truncated_is_the_dense_solve_on_the_shortlist():
    found = _found()
    top = 20
    (rows,) = found.database.parts
    mutual = oracle.mutual_similarities(rows.astype(float), GRAPH["graph_neighbours"] - 1)
    diffused = TruncatedDiffusion(top=top, **GRAPH, **SOLVED)(found).ranked.ranks
    affinity = mutual**3
    degrees = affinity.sum(axis=1)
    for index, query in enumerate(found.queries):
        items = found.ranked.items(index)[:top]
        within = affinity[np.ix_(items, items)]
        within = within / np.sqrt(np.outer(degrees[items], degrees[items]))
        start = np.where(np.arange(top) < 4, np.maximum(rows[items] @ query, 0) ** 3, 0)
        f = np.zeros(60)
        f[items] = np.linalg.solve(np.eye(top) - 0.99 * within, start)
        _assert_in_order_of(diffused[index : index + 1, :top], [f], reached=4)
        assert diffused[index, top:].tolist() == found.ranked.ranks[index, top:].tolist()


def test_few_iterations_of_the_published_constants_stop_before_the_end():
    found = _found(seed=5)
    method = Diffusion(**GRAPH)
    assert (method.alpha, method.power, method.tolerance, method.iterations) == (0.99, 3, 1e-6, 20)
    assert (Diffusion().graph_neighbours, Diffusion().query_neighbours) == (50, 10)
    stopped = Diffusion(**GRAPH, iterations=1)(found).ranked.ranks
    assert stopped.tolist() != Diffusion(**GRAPH, **SOLVED)(found).ranked.ranks.tolist()


def test_it_follows_a_chain_of_neighbours():
    """Points on an arc: its far end is reached step by step, what lies on the other side is not."""
    angles = np.deg2rad([10, 25, 40, 55, 70, -65])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = search(np.float32([[1, 0]]), BlockedDatabase((rows,)), 6)
    assert found.ranked.ranks[0, -2:].tolist() == [5, 4]
    diffused = Diffusion(graph_neighbours=3, query_neighbours=1)(found)
    assert diffused.ranked.ranks[0, -2:].tolist() == [4, 5]


def _truncated_or_not(top, **settings):
    return TruncatedDiffusion(top=top, **settings) if top else Diffusion(**settings)


@pytest.mark.parametrize("top", [None, 40])
def test_the_order_of_the_database_changes_nothing(top):
    found = _found()
    other, order = shuffled(found)
    method = _truncated_or_not(top, **GRAPH)
    assert order[method(other).ranked.ranks].tolist() == method(found).ranked.ranks.tolist()


@pytest.mark.parametrize("top", [None, 5])
def test_without_positive_similarities_the_order_stays(top):
    rows = -clustered(8)
    found = search(clustered(2, seed=3), BlockedDatabase((rows,)), 8)
    assert _truncated_or_not(top)(found).ranked.ranks.tolist() == found.ranked.ranks.tolist()
    zeros = search(np.zeros((2, 16), np.float32), BlockedDatabase((rows,)), 8)
    assert _truncated_or_not(top)(zeros).ranked.ranks.tolist() == [list(range(8))] * 2


@pytest.mark.parametrize("top", [None, 3, 9])
def test_few_items_duplicates_zeros_and_unranked(top):
    rows = clustered(8)
    rows[2], rows[4], rows[6] = rows[1], 0, np.nan
    database = BlockedDatabase((rows,), unranked=[6])
    found = search(clustered(2, seed=3), database, 12)
    diffused = _truncated_or_not(top)(found).ranked
    assert diffused.ranks.shape == (2, 12)
    for query in range(2):
        assert sorted(diffused.items(query)) == list(range(8))
        assert diffused.items(query)[-2:].tolist() == [4, 6]
        # Equal items get equal scores: the one that was ahead stays ahead.
        assert np.diff(diffused.positions(query, np.array([1, 2]))) > 0


def _arrays(graph):
    """A graph as it is kept."""
    return {"similarities": graph.data, "items": graph.indices, "ends": graph.indptr}


def test_what_is_unranked_stays_last_where_the_solver_stops_below_zero():
    size = 12
    rng = np.random.default_rng(2)
    weights = np.triu(rng.random((size, size)) * (rng.random((size, size)) < 0.3), 1)
    weights[0] = 0
    graph = scipy.sparse.csr_array(weights + weights.T)
    database = BlockedDatabase((np.eye(size, dtype=np.float32),), unranked=[0])
    queries = rng.random((40, size), np.float32) * (rng.random((40, size)) < 0.3)
    given = Resources(keep=lambda stage: _arrays(graph))
    method = Diffusion(iterations=4).prepare(database, given)
    ranks = method(search(queries.astype(np.float32), database, size)).ranked.ranks
    assert ranks[:, -1].tolist() == [0] * 40


def test_nothing_listed_is_nothing_to_start_from():
    found = retrieval()
    empty = found.with_ranks(np.full((5, 3), -1))
    assert TruncatedDiffusion(top=4)(empty).ranked.ranks.tolist() == [[-1] * 3] * 5
    assert Diffusion()(empty).ranked.ranks.tolist() == [[0, 1, 2]] * 5
    nothing = Retrieval(
        found.queries,
        BlockedDatabase((found.database.parts[0][:0],)),
        RankedList(np.full((5, 2), -1), 0),
    )
    for method in (Diffusion(), TruncatedDiffusion(top=4)):
        assert method(nothing).ranked.ranks.tolist() == [[-1, -1]] * 5


@pytest.mark.parametrize("method", [Diffusion(**GRAPH), TruncatedDiffusion(**GRAPH, top=9)])
def test_the_graph_is_the_database_stage(method):
    found, stages = _found(), []

    def keep(stage):
        stages.append(stage)
        return _arrays(mutual_graph(stage.database, stage.settings["neighbours"]))

    prepared = method.prepare(found.database, Resources(keep=keep))
    assert prepared.database is found.database
    for _ in range(2):
        assert prepared(found).ranked.ranks.tolist() == method(found).ranked.ranks.tolist()
    [stage] = stages
    assert (stage.name, stage.settings) == (
        "graph",
        {"neighbours": GRAPH["graph_neighbours"], "recall": 1.0},
    )
    assert stage.database is found.database


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (TruncatedDiffusion, {"top": 0}, "top is 0; it has to be an integer from 1"),
        (Diffusion, {"alpha": 1.0}, "alpha is 1; it has to be a number from 0 below 1"),
        (Diffusion, {"graph_neighbours": 0}, "graph_neighbours is 0"),
    ],
)
def test_wrong_settings_are_refused(kind, settings, message):
    with pytest.raises(UserError, match=message):
        kind(**settings)
