"""Re-ranking as a user meets it: in the job `evaluate`."""

import csv
import json
import pathlib
import pickle
import re
import shutil

import h5py
import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.jobs.reranking import save_pairs
from senet_jax.main import main
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.rerank import graph, neighbours, query_expansion
from senet_jax.rerank.pairs import ScoredPairs
from senet_jax.search.storage import quantise
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.models.small_disk import small_weights
from tests.oracles.cvnet_twin import lively_cvnet_weights
from tests.oracles.lively_twin import lively_weights

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

REPOSITORY = pathlib.Path(__file__).parents[2]
TOP = 2


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("rerank")
    write_dataset(root, "town", boxes=[(0, 0, 48, 40), (4, 4, 40, 36)])
    for seed, name in enumerate("abcqr"):
        path = root / "town" / "jpg" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(40, 48, seed=seed)))
    save_weights(root / "weights", lively_weights("tiny_baseline"))
    save_weights(root / "cvnet", lively_cvnet_weights())
    save_weights(root / "disk", small_weights())
    return root


@pytest.fixture
def evaluate(places, tmp_path, run_command_here):
    def run(*flags, workdir=tmp_path / "run"):
        arguments = [
            "main",
            f"--config={REPOSITORY}/configs/evaluate.py:tiny_baseline",
            f"--workdir={workdir}",
            f"--config.weights={places / 'weights'}",
            f"--config.data_root={places}",
            "--config.datasets=town",
            "--config.scales=(1.0,)",
            *flags,
        ]
        done = run_command_here(lambda: main(arguments))
        return done.returncode, done.stdout, done.stderr

    return run


def _report(workdir):
    return json.loads((workdir / "report.json").read_text())


def test_a_method_is_reported_twice_beside_the_search(evaluate, tmp_path):
    code, printed, _ = evaluate("--config.rerank=dba,alpha_qe")
    assert code == 0
    report = _report(tmp_path / "run")
    names = ["town", "town+dba,alpha_qe:blind", "town+dba,alpha_qe:protocol", "run"]
    assert list(report) == names
    for name in names[1:3]:
        assert report[name]["cost"]["seconds_per_query"] > 0
        assert report[name]["medium"]["queries"] == report["town"]["medium"]["queries"]
        assert f"{name}, tiny_baseline\n" in printed
    [stage] = (tmp_path / "run" / "rerank" / "prepared").iterdir()
    assert stage.name.startswith("dba-")
    assert [path.name for path in (tmp_path / "run" / "rerank").iterdir()] == ["prepared"]


@pytest.fixture
def database_stages(monkeypatch):
    """Counts the searches of a database for its own items, by what they are for."""
    counted = []
    for module in (query_expansion, graph):

        def counting(database, count, label, recall):
            counted.append(label)
            yield from neighbours.nearest_others(database, count, label, recall)

        monkeypatch.setattr(module, "nearest_others", counting)
    return counted


def test_the_database_stage_runs_once_for_all_lists_and_runs(evaluate, tmp_path, database_stages):
    assert evaluate("--config.rerank=dba,diffusion")[0] == 0
    assert database_stages == ["augmenting the database", "building the graph"]
    first = _report(tmp_path / "run")
    # Another run finds both, and so does one whose query stage has other settings.
    assert evaluate("--config.rerank=dba,diffusion")[0] == 0
    assert evaluate("--config.rerank=dba,diffusion(alpha=0.5)")[0] == 0
    assert len(database_stages) == 2
    second = _report(tmp_path / "run")
    for kind in ("blind", "protocol"):
        name = f"town+dba,diffusion:{kind}"
        assert first[name]["medium"] == second[name]["medium"]
        assert f"town+dba,diffusion(alpha=0.5):{kind}" in second
    # The graph is that of the augmented database.
    assert evaluate("--config.rerank=dba(neighbours=1),diffusion")[0] == 0
    assert database_stages[2:] == ["augmenting the database", "building the graph"]
    assert len(list((tmp_path / "run" / "rerank" / "prepared").iterdir())) == 4


def test_a_method_with_settings_is_reported_under_its_string(evaluate, tmp_path):
    written = "--config.rerank= geometric( top = 1 ) , dba(alpha=3.0, neighbours=1)"
    code, printed, errors = evaluate(written)
    assert code == 0, errors
    text = "geometric(top=1),dba(neighbours=1,alpha=3)"
    assert list(_report(tmp_path / "run")) == [
        *("town", f"town+{text}:blind", f"town+{text}:protocol", "run")
    ]
    assert f"town+{text}:blind, tiny_baseline\n" in printed
    [pairs] = (tmp_path / "run" / "rerank" / "town").iterdir()
    assert pairs.name == "geometric(top=1).csv"


