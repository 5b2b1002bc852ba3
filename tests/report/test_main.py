import json
import pathlib
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from senet_jax.metrics.saved import REPORT
from senet_jax.report import __main__ as report_module
from senet_jax.report.__main__ import LEARNING_CURVE, RANKED_LISTS, main
from senet_jax.report.html_report import PAGE
from senet_jax.report.ranked import QUERY, TILE

# ml_collections loads a config file in an old way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning"),
    pytest.mark.usefixtures("nothing_is_computed"),
]

ROOT = pathlib.Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "metrics" / "fixtures"


def _drawn(run_command_here, workdir, monkeypatch, *flags):
    """The examples that are drawn."""
    seen = []
    draw = report_module._draw_lists
    monkeypatch.setattr(
        report_module, "_draw_lists", lambda shown: seen.append(shown) or draw(shown)
    )
    done = run_command_here(main, workdir, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout, seen[0]


def test_two_pictures_stand_beside_a_training_s_report(workdir, run_command_here, monkeypatch):
    said, shown = _drawn(run_command_here, workdir, monkeypatch)
    curve, lists = (workdir / LEARNING_CURVE, workdir / RANKED_LISTS)
    assert said == f"wrote {workdir / PAGE}, {curve}, {lists}\n"
    assert cv2.imread(str(curve)).shape == (480, 1280, 3)
    height, width, _ = cv2.imread(str(lists)).shape
    assert height > 2 * QUERY and width > QUERY + 3 * TILE
    assert [each.label for each in shown.lists] == ["demo", "untrained"]
    report = json.loads((workdir / REPORT).read_text())
    for each, name in zip(shown.lists, ("town", "town_untrained"), strict=True):
        aps = [query["ap"] for query in report[name]["medium"]["per_query"]]
        assert each.average_precisions.tolist() == aps
        np.testing.assert_array_equal(
            each.found.ranked.ranks, np.load(workdir / f"ranks/{name}.npy")
        )


def test_the_search_of_an_evaluation_and_its_re_rankings_stand_side_by_side(
    evaluated, run_command_here, monkeypatch
):
    said, shown = _drawn(run_command_here, evaluated, monkeypatch)
    assert said == f"wrote {evaluated / PAGE}, {evaluated / RANKED_LISTS}\n"
    assert [each.label for each in shown.lists] == ["search", "dba,alpha_qe", "aqe"]
    assert len(shown.database) == 5 and shown.queries[0].box == (2, 3, 40, 30)
    height, width, _ = cv2.imread(str(evaluated / RANKED_LISTS)).shape
    assert height > 2 * 3 * TILE and width > QUERY + 5 * TILE


def test_as_a_command(evaluated):
    for file in (PAGE, RANKED_LISTS):
        (evaluated / file).unlink(missing_ok=True)
    command = [sys.executable, "-m", "senet_jax.report", str(evaluated), "--dataset=town"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {evaluated / PAGE}, {evaluated / RANKED_LISTS}\n"
    assert (evaluated / RANKED_LISTS).is_file() and (evaluated / PAGE).is_file()


def test_the_demo_says_what_it_leaves():
    lines = (ROOT / "Makefile").read_text().splitlines()
    said = [line for line in lines if line.startswith('\t@echo "')]
    left = f"{REPORT}, {PAGE}, {LEARNING_CURVE}, {RANKED_LISTS} and the weights"
    assert any(left in line for line in said)
    commands = [line for line in lines if "runs/demo" in line and line.startswith("\t$(RUN) ")]
    modules = [line.split()[1] for line in commands]
    trained = ["senet_jax.main"] * 2
    assert modules == ["senet_jax.data.prepare", *trained, "senet_jax.report"]
    assert commands[2].endswith(" --config.model=demo_baseline --workdir=runs/demo/baseline")
    assert commands[3].endswith(" runs/demo --beside=runs/demo/baseline")


@pytest.mark.parametrize("file", [REPORT, "metrics.jsonl", "ranks/town.npy", "scores/town.npy"])
def test_a_workdir_in_which_something_is_missing_is_one_line(run_command_here, workdir, file):
    (workdir / file).unlink()
    line = _refused(run_command_here(main, workdir))
    expected = f"{workdir} has no {file}, so no training or evaluation ended there"
    assert str(workdir / file) in line or expected in line
    assert not list(workdir.glob("*.png"))


def test_a_workdir_that_is_not_there(run_command_here, tmp_path):
    assert "nowhere has no report.json" in _refused(run_command_here(main, tmp_path / "nowhere"))


def test_a_broken_line_of_metrics(run_command_here, workdir):
    (workdir / "metrics.jsonl").write_text('{"step": 0}\n{"step"')
    assert "metrics.jsonl holds a broken line" in _refused(run_command_here(main, workdir))


def test_no_metrics(run_command_here, workdir):
    (workdir / "metrics.jsonl").write_text("")
    assert "metrics.jsonl holds no line" in _refused(run_command_here(main, workdir))


def test_lists_that_the_report_does_not_know(run_command_here, workdir):
    ranks = np.load(workdir / "ranks" / "town.npy")
    np.save(workdir / "ranks" / "town.npy", ranks[:, ::-1])
    line = _refused(run_command_here(main, workdir))
    assert "ranks/town.npy does not match its checksum in report.json; run the command" in line


def test_a_dataset_that_was_not_evaluated(run_command_here, workdir):
    line = _refused(run_command_here(main, workdir, "--dataset=village"))
    assert "no scores of 'village', but of 'town', 'town_untrained'; choose" in line


def test_another_dataset_than_the_evaluated_one(run_command_here, evaluated, world, tmp_path):
    copied = shutil.copytree(evaluated, tmp_path / "run")
    shutil.copytree(world / "town", tmp_path / "town")
    shutil.copytree(world / "noise", tmp_path / "noise")
    (tmp_path / "noise" / "jpg" / "f.jpg").write_bytes(b"one more")
    report = json.loads((copied / REPORT).read_text())
    report["run"]["config"]["data_root"] = str(tmp_path)
    (copied / REPORT).write_text(json.dumps(report))
    line = _refused(run_command_here(main, copied))
    assert "the photographs of noise database are not those that were evaluated" in line


@pytest.mark.parametrize("when", ["never", "only after"])
def test_without_an_evaluation_the_loss_is_drawn(run_command_here, workdir, when):
    report = json.loads((workdir / REPORT).read_text())
    del report["town_untrained"], report["run"]["results_crc32"]
    if when == "never":
        del report["town"]
        (workdir / "metrics.jsonl").write_text('{"step": 2, "train/loss": 3.0}\n')
    (workdir / REPORT).write_text(json.dumps(report))
    done = run_command_here(main, workdir)
    assert done.returncode == 0, done.stderr
    curve = workdir / LEARNING_CURVE
    assert done.stdout == (
        f"wrote {workdir / PAGE}, {curve}, "
        "but no ranked lists: no dataset was evaluated before and after\n"
    )
    assert [path.name for path in workdir.glob("*.png")] == [curve.name]
    assert cv2.imread(str(curve)).shape == (480, 1280, 3)


@pytest.mark.parametrize("config", [{}, {"job": "train"}, {"job": "train", "evaluation": {}}])
def test_a_config_of_another_version_is_one_line(run_command_here, workdir, config):
    report = json.loads((workdir / REPORT).read_text())
    report["run"]["config"] = config
    (workdir / REPORT).write_text(json.dumps(report))
    line = _refused(run_command_here(main, workdir, "--dataset=town"))
    assert "the config in report.json is none of this version of senet_jax" in line


def _of_the_version_before(tmp_path, name):
    """A workdir with the report that it wrote, and the line that it wrote of a training."""
    (tmp_path / "run").mkdir()
    shutil.copyfile(FIXTURES / f"{name}.json", tmp_path / "run" / REPORT)
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 2, "train/loss": 3.0}\n')
    return tmp_path / "run"


def test_a_training_of_the_version_before_has_a_curve(run_command_here, tmp_path):
    workdir = _of_the_version_before(tmp_path, "trained")
    done = run_command_here(main, workdir)
    assert done.returncode == 0, done.stderr
    curve = workdir / LEARNING_CURVE
    written = f"{workdir / PAGE}, {curve}"
    assert done.stdout == f"wrote {written}, but no ranked lists: the training kept none\n"
    assert curve.is_file()
    line = _refused(run_command_here(main, workdir, "--dataset=landmarks"))
    assert "tells of no ranked lists of 'landmarks', for an earlier version" in line


def test_an_evaluation_of_the_version_before_has_no_lists(run_command_here, tmp_path):
    line = _refused(run_command_here(main, _of_the_version_before(tmp_path, "evaluated")))
    assert "tells of no ranked lists of 'town', for an earlier version" in line


def test_a_report_without_a_run(run_command_here, tmp_path):
    line = _refused(run_command_here(main, _of_the_version_before(tmp_path, "score")))
    assert "report.json tells of no run; give the workdir of a training or" in line


def _refused(done):
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    return done.stderr
