import json
import pathlib
import shutil

import cv2
import jax
import numpy as np
import pytest

from configs.demo import get_config
from senet_jax.data.revisitop import load_dataset
from senet_jax.features.extract import extract
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.report.__main__ import main
from senet_jax.report.examples import find_examples
from senet_jax.system.files import sha256_of_file
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.training.evaluator import Evaluator
from senet_jax.training.export import export, setup_of
from senet_jax.weights import TENSORS, save_weights
from tests.data.pictures import encoded, picture, write_dataset

MODEL = "tiny_baseline"
METRICS = [
    {"step": 0, "eval/town/medium/map": 0.1},
    {"step": 2, "train/loss": 3.0},
    {"step": 2, "eval/town/medium/map": 0.2},
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a training that ended."""
    use_compilation_cache()
    folder = tmp_path_factory.mktemp("report")
    write_dataset(folder, "town", boxes=[(2, 3, 40, 30), (0, 0, 48, 40)])
    for seed, name in enumerate("abcqr"):
        (folder / "town" / "jpg" / f"{name}.jpg").write_bytes(encoded(picture(40, 48, seed)))
    settings = json.loads(get_config().to_json_best_effort())
    settings["model"] = MODEL
    settings["evaluation"] |= {"data_root": str(folder), "datasets": "town"}
    settings["data_found"] = {"sha256": "0", "classes": 3, "steps_per_epoch": 1.0}
    setup = setup_of(settings, "settings")
    workdir = folder / "run"
    untrained, rng = setup.initial_variables(), np.random.default_rng(0)
    trained = jax.tree.map(lambda leaf: leaf * rng.uniform(0.5, 1.5, leaf.shape), untrained)
    save_weights(workdir / "weights", export(setup, trained, settings))
    evaluator = Evaluator(setup.architecture, [load_dataset(folder, "town")], (1.0,))
    report = {
        "town": evaluator.run(trained)["town"].to_json(),
        "town_untrained": evaluator.run(untrained)["town"].to_json(),
        "run": {"weights_sha256": sha256_of_file(workdir / "weights" / TENSORS)},
    }
    (workdir / "report.json").write_text(json.dumps(report))
    (workdir / "config.json").write_text(json.dumps(settings))
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in METRICS))
    return workdir


@pytest.fixture
def workdir(finished, tmp_path):
    """A copy that the test may break."""
    return pathlib.Path(shutil.copytree(finished, tmp_path / "run"))


def test_two_pictures_stand_beside_the_report(run_command_here, workdir):
    done = run_command_here(main, workdir)
    assert done.returncode == 0, done.stderr
    curve, lists = (workdir / "learning_curve.png", workdir / "ranked_lists.png")
    assert done.stdout == f"wrote {curve} and {lists}\n"
    assert cv2.imread(str(curve)).shape == (480, 1280, 3)
    height, width, _ = cv2.imread(str(lists)).shape
    assert height > 3 * 234 and width > 234 + 3 * 112


def test_the_networks_are_those_of_the_report(run_command_here, workdir, monkeypatch):
    """Either network's scores, computed anew, are the scores that stand in the report for it."""
    seen = {}

    def find(dataset, trained, untrained, scales):
        seen.update(town=trained, town_untrained=untrained)
        return find_examples(dataset, trained, untrained, scales)

    monkeypatch.setattr("senet_jax.report.examples.find_examples", find)
    assert run_command_here(main, workdir).returncode == 0
    report = json.loads((workdir / "report.json").read_text())
    settings = json.loads((workdir / "config.json").read_text())
    dataset = load_dataset(settings["evaluation"]["data_root"], "town")
    descriptors = []
    for name, network in seen.items():
        queries, database = (
            extract(network.describer, photographs, (1.0,), label="")[0]
            for photographs in (dataset.queries, dataset.images)
        )
        descriptors.append(database)
        again = evaluate_descriptors(dataset.ground_truth, queries, [database])
        assert again.to_json() == report[name]
        aps = [query["ap"] for query in report[name]["medium"]["per_query"]]
        assert network.average_precisions.tolist() == aps
    assert np.abs(descriptors[0] - descriptors[1]).max() > 0.1


@pytest.mark.parametrize("file", ["report.json", "config.json", "metrics.jsonl", "weights"])
def test_a_workdir_without_a_finished_training_is_one_line(run_command_here, workdir, file):
    path = workdir / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    line = _refused(run_command_here(main, workdir))
    assert str(path) in line or f"{workdir} has no {file}, so no training ended there" in line
    assert not list(workdir.glob("*.png"))


def test_a_workdir_that_is_not_there(run_command_here, tmp_path):
    assert "nowhere has no config.json" in _refused(run_command_here(main, tmp_path / "nowhere"))


def test_a_broken_line_of_metrics(run_command_here, workdir):
    (workdir / "metrics.jsonl").write_text('{"step": 0}\n{"step"')
    assert "metrics.jsonl holds a broken line" in _refused(run_command_here(main, workdir))


def test_no_metrics(run_command_here, workdir):
    (workdir / "metrics.jsonl").write_text("")
    assert "metrics.jsonl holds no line" in _refused(run_command_here(main, workdir))


def test_weights_of_another_training(run_command_here, workdir):
    report = json.loads((workdir / "report.json").read_text())
    report["run"]["weights_sha256"] = "0"
    (workdir / "report.json").write_text(json.dumps(report))
    assert "holds other weights than report.json" in _refused(run_command_here(main, workdir))


def test_a_dataset_that_was_not_evaluated(run_command_here, workdir):
    settings = json.loads((workdir / "config.json").read_text())
    root = pathlib.Path(settings["evaluation"]["data_root"])
    if not (root / "village").exists():
        shutil.copytree(root / "town", root / "village")
        (root / "village" / "gnd_town.pkl").rename(root / "village" / "gnd_village.pkl")
    line = _refused(run_command_here(main, workdir, "--dataset=village"))
    assert "no scores of village, but of town, town_untrained" in line


@pytest.mark.parametrize("when", ["never", "only after"])
def test_without_an_evaluation_the_loss_is_drawn(run_command_here, workdir, when):
    settings = json.loads((workdir / "config.json").read_text())
    report = json.loads((workdir / "report.json").read_text())
    del report["town_untrained"]
    if when == "never":
        del report["town"]
        settings["evaluation"]["datasets"] = ""
        (workdir / "metrics.jsonl").write_text('{"step": 2, "train/loss": 3.0}\n')
    (workdir / "config.json").write_text(json.dumps(settings))
    (workdir / "report.json").write_text(json.dumps(report))
    done = run_command_here(main, workdir)
    assert done.returncode == 0, done.stderr
    curve = workdir / "learning_curve.png"
    assert done.stdout == (
        f"wrote {curve}, but no ranked lists: no dataset was evaluated before and after\n"
    )
    assert [path.name for path in workdir.glob("*.png")] == [curve.name]
    assert cv2.imread(str(curve)).shape == (480, 1280, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{}", "holds no settings of a training by this version"),
        ('{"job": "train", "trunk": ""}', "holds no settings of a training by this version"),
        ("[]", "is broken: it is no JSON object"),
    ],
)
def test_settings_of_another_version_are_one_line(run_command_here, workdir, settings, message):
    (workdir / "config.json").write_text(settings)
    line = _refused(run_command_here(main, workdir))
    assert f"{workdir / 'config.json'} {message}" in line


def test_weights_that_are_not_what_it_started_from(run_command_here, workdir):
    settings = json.loads((workdir / "config.json").read_text())
    settings |= {"start": str(workdir / "weights"), "start_found": {"sha256": "0"}}
    (workdir / "config.json").write_text(json.dumps(settings))
    assert "other weights than the training was begun with" in _refused(
        run_command_here(main, workdir)
    )


def _refused(done):
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    return done.stderr