def test_cvnet_leaves_the_pairs_that_it_scored(evaluate, places, tmp_path):
    cvnet = ("--config.rerank=cvnet", f"--config.cvnet_weights={places / 'cvnet'}")
    code, _, errors = evaluate(*cvnet, f"--config.rerank_top={TOP}")
    assert code == 0, errors
    workdir = tmp_path / "run"
    with (workdir / "rerank" / "town" / "cvnet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["query", "item", "global", "score"]
    queries, database = (
        np.load(workdir / "descriptors" / "town" / f"{part}.npy") for part in ("query", "database")
    )
    pairs = [(int(row["query"]), int(row["item"])) for row in rows]
    assert pairs == sorted(set(pairs))
    for (query, item), row in zip(pairs, rows, strict=True):
        assert float(row["global"]) == pytest.approx(queries[query] @ database[item], abs=1e-6)
        assert 0 <= float(row["score"]) <= 1
    # The shortlists of the plain search are among them.
    for query, scores in enumerate(queries @ database.T):
        assert {(query, int(item)) for item in np.argsort(-scores)[:TOP]} <= set(pairs)
    cost = _report(workdir)["town+cvnet:blind"]["cost"]
    assert cost["pairs_per_query"] == cost["computed_pairs_per_query"] == TOP


@pytest.mark.slow
def test_keypoints_are_matched_and_kept(evaluate, places, tmp_path):
    flags = (
        "--config.rerank=lightglue(keypoints=32,side=64)",
        f"--config.lightglue_weights={places / 'disk'}",
        f"--config.rerank_top={TOP}",
    )
    code, printed, errors = evaluate(*flags)
    assert code == 0, errors
    name = "lightglue(keypoints=32,side=64)"
    blind = _report(tmp_path / "run")[f"town+{name}:blind"]
    assert blind["cost"]["pairs_per_query"] == TOP
    with (tmp_path / "run" / "rerank" / "town" / f"{name}.csv").open(newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert len(scores) >= 2 * TOP and 0 < max(scores) <= 32
    computed = re.findall(r"lightglue, keypoints: (\d) of \d images to compute", printed)
    assert sum(map(int, computed)) == 5
    # Another run finds them, and the scores.
    (tmp_path / "run" / "report.json").unlink()
    code, printed, _ = evaluate(*flags)
    assert code == 0 and "images to compute" not in printed
    again = _report(tmp_path / "run")[f"town+{name}:blind"]
    assert again["hard"] == blind["hard"] and again["cost"]["computed_pairs_per_query"] == 0
    took = blind["cost"]["seconds_per_query"]
    assert 0.5 * took < again["cost"]["seconds_per_query"] < 2 * took
    # Other weights and other settings find none.
    save_weights(tmp_path / "disk", small_weights(seed=1))
    code, _, _ = evaluate(flags[0], f"--config.lightglue_weights={tmp_path / 'disk'}", flags[2])
    assert code == 0
    others = _report(tmp_path / "run")[f"town+{name}:blind"]
    assert others["cost"]["computed_pairs_per_query"] == TOP
    code, _, _ = evaluate(flags[0].replace("32", "31"), *flags[1:])
    assert code == 0
    others = _report(tmp_path / "run")[f"town+{name.replace('32', '31')}:blind"]
    assert others["cost"]["computed_pairs_per_query"] == TOP


def test_features_and_scores_that_users_bring_are_named_as_theirs(evaluate, places, tmp_path):
    rng, local = np.random.default_rng(0), tmp_path / "local.h5"
    points, rows = rng.uniform(6, 34, (12, 2)), np.eye(12)
    with h5py.File(local, "w") as file:
        for name in "abcqr":
            others = rng.permutation(12) if name in "ab" else np.arange(12)
            group = file.create_group(f"{name}.jpg")
            group["keypoints"], group["descriptors"] = points, rows[others].T
    code, _, errors = evaluate("--config.rerank=gv(pixels=1)", f"--config.local_features={local}")
    assert code == 0, errors
    [path] = (tmp_path / "run" / "rerank" / "town").iterdir()
    with path.open(newline="") as file:
        score_of = {
            (row["query"], row["item"]): float(row["score"]) for row in csv.DictReader(file)
        }
    assert score_of["0", "2"] == score_of["1", "2"] == 12 and score_of["0", "0"] < 12
    code, _, errors = evaluate("--config.rerank=pairs", f"--config.pair_scores={path}")
    assert code == 0, errors
    report = _report(tmp_path / "run")
    by_points, by_scores = report["town+gv(pixels=1):blind"], report["town+pairs:blind"]
    # All settings stand there, those that were left to their defaults too.
    [gv] = by_points["methods"]
    numbers = {"distance": 1.0, "pixels": 1.0, "trials": 1000, "seed": 0, "early_stop": True}
    assert gv["settings"] == {"top": 100} | numbers
    assert gv["ties"] == "the more similar one is first, then the lower index"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "top 100, distance 1.0, pixels 1.0, trials 1000, seed 0, early_stop True" in page
    assert gv["ties"] in page
    assert by_points["settings"]["local_features"] == f"user-supplied, {local}"
    assert by_scores["settings"]["pair_scores"].startswith("user-supplied, SHA-256 ")


def test_geometry_leaves_and_counts_the_pairs_that_it_looked_at(evaluate, tmp_path):
    code, printed, errors = evaluate("--config.rerank=geometric", f"--config.rerank_top={TOP}")
    assert code == 0, errors
    report = _report(tmp_path / "run")
    assert report["town+geometric:blind"]["cost"]["pairs_per_query"] == TOP
    assert "town+geometric:protocol, tiny_baseline\n" in printed
    with (tmp_path / "run" / "rerank" / "town" / "geometric.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 2 * TOP and all(float(row["score"]).is_integer() for row in rows)
    # Another run finds the local features and the whitening.
    kept = {path: path.read_bytes() for path in (tmp_path / "run" / "rerank").rglob("*.npz")}
    assert len(kept) > 2
    (tmp_path / "run" / "report.json").unlink()
    code, printed, errors = evaluate("--config.rerank=geometric", f"--config.rerank_top={TOP}")
    assert code == 0, errors
    assert "images to compute" not in printed
    again = _report(tmp_path / "run")["town+geometric:blind"]
    assert again["medium"] == report["town+geometric:blind"]["medium"]
    assert kept == {path: path.read_bytes() for path in kept}


QE = ["town+alpha_qe:blind", "town+alpha_qe:protocol"]
DBA = ["town+dba:blind", "town+dba:protocol"]


@pytest.fixture
def copied(places, tmp_path):
    """A dataset folder that may be changed, as flags."""
    shutil.copytree(places / "town", tmp_path / "datasets" / "town")
    return f"--config.data_root={tmp_path / 'datasets'}"


def test_another_re_ranking_is_added_to_the_report(evaluate, places, tmp_path):
    assert evaluate("--config.rerank=alpha_qe")[0] == 0
    first = _report(tmp_path / "run")
    assert evaluate("--config.rerank=dba", "--config.rerank_top=7")[0] == 0
    second = _report(tmp_path / "run")
    assert list(second) == ["town", *QE, *DBA, "run"]
    assert all(second[name] == first[name] for name in ("town", *QE))
    assert [second[name]["settings"]["rerank_top"] for name in (*QE, *DBA)] == [100, 100, 7, 7]
    assert second["run"]["config"]["rerank"] == "dba"
    assert evaluate("--config.rerank=alpha_qe", "--config.rerank_top=9")[0] == 0
    third = _report(tmp_path / "run")
    assert [third[name]["settings"]["rerank_top"] for name in (*QE, *DBA)] == [9, 9, 7, 7]
    assert evaluate()[0] == 0
    assert list(_report(tmp_path / "run")) == ["town", *QE, *DBA, "run"]


@pytest.mark.parametrize("change", ["photograph", "ground truth"])
def test_a_re_ranking_of_something_else_is_not_kept(evaluate, copied, tmp_path, change):
    assert evaluate(copied, "--config.rerank=alpha_qe")[0] == 0
    folder = tmp_path / "datasets" / "town"
    if change == "photograph":
        (folder / "jpg" / "b.jpg").write_bytes(encoded(picture(40, 48, seed=77)))
    else:
        truth = pickle.loads((folder / "gnd_town.pkl").read_bytes())
        truth["gnd"][1]["junk"] = []
        (folder / "gnd_town.pkl").write_bytes(pickle.dumps(truth))
    assert evaluate(copied, "--config.rerank=dba")[0] == 0
    assert list(_report(tmp_path / "run")) == ["town", *DBA, "run"]


@pytest.mark.parametrize("content", ["[]", "{}", '{"run": 3}', "text", None])
def test_an_earlier_report_that_is_broken_shows_before_the_work(evaluate, tmp_path, content):
    path = tmp_path / "run" / "report.json"
    if content is None:
        assert evaluate("--config.rerank=alpha_qe")[0] == 0
        content = path.read_text()
        content = content.replace('"mp@1": 1.0', '"mp@1": 0.0', 1)
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    code, _, errors = evaluate("--config.rerank=dba", "--config.scales=(0.5,)")
    assert code == 2 and f"error: {path} " in errors and "made with" not in errors
    assert path.read_text() == content


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_a_database_in_fewer_bits_is_ranked_and_re_ranked(evaluate, places, tmp_path, storage):
    whole, run = tmp_path / "whole", tmp_path / "run"
    flags = (f"--config.storage={storage}", "--config.rerank=dba,alpha_qe")
    assert evaluate(workdir=whole)[0] == evaluate(*flags)[0] == 0
    (queries, database), (same, stored) = (
        [np.load(folder / f"{part}.npy") for part in ("query", "database")]
        for folder in (workdir / "descriptors" / "town" for workdir in (whole, run))
    )
    np.testing.assert_array_equal(same, queries)
    np.testing.assert_array_equal(stored, quantise(database, storage))
    truth = load_dataset(places, "town").ground_truth
    report = _report(run)
    assert report["town"] == evaluate_descriptors(truth, queries, [stored]).to_json()
    assert report["town+dba,alpha_qe:blind"]["medium"]["queries"] == 2
    code, _, errors = evaluate()
    assert code == 2 and f"made with storage '{storage}', now it is 'float32'" in errors


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config.rerank=magic"], "no re-ranking method 'magic'; choose from"),
        (["--config.rerank=dba(k=3)"], "dba cannot take 'k=3'; its settings: neighbours (an in"),
        (["--config.rerank=pairs"], "config.pair_scores is empty"),
        (["--config.rerank=gv", "--config.local_features=none"], "which is no folder"),
        (["--config.rerank=gv", "--config.local_features=n.h5"], "cannot read the local features"),
        (["--config.rerank=geometric", "--config.local_features=."], "use gv"),
        (["--config.rerank=geometric(top=0)"], "top is 0; it has to be an integer from 1"),
        (["--config.rerank=cvnet"], "config.cvnet_weights is empty; name the weights folder"),
        (
            ["--config.rerank=cvnet", "--config.cvnet_weights={places}/weights"],
            "these weights of tiny_baseline have no reranker; convert a checkpoint that has",
        ),
        (
            ["--config.rerank=lightglue", "--config.lightglue_weights={places}/cvnet"],
            "gives no keypoints features of images, but global and local and dense; choose weights",
        ),
        (
            ["--config.rerank=lightglue(keypoints=2000)"],
            "keypoints is 2000; it has to be",
        ),
        (["--config.storage=int4"], "has to be one of float32, float16, bfloat16, int8"),
        (["--config.rerank_top=0"], "config.rerank_top is 0; it has to be an integer from 1 on"),
    ],
)
def test_a_mistake_shows_before_the_work(evaluate, places, tmp_path, flags, message):
    code, _, errors = evaluate(*(flag.format(places=places) for flag in flags))
    assert code == 2
    assert message in errors
    assert not (tmp_path / "run" / "descriptors").exists()


def test_the_pairs_are_saved(tmp_path):
    path = tmp_path / "rerank" / "a" / "cvnet.csv"
    rng = np.random.default_rng(0)
    pairs = np.argwhere(np.ones((5, 3), bool))
    scored = ScoredPairs(pairs, *rng.random((2, 15), np.float32))
    save_pairs(path, scored)
    head, *lines = path.read_text().splitlines()
    assert head == "query,item,global,score" and len(lines) == 15
    table = np.array([line.split(",") for line in lines], np.float64)
    np.testing.assert_array_equal(table[:, :2], pairs)
    np.testing.assert_array_equal(table[:, 2].astype(np.float32), scored.global_scores)
    np.testing.assert_array_equal(table[:, 3].astype(np.float32), scored.scores)
