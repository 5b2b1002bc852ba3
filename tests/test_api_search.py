"""The public names, and search and score of the public API."""

import importlib
import inspect
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import senet_jax
from senet_jax import UserError
from senet_jax.data.ground_truth import load_ground_truth
from senet_jax.search.storage import quantise
from tests.data.pictures import write_dataset

REPOSITORY = pathlib.Path(__file__).parents[1]


def _unit(*shape, seed=0):
    rows = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


QUERIES, DATABASE = _unit(3, 16), _unit(50, 16, seed=1)


def test_the_items_and_their_similarities():
    found = senet_jax.search(QUERIES, DATABASE, top=5)
    ranks, similarities = found
    scores = QUERIES @ DATABASE.T
    np.testing.assert_array_equal(ranks, np.argsort(-scores, axis=1, kind="stable")[:, :5])
    assert ranks.dtype == np.int32 and similarities.dtype == np.float32
    np.testing.assert_allclose(
        similarities, np.take_along_axis(scores, ranks, axis=1), rtol=1e-5, atol=1e-7
    )
    assert found.ranks is ranks and found.similarities is similarities


def test_a_database_in_parts_and_one_that_is_small():
    whole = senet_jax.search(QUERIES, DATABASE)
    assert whole.ranks.shape == (3, 10)
    parts = senet_jax.search(QUERIES, [DATABASE[:20], DATABASE[20:]])
    np.testing.assert_array_equal(parts.ranks, whole.ranks)
    few = senet_jax.search(QUERIES, DATABASE[:4])
    assert few.ranks.shape == few.similarities.shape == (3, 4)
    of_int8 = senet_jax.search(QUERIES, quantise(DATABASE, "int8"), top=1)
    np.testing.assert_allclose(of_int8.similarities, whole.similarities[:, :1], atol=0.02)
    none = senet_jax.search(QUERIES[:0], DATABASE)
    assert none.ranks.shape == none.similarities.shape == (0, 10)


def test_an_index_of_faiss():
    pytest.importorskip("faiss", reason="faiss is not installed")
    exact = senet_jax.search(QUERIES, DATABASE, top=5)
    flat = senet_jax.search(QUERIES, DATABASE, top=5, backend="faiss(index=Flat)")
    np.testing.assert_array_equal(flat.ranks, exact.ranks)
    np.testing.assert_array_equal(flat.similarities, exact.similarities)
    some = senet_jax.search(QUERIES, DATABASE, 50, backend="faiss(index=IVF4,Flat,probes=1)")
    assert (some.ranks == -1).any()
    np.testing.assert_array_equal(np.isnan(some.similarities), some.ranks == -1)


NAN = np.full((1, 16), np.nan, np.float32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((QUERIES[0], DATABASE), r"the array of queries is .*\(16,\); descriptors are float16"),
        ((QUERIES, DATABASE[0]), "part 0 of the database is"),
        ((QUERIES[:, :8], DATABASE), "has 8 columns, the database 16"),
        ((NAN, DATABASE), "row 0 of the array of queries is not finite"),
        ((QUERIES, np.concatenate([DATABASE, NAN])), "row 50 of part 0 .* is not finite"),
        ((QUERIES, []), "the database holds nothing to search"),
        ((QUERIES, DATABASE[:0]), "the database holds nothing to search"),
        ((QUERIES, "X.npy"), "descriptors are of the type str; give a NumPy array"),
        ((QUERIES, np.array(3.0)), "descriptors are a single number; give an array with a row"),
        ((QUERIES.tolist(), DATABASE), "descriptors are of the type list"),
        ((QUERIES, DATABASE, 0), "top is 0; give how many items to find"),
        ((QUERIES, DATABASE, True), "top is True"),
        ((QUERIES, DATABASE, 1.5), "top is 1.5"),
        ((QUERIES, DATABASE, 5, "hnsw"), "no search backend 'hnsw'"),
    ],
)
def test_what_cannot_be_searched(arguments, message, capfd):
    with pytest.raises(UserError, match=message) as refused:
        senet_jax.search(*arguments)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def truth(tmp_path):
    write_dataset(tmp_path, "town")
    return tmp_path / "town" / "gnd_town.pkl"


