import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.features import described_list
from senet_jax.main import main
from senet_jax.score.__main__ import main as score_main
from senet_jax.system import runtime
from senet_jax.weights import load_weights, save_weights
from tests.data.pictures import MINIPHOTOS, encoded, needs_miniphotos, picture, write_dataset
from tests.oracles import pyramid, scorer
from tests.oracles.lively_twin import lively_twin, lively_weights
from tests.tolerances import SCORE

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

REPOSITORY = pathlib.Path(__file__).parents[2]
MODEL = "tiny_baseline"
SHAPE = (40, 48)
WHOLE = (0, 0, 48, 40)
BOTH = ("--config.datasets=town,broken", "--config.distractors=noise")
MEASURES = ["ap", "mp@1", "mp@5", "mp@10"]


def _write_pictures(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        content = encoded(picture(*SHAPE, seed=sum(map(ord, name))))
        (folder / f"{name}.jpg").write_bytes(content)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Weights, two datasets and distractors; `broken` and `noise` have an unreadable image."""
    root = tmp_path_factory.mktemp("evaluate")
    for name in ("town", "broken"):
        write_dataset(root / "datasets", name, boxes=[WHOLE, WHOLE])
        _write_pictures(root / "datasets" / name / "jpg", "abcqr")
    _write_pictures(root / "datasets" / "noise" / "jpg", ("d0", "d1", "d2"))
    for file in ("broken/jpg/c.jpg", "noise/jpg/d1.jpg"):
        (root / "datasets" / file).write_bytes(b"this is no picture")
    _write_pictures(root / "datasets" / "listed" / "jpg", ("d0", "d1", "d2"))
    (root / "datasets" / "listed" / "listed.txt").write_text("d2.jpg\nd0.jpg\n")
    save_weights(root / "weights", lively_weights(MODEL))
    return root


def _arguments(places, workdir, *flags, model=MODEL):
    usual = (
        f"--config.weights={places / 'weights'}",
        f"--config.data_root={places / 'datasets'}",
        "--config.datasets=town",
        "--config.scales=(0.7071, 1.0)",
    )
    given = {flag.partition("=")[0] for flag in flags}
    return [
        "main",
        f"--config={REPOSITORY}/configs/evaluate.py:{model}",
        f"--workdir={workdir}",
        *(flag for flag in usual if flag.partition("=")[0] not in given),
        *flags,
    ]


@pytest.fixture
def evaluate(places, tmp_path, run_command_here, monkeypatch):
    """Runs the job in this process."""

    # The memory of this process stays as it is.
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)

    def run(*flags, workdir=tmp_path / "run", model=MODEL):
        return run_command_here(lambda: main(_arguments(places, workdir, *flags, model=model)))

    return run


def _refused(done):
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    return done.stderr.splitlines()[-1]


def _report(workdir):
    def no_constant(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads((workdir / "report.json").read_text(), parse_constant=no_constant)


@pytest.fixture(scope="module")
def done(places, tmp_path_factory):
    """One run as a command, on both datasets with distractors; its workdir is not to be changed."""
    workdir = tmp_path_factory.mktemp("done") / "run"
    command = [sys.executable, "-m", "senet_jax.main", *_arguments(places, workdir, *BOTH)[1:]]
    process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return workdir, process.stdout


@pytest.fixture
def finished(done, tmp_path):
    """A copy of that workdir."""
    return shutil.copytree(done[0], tmp_path / "run")


def test_leaves_what_the_contract_says(done):
    workdir, printed = done
    files = sorted(str(p.relative_to(workdir)) for p in workdir.rglob("*") if p.is_file())
    parts = [
        *("broken/database", "broken/query", "noise/database"),
        *("town/database", "town/query"),
    ]
    assert files == [
        ".lock",
        *(f"descriptors/{part}.{suffix}" for part in parts for suffix in ("json", "npy")),
        *(f"ranks/{name}.npy" for name in ("broken", "town")),
        "report.html",
        "report.json",
        *(f"scores/{name}.npy" for name in ("broken", "town")),
        "skipped.txt",
    ]
    heading = "town, tiny_baseline, with noise\n1 of 6 images are UNREADABLE and rank last\n"
    assert heading in printed
    assert (
        "noise database: 2 images at 2 scales" in printed and "; 1 more are UNREADABLE\n" in printed
    )
    assert printed.endswith(
        f"wrote {workdir / 'report.json'}; 2 unreadable images rank last, "
        f"see {workdir / 'skipped.txt'}\nwrote {workdir / 'report.html'}\n"
    )


def test_report_is_that_of_the_contract(done, places):
    report = _report(done[0])
    assert list(report) == ["town", "broken", "run"]
    for name in ("town", "broken"):
        assert list(report[name]) == ["easy", "medium", "hard"]
        for scores in report[name].values():
            assert list(scores) == ["map", "map_ci95", *MEASURES[1:], "queries", "per_query"]
            keys = ["query", "name", *MEASURES]
            assert [list(query) for query in scores["per_query"]] == [keys] * 2
            assert [query["query"] for query in scores["per_query"]] == [0, 1]
            scored = [query for query in scores["per_query"] if query["ap"] is not None]
            assert scores["queries"] == len(scored)
            for measure in MEASURES:
                values = [query[measure] for query in scored]
                assert all(0 <= value <= 1 for value in values)
                mean = scores["map" if measure == "ap" else measure]
                assert mean == pytest.approx(np.mean(values), abs=1e-12)
        # The second query has no hard item to find.
        assert report[name]["hard"]["queries"] == 1
        assert {report[name]["hard"]["per_query"][1][measure] for measure in MEASURES} == {None}

    run = report["run"]
    assert {"config", "weights_sha256", "counts", "skipped", "seconds", "versions"} <= set(run)
    assert run["config"]["scales"] == [0.7071, 1.0]
    assert run["config"]["model"] == MODEL
    assert run["weights_sha256"] == load_weights(places / "weights").sha256
    counts = {"queries": 2, "database": 3, "distractors": 3}
    assert run["counts"] == {"town": {**counts, "skipped": 1}, "broken": {**counts, "skipped": 2}}
    assert run["skipped"] == 2
    assert run["random_weights"] is False
    assert set(run["versions"]) >= {"senet_jax", "jax", "flax", "numpy"}
    assert run["seconds"]["total"] >= run["seconds"]["town database"] > 0


def test_a_broken_image_keeps_its_row_and_is_listed(done, places):
    workdir, _ = done
    for part, rows in (("broken", [True, True, False]), ("noise", [True, False, True])):
        descriptors = np.load(workdir / "descriptors" / part / "database.npy")
        assert descriptors.any(axis=1).tolist() == rows
    lines = (workdir / "skipped.txt").read_text().splitlines()
    assert len(lines) == 2
    for line, file in zip(sorted(lines), ("broken/jpg/c.jpg", "noise/jpg/d1.jpg"), strict=True):
        path = places / "datasets" / file
        assert line.startswith(f"cannot read the image {path}: its 18 bytes are no image")


@pytest.mark.parametrize(("name", "unranked"), [("town", (4,)), ("broken", (2, 4))])
def test_scores_are_those_of_the_ranking_with_broken_images_last(done, places, name, unranked):
    workdir, _ = done
    queries, database, distractors = (
        np.load(workdir / "descriptors" / part).astype(np.float64)
        for part in (f"{name}/query.npy", f"{name}/database.npy", "noise/database.npy")
    )
    similarities = queries @ np.concatenate([database, distractors]).T
    expected = scorer.scores_of_benchmark(
        [scorer.ranking(row, unranked) for row in similarities],
        load_dataset(places / "datasets", name).ground_truth,
    )
    report = _report(workdir)[name]
    for protocol, scores in expected.items():
        for query, of_query in zip(report[protocol]["per_query"], scores, strict=True):
            values = [query[measure] for measure in MEASURES]
            assert values == pytest.approx(of_query or [None] * 4, abs=SCORE)


def test_descriptors_are_those_of_the_definition(done, places):
    dataset = load_dataset(places / "datasets", "town")
    for part, photographs in (("query", dataset.queries), ("database", dataset.images)):
        ours = np.load(done[0] / "descriptors" / "town" / f"{part}.npy")
        pyramid.assert_as_near_as_the_twin(ours, lively_twin(MODEL), photographs, (0.7071, 1.0))


def test_score_gives_the_same_numbers(evaluate, finished, places, tmp_path, run_command_here):
    assert evaluate("--config.distractors=listed").returncode == 0
    descriptors = finished / "descriptors"
    scored = run_command_here(
        score_main,
        places / "datasets" / "town" / "gnd_town.pkl",
        f"--query={descriptors / 'town' / 'query.npy'}",
        f"--database={descriptors / 'town' / 'database.npy'}",
        f"--distractors={descriptors / 'listed' / 'database.npy'}",
        f"--json={tmp_path / 'scores.json'}",
    )
    assert scored.returncode == 0
    assert json.loads((tmp_path / "scores.json").read_text()) == _report(finished)["town"]


def test_a_second_run_takes_up_what_is_there(evaluate, finished, monkeypatch):
    before = _report(finished)
    times = {path: path.stat().st_mtime_ns for path in (finished / "descriptors").rglob("*.*")}

    def described_again(*_, **__):
        raise AssertionError("described again")

    monkeypatch.setattr(described_list, "plan_job", described_again)
    assert evaluate(*BOTH).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    after = _report(finished)
    for report in (before, after):
        del report["run"]["seconds"]
    assert after == before
    assert "c.jpg" in (finished / "skipped.txt").read_text()


def test_a_part_that_is_not_whole_is_described_again(evaluate, finished):
    whole = np.load(finished / "descriptors" / "town" / "query.npy")
    (finished / "descriptors" / "town" / "query.json").unlink()
    np.save(finished / "descriptors" / "town" / "query.npy", whole[:1])
    assert evaluate().returncode == 0
    np.testing.assert_array_equal(np.load(finished / "descriptors" / "town" / "query.npy"), whole)


@pytest.mark.parametrize(
    ("key", "model", "mean"),
    [("model", "tiny_dot", (0.406, 0.456, 0.485)), ("preprocessing", MODEL, (0.5, 0.5, 0.5))],
)
def test_the_same_tensors_read_in_another_way_are_other_weights(
    evaluate, finished, tmp_path, key, model, mean
):
    weights = lively_weights(MODEL)
    weights = dataclasses.replace(
        weights,
        architecture=dataclasses.replace(weights.architecture, name=model),
        preprocessing=dataclasses.replace(weights.preprocessing, mean=mean),
    )
    save_weights(tmp_path / "weights", weights)
    done = evaluate(f"--config.weights={tmp_path / 'weights'}", model=model)
    assert f"was made with {key} " in _refused(done)


@pytest.mark.parametrize("workdir", ["run", "fresh"])  # Described already, or not yet.
def test_strict_stops_at_a_broken_image(evaluate, finished, tmp_path, workdir):
    (finished / "report.json").unlink()
    flags = ("--config.datasets=broken", "--config.strict")
    assert "broken/jpg/c.jpg" in _refused(evaluate(*flags, workdir=tmp_path / workdir))
    flags = ("--config.distractors=noise", "--config.strict")
    assert "noise/jpg/d1.jpg" in _refused(evaluate(*flags, workdir=tmp_path / workdir))
    assert not (tmp_path / workdir / "report.json").exists()


def test_distractors_by_a_list(evaluate, finished):
    assert evaluate("--config.distractors=listed").returncode == 0
    database = np.load(finished / "descriptors" / "listed" / "database.npy")
    noise = np.load(finished / "descriptors" / "noise" / "database.npy")
    assert len(database) == 2
    np.testing.assert_array_equal(database, noise[[2, 0]])


def _dataset(places, **options):
    """A dataset of its own beside the others, which the test may break."""
    name = f"own{len(list((places / 'datasets').iterdir()))}"
    write_dataset(places / "datasets", name, **options)
    _write_pictures(places / "datasets" / name / "jpg", "abcqr")
    return name, places / "datasets" / name / "jpg"


def test_an_unreadable_query_stops_the_job(evaluate, places, tmp_path):
    name, folder = _dataset(places, boxes=[WHOLE, WHOLE])
    (folder / "r.jpg").unlink()
    assert f"{folder / 'r.jpg'}: No such file" in _refused(evaluate(f"--config.datasets={name}"))
    assert not (tmp_path / "run" / "report.json").exists()


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((5, 5, 5, 20), "empty"),
        ((20, 5, 5, 20), "inverted"),
        ((-3, 5, 20, 20), "negative"),
        ((0, 40, 20, 50), "outside"),
    ],
)
def test_a_wrong_box_stops_the_job(evaluate, places, box, fault):
    name, folder = _dataset(places, boxes=[WHOLE, box])
    line = _refused(evaluate(f"--config.datasets={name}"))
    assert f"{folder / 'r.jpg'}: the box" in line and f"is {fault}, the image is 48x40" in line


def test_queries_without_boxes(evaluate, places, tmp_path):
    name, _ = _dataset(places, boxes=None, suffix=".json")
    line = _refused(evaluate(f"--config.datasets={name}"))
    assert f"{name} has no boxes" in line and "--config.crop_queries=False" in line
    done = evaluate(f"--config.datasets={name}", "--config.crop_queries=False")
    assert done.returncode == 0 and "queries NOT cropped" in done.stdout
    assert _report(tmp_path / "run")["run"]["config"]["crop_queries"] is False


def test_boxes_that_are_not_wanted(evaluate, finished, places):
    name, _ = _dataset(places, boxes=[(0, 0, 24, 40), (0, 0, 24, 40)])
    evaluate(f"--config.datasets={name}", "--config.crop_queries=False")
    np.testing.assert_array_equal(
        np.load(finished / "descriptors" / name / "query.npy"),
        np.load(finished / "descriptors" / "town" / "query.npy"),
    )
    # The cropped queries are other descriptors.
    assert "was made with images" in _refused(evaluate(f"--config.datasets={name}"))


def test_random_weights_are_marked_in_the_report(evaluate, tmp_path):
    source = {"random": True, "seed": 3}
    save_weights(tmp_path / "random", dataclasses.replace(lively_weights(MODEL), source=source))
    done = evaluate(f"--config.weights={tmp_path / 'random'}")
    assert "RANDOM WEIGHTS" in done.stdout
    run = _report(tmp_path / "run")["run"]
    assert run["random_weights"] is True
    assert run["weights"] == {"model": MODEL, **source}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.datasets=village", "no folder"),
        ("--config.datasets=town,town", "names 'town' more than once"),
        ("--config.datasets=noise", "no gnd_noise.pkl or gnd_noise.json"),
        ("--config.distractors=village", "no folder"),
        ("--config.distractors=town", "named as its own distractors"),
        ("--config.data_root=nowhere", "no folder nowhere"),
        ("--config.weights=nowhere", "no weights folder at nowhere"),
    ],
)
def test_what_is_missing_is_one_line(evaluate, flag, message):
    assert message in _refused(evaluate(flag))


def test_weights_of_another_network(evaluate):
    line = _refused(evaluate(model="r50"))
    assert "holds tiny_baseline, the config asks for r50" in line
    assert "use configs/evaluate.py:tiny_baseline" in line


@pytest.mark.parametrize("place", ["", "descriptors", "report.json"])
def test_a_workdir_that_cannot_be_written(evaluate, tmp_path, place):
    blocked = tmp_path / "run" / place
    if place == "report.json":
        blocked.mkdir(parents=True)
    else:
        blocked.parent.mkdir(parents=True, exist_ok=True)
        blocked.write_text("mine")
    assert f"cannot {'write' if place else 'lock'} {blocked}" in _refused(evaluate())
    assert place == "report.json" or blocked.read_text() == "mine"


@pytest.mark.slow
@needs_miniphotos
def test_on_photographs(evaluate, tmp_path):
    done = evaluate(
        f"--config.data_root={MINIPHOTOS.parent}",
        f"--config.datasets={MINIPHOTOS.name}",
        "--config.scales=(0.25,)",
    )
    assert done.returncode == 0, done.stderr
    counts = {"queries": 5, "database": 38, "distractors": 0, "skipped": 0}
    assert _report(tmp_path / "run")["run"]["counts"] == {"miniphotos": counts}
    dataset = load_dataset(MINIPHOTOS.parent, MINIPHOTOS.name)
    for part, photographs in (("query", dataset.queries), ("database", dataset.images[:5])):
        ours = np.load(tmp_path / "run" / "descriptors" / "miniphotos" / f"{part}.npy")[:5]
        pyramid.assert_as_near_as_the_twin(ours, lively_twin(MODEL), photographs, (0.25,))
