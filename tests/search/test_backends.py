import json

import numpy as np
import pytest

from senet_jax.score.__main__ import main as score_main
from senet_jax.search.arrays import main
from senet_jax.search.backends import (
    BACKENDS,
    Exact,
    Faiss,
    backend_text,
    read_backend,
    recall,
    search,
)
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from tests.data.pictures import write_dataset

SIZE, WIDTH, QUERIES, NEAR = 2000, 16, 8, 10
ALL_LISTS = "faiss(index=IVF8,Flat,probes=8)"


@pytest.fixture(scope="module")
def faiss():
    return pytest.importorskip("faiss", reason="faiss-cpu is not installed")


@pytest.fixture(scope="module")
def planted():
    """Queries, and rows of which the first `NEAR` of each query resemble it ever less."""
    generator = np.random.default_rng(0)
    queries = np.eye(QUERIES, WIDTH, dtype=np.float32)
    near = np.linspace(2, 1, NEAR, dtype=np.float32)[:, None] * queries[:, None]
    rows = 0.05 * generator.standard_normal((SIZE, WIDTH)).astype(np.float32)
    rows[: QUERIES * NEAR] += near.reshape(-1, WIDTH)
    return queries, rows


def test_texts_name_backends():
    assert read_backend("exact") == Exact()
    assert read_backend("faiss") == Faiss()
    backend = read_backend("faiss(index=IVF1024,PQ64np, probes=32)")
    assert backend == Faiss("IVF1024,PQ64np", 32)
    assert backend_text(backend) == "faiss(index=IVF1024,PQ64np,probes=32)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("milvus", "no search backend 'milvus'; choose from exact, faiss"),
        ("exact,faiss", "'exact,faiss' names 2 search backends; name one"),
        ("exact(probes=2)", "exact cannot take 'probes=2'; exact has no settings"),
        ("faiss(probes=0)", "faiss: probes is 0; it has to be an integer from 1 to"),
    ],
)
def test_other_texts_are_one_line(text, message):
    with pytest.raises(UserError, match=message):
        read_backend(text)


@pytest.mark.parametrize("backend", ["exact", Exact(), "faiss", ALL_LISTS, "faiss(index=Flat)"])
def test_every_backend_finds_what_is_planted(faiss, planted, backend):
    queries, rows = planted
    found = search(
        queries, BlockedDatabase((rows[:700], rows[700:]), block_rows=300), NEAR, backend
    )
    expected = np.arange(QUERIES * NEAR).reshape(QUERIES, NEAR)
    assert (np.sort(found.ranks, axis=1) == expected).all()
    assert found.database_size == SIZE


def test_a_few_lists_and_few_bits_lose_some(faiss, planted):
    queries, rows = planted
    database = BlockedDatabase((rows,))
    exact = search(queries, database, 100)
    full, coarse = (
        recall(exact, search(queries, database, 100, backend), 100)
        for backend in (ALL_LISTS, "faiss(index=IVF32,PQ4x4,probes=1)")
    )
    assert full == 1
    assert 0.05 < coarse < 0.9


def test_recall_counts_the_first_items_that_have_a_score():
    expected = RankedList(np.array([[3, 1, 0, 2], [0, 1, 2, -1]]), 4)
    found = RankedList(np.array([[1, 3, -1], [2, 1, 0]]), 4)
    assert recall(expected, found, 1) == 0
    assert recall(expected, found, 2) == 3 / 4
    assert recall(expected, found, 3) == 5 / 6
    assert recall(expected, found, 4) == 5 / 7
    assert recall(expected, found, 4, unranked=[2]) == 4 / 5
    assert np.isnan(recall(expected, found, 4, unranked=range(4)))


@pytest.mark.parametrize("backend", BACKENDS.values())
@pytest.mark.parametrize(
    ("queries", "top", "message"),
    [
        (np.ones((1, 3), np.float32), 1, "queries has 3 columns, the database 2"),
        (np.array([[1, 1], [1, np.inf]], np.float32), 1, "row 1 of .*queries is not finite"),
        (np.ones((1, 2), np.float32), 0, "the 0 best items of a query are none"),
    ],
)
def test_wrong_questions_are_one_line(backend, queries, top, message):
    with pytest.raises(UserError, match=message):
        search(queries, BlockedDatabase((np.ones((4, 2), np.float32),)), top, backend())


@pytest.fixture
def command(tmp_path, run_command_here, planted):
    queries, rows = planted
    for name, array in {"q": queries, "x": rows[:500], "d": rows[500:]}.items():
        np.save(tmp_path / f"{name}.npy", array)

    def run(*flags, queries="q.npy"):
        paths = tmp_path / queries, tmp_path / "x.npy", tmp_path / "out.npy"
        return run_command_here(main, *paths, f"--distractors={tmp_path / 'd.npy'}", *flags)

    return run


@pytest.mark.parametrize(
    ("flags", "top"), [((), 1000), (("--top=7",), 7), (("--top=9999", "--backend=exact"), SIZE)]
)
def test_the_command_searches_exactly(command, tmp_path, planted, flags, top):
    done = command(*flags)
    assert (done.returncode, done.stdout) == (0, f"wrote {tmp_path / 'out.npy'}\n")
    ranks = np.load(tmp_path / "out.npy")
    assert ranks.dtype == np.int32
    queries, rows = planted
    np.testing.assert_array_equal(ranks, top_k(queries, BlockedDatabase((rows,)), top).ranks)


def test_the_command_searches_by_faiss(faiss, command, tmp_path, planted):
    done = command("--top=50", "--backend=faiss(index=IVF4,SQ8,probes=2)")
    assert (done.returncode, done.stderr) == (0, "")
    ranks = np.load(tmp_path / "out.npy")
    assert ranks.dtype == np.int32 and ranks.shape == (QUERIES, 50)
    queries, rows = planted
    expected = search(queries, BlockedDatabase((rows,)), 50, Faiss("IVF4,SQ8", 2)).ranks
    np.testing.assert_array_equal(ranks, expected)


def test_what_it_leaves_can_be_scored(tmp_path, run_command_here):
    write_dataset(tmp_path, "town")
    np.save(tmp_path / "q.npy", np.eye(2, 4))
    np.save(tmp_path / "x.npy", np.eye(3, 4))
    paths = [tmp_path / name for name in ("q.npy", "x.npy", "r.npy")]
    assert run_command_here(main, *paths, "--top=2").returncode == 0
    truth, scores = tmp_path / "town" / "gnd_town.pkl", []
    for flags in (
        (f"--ranks={tmp_path / 'r.npy'}",),
        (f"--query={tmp_path / 'q.npy'}", f"--database={tmp_path / 'x.npy'}"),
    ):
        done = run_command_here(score_main, truth, *flags, f"--json={tmp_path / 's.json'}")
        assert done.returncode == 0, done.stderr
        scores.append(json.loads((tmp_path / "s.json").read_text()))
    # The first query's are found; of the second one, the third of three items is not listed.
    assert scores[0]["easy"]["map"] == 0.5
    assert scores[1]["easy"]["map"] > 0.5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--top=0",), "the 0 best items of a query are none; ask for one or more"),
        (("--top=many",), "argument --top: invalid int value: 'many'"),
        (("--backend=milvus",), "no search backend 'milvus'; choose from exact, faiss"),
        (
            ("--backend=faiss(lists=4)",),
            "faiss cannot take 'lists=4'; its settings: index (a word; default auto), probes",
        ),
    ],
)
def test_mistakes_of_the_command_are_one_line(command, tmp_path, flags, message):
    done = command(*flags)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.npy").exists()