def test_scores_of_descriptors_and_of_ranks_agree(truth, capfd):
    queries, database, crowd = QUERIES[:2], DATABASE[:3], DATABASE[3:]
    of_descriptors = senet_jax.score(truth, queries, database)
    found = senet_jax.search(queries, database)
    for ranks in (found, found.ranks, dict.fromkeys(("easy", "medium", "hard"), found)):
        of_ranks = senet_jax.score(truth, ranks=ranks)
        assert json.dumps(of_ranks.to_json()) == json.dumps(of_descriptors.to_json())
    among = senet_jax.score(load_ground_truth(truth), queries, database, distractors=[crowd])
    assert among.means("medium")[0] < of_descriptors.means("medium")[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give score either queries and database (.*), or ranks"),
        ({"queries": QUERIES}, "give score either"),
        ({"queries": QUERIES, "database": DATABASE, "ranks": DATABASE}, "give score either"),
        ({"database": DATABASE, "ranks": DATABASE}, "give score either"),
        ({"distractors": [DATABASE], "ranks": DATABASE}, "give score either"),
        ({"ranks": np.array(3)}, "ranks are a single number"),
        ({"queries": QUERIES, "database": DATABASE[:3]}, "has 3 rows for 2 queries"),
        ({"queries": QUERIES[:2], "database": DATABASE}, "50 rows for 3 images; every image of"),
        ({"queries": [1], "database": DATABASE}, "descriptors are of the type list"),
        ({"ranks": [[0], [1]]}, "ranks are of the type list"),
        ({"ranks": np.zeros((3, 2), int)}, "have 3 rows for 2 queries"),
        ({"ranks": np.full((2, 1), 7)}, "query 0 lists the item 7"),
        (
            {"ranks": {"easy": np.zeros((2, 1), int)}},
            r"ranks are of \['easy'\]; give those",
        ),
    ],
)
def test_what_cannot_be_scored(truth, options, message):
    with pytest.raises(UserError, match=message) as refused:
        senet_jax.score(truth, **options)
    assert "\n" not in str(refused.value)


def test_no_ground_truth(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        senet_jax.score(tmp_path / "nowhere.pkl", QUERIES, DATABASE)


def test_the_public_names():
    assert dir(senet_jax) == senet_jax.__all__ == sorted(senet_jax.__all__)
    for name in senet_jax.__all__:
        value = getattr(senet_jax, name)
        assert callable(value) and inspect.getdoc(value)
    for name in ("sys", "importlib", "jax", "np", "Describer", "nothing"):
        with pytest.raises(AttributeError, match=f"module senet_jax has no attribute {name}"):
            getattr(senet_jax, name)
    assert senet_jax.__version__
    assert (pathlib.Path(senet_jax.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("name", ["score", "search"])
def test_a_room_of_the_same_name_is_the_function_too(name):
    room = importlib.import_module(f"senet_jax.{name}")
    assert getattr(senet_jax, name) is room
    api = importlib.import_module("senet_jax.api")
    assert inspect.signature(room) == inspect.signature(getattr(api, name))


CHEAP = """
import sys
before = set(sys.modules)
import senet_jax
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
assert loaded - sys.stdlib_module_names == {"senet_jax"} and "argparse" not in loaded, loaded
import senet_jax.search.ranked_list
import numpy as np
rows = np.eye(3, dtype=np.float32)
print(senet_jax.search(rows, rows, top=1).ranks.ravel().tolist())
"""


def test_the_import_is_cheap_and_a_room_hides_no_function():
    done = subprocess.run(
        [sys.executable, "-c", CHEAP], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 1, 2]\n", "")
