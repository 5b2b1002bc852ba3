import json

import numpy as np
import pytest

from senet_jax.jobs import searching
from senet_jax.jobs.searching import search_by
from senet_jax.search.backends import Exact, Faiss
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k

SIZE, WIDTH, QUERIES = 1500, 16, 7


@pytest.fixture(scope="module")
def planted():
    """Queries, and rows that resemble each other in groups."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((50, WIDTH))
    rows = centres[np.arange(SIZE) % 50] + 0.4 * generator.standard_normal((SIZE, WIDTH))
    return rows[::220].astype(np.float32), rows.astype(np.float32)


@pytest.fixture
def faiss():
    return pytest.importorskip("faiss", reason="faiss-cpu is not installed")


def test_the_record_tells_what_is_lost(faiss, planted):
    queries, rows = planted
    found, record = search_by(
        Faiss("IVF32,Flat", probes=2), queries, BlockedDatabase((rows,), unranked=[3, 5])
    )
    exact = top_k(queries, BlockedDatabase((rows,), unranked=[3, 5]), 1000).ranks
    assert found.ranks.shape == (QUERIES, 1000)
    for cutoff in (100, 1000):
        expected = np.mean(
            [
                np.isin(a[:cutoff], b[:cutoff]).mean()
                for a, b in zip(exact, found.ranks, strict=True)
            ]
        )
        assert record.recalls[cutoff] == pytest.approx(expected)
    assert 0.3 < record.recalls[100] < 1 and record.recalls[1000] < record.recalls[100]
    value = json.loads(json.dumps(record.to_json(), allow_nan=False))
    assert value.pop("build_seconds") > 0 and value.pop("seconds_per_query") > 0
    assert value == {
        "backend": "faiss(index=IVF32,Flat,probes=2)",
        "settings": {"index": "IVF32,Flat", "probes": 2},
        "top": 1000,
        "recall@100": record.recalls[100],
        "recall@1000": record.recalls[1000],
        "recall_queries": QUERIES,
    }
    assert record.line().startswith("searched by faiss(index=IVF32,Flat,probes=2), recall@100 agai")
    assert record.line().endswith(" ms a query, only the first 1,000 items count as found")


def test_what_a_backend_chose_itself_is_told(faiss, planted):
    queries, rows = planted
    _, record = search_by(Faiss(), queries, BlockedDatabase((rows,)))
    assert record.to_json()["settings"] == {"index": "Flat", "probes": 16}
    assert record.recalls == {100: 1, 1000: 1}


def test_recall_is_that_of_queries_at_equal_distances(planted, monkeypatch):
    queries, rows = planted
    monkeypatch.setattr(searching, "EXACT_QUERIES", 3)
    _, record = search_by(Exact(), queries, BlockedDatabase((rows,)))
    assert record.recall_queries == 3 and record.recalls == {100: 1, 1000: 1}


def test_nothing_to_find_is_null(planted):
    queries, rows = planted
    database = BlockedDatabase((rows[:2],), unranked=[0, 1])
    _, record = search_by(Exact(), queries, database)
    assert record.to_json()["recall@100"] is None
    assert "recall" not in record.line()
