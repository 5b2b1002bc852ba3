import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from senet_jax.data.synthetic_landmarks import (
    DATASETS,
    NAME,
    TINY,
    training_source,
    write_distractors,
    write_evaluation,
)
from senet_jax.study import __main__ as study
from senet_jax.study.comparisons import entries_of
from senet_jax.study.plan import (
    AMONG_DISTRACTORS,
    COMPARISONS,
    LANDMARK_COMPARISONS,
    TRUNK_ALONE,
    variants_of,
)
from senet_jax.study.results import among, read_results
from senet_jax.system.errors import UserError
from tests.processes import ROOT, started

from .examples import trainings

# The settings of the study at the size of the world for tests; the smallest network for all.
CHANGES = {
    "model": "demo_baseline",
    "batch_size": 12,
    "epochs": 4.0,
    "log_every_steps": 1,
    "data.side": 32,
    "data.group_classes": 3,
    "data.workers": 0,
    "optimizer.warmup_epochs": 1.0,
    "losses.queue_length": 24,
    "checkpoint.every_steps": 2,
    "reranker.epochs": 0.1,
    "reranker.data.side": 32,
    "reranker.data.workers": 0,
    "reranker.log_every_steps": 1,
    "reranker.checkpoint.every_steps": 2,
}
KILLS, DISTRACTORS = 2, 6


def test_a_report_of_kept_results(tmp_path, run_command_here):
    results = trainings({"baseline", "dot", "channel_wise"})
    results.write(tmp_path / "gpu.json")
    files = [str(tmp_path / "gpu.json")]
    target = tmp_path / "docs" / "RESULTS.md"
    done = run_command_here(study.main, "report", *files, f"--to={target}")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"wrote {target}\n", "")
    text = target.read_text()
    for heading in ("## gpu", "### Table S4: how places are compared"):
        assert f"{heading}\n" in text
    assert "Table S3" not in text  # Not all of its rows have a run.
    pictures = sorted(path.name for path in (tmp_path / "docs" / "RESULTS").iterdir())
    assert pictures == ["gpu-s1.png", "gpu-s1_trained.png", "gpu-s4.png"]
    assert all(f"(RESULTS/{name})" in text for name in pictures)
    first = target.read_bytes()
    run_command_here(study.main, "report", *files, f"--to={target}")
    assert target.read_bytes() == first


def test_the_committed_results_are_what_the_command_makes(tmp_path, run_command_here):
    files = sorted(map(str, (ROOT / "benchmarks" / "results").glob("*.json")))
    assert len(files) > 2
    run_command_here(study.main, "report", *files, f"--to={tmp_path / 'RESULTS.md'}")
    made = (tmp_path / "RESULTS.md").read_text()
    assert made == (ROOT / "docs" / "RESULTS.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["s3", "--workdir=w", "--colour=red"], "unrecognized arguments: --colour=red"),
        (["s3", "--workdir=w", "--set=epochs"], "'epochs' is not KEY=VALUE"),
        (["s3", "--workdir=w", "--world=nowhere"], "nowhere holds no landmarks; make it with"),
        (["s3", "--workdir=w", "--seeds=0"], "--seeds is 0; give 1 to 1000"),
        (
            ["s2", "--workdir=w", "--variants=both,direct"],
            "--variants names 'direct'; there are classification, both, channel_wise",
        ),
        (
            ["landmarks", "--workdir=w", "--variants=dot,"],
            "--variants names ''; there are baseline, ",
        ),
        (["report", "a.json", "b/a.json", "--to=R.md"], "two files are called 'a'; rename one"),
        (["systems", "--workdir=w", "--data_root=d", "--datasets=p", "--systems=;"], "one system"),
    ],
)
def test_mistakes(arguments, said, tmp_path, monkeypatch, run_command_here):
    monkeypatch.chdir(tmp_path)
    done = run_command_here(study.main, *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_some_rows_alone(tmp_path, monkeypatch, run_command_here):
    made = []
    monkeypatch.setattr(study, "_train_heads", lambda flags, plan: made.append(plan))
    for split in DATASETS:
        write_evaluation(TINY, split, tmp_path / "world")
    given = f"--workdir={tmp_path}", "--seeds=2"
    for rows in ((), ("--variants=baseline_both,baseline",)):
        assert run_command_here(study.main, "landmarks", *given, *rows).returncode == 0
    everything, some = (list(plan.each()) for plan in made)
    pairs = [("baseline", 0), ("baseline", 1), ("baseline_both", 0), ("baseline_both", 1)]
    assert some == [(TRUNK_ALONE, 0), *pairs]
    assert set(some) < set(everything) and {name for name, _ in everything} == {
        TRUNK_ALONE,
        *variants_of(LANDMARK_COMPARISONS.values()),
    }


@pytest.mark.parametrize("change", ["epochs=abc", "reranker.no_such_key=1"])
def test_a_wrong_setting_does_not_keep_the_workdir(change, tmp_path, run_command_here):
    _write_world(tmp_path / "world")
    given = f"--workdir={tmp_path / 'work'}", f"--world={tmp_path / 'world'}", f"--set={change}"
    done = run_command_here(study.main, "s1_trained", *given)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert not (tmp_path / "work" / "study.json").exists()


@pytest.mark.parametrize("name", ["far", "landmarks"])
def test_wrong_distractors_are_refused_before_any_work(name, tmp_path, run_command_here):
    _write_world(tmp_path / "world")
    given = f"--workdir={tmp_path / 'work'}", f"--world={tmp_path / 'world'}"
    done = run_command_here(study.main, "s2", *given, f"--distractors={name}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert name in done.stderr and not (tmp_path / "work").exists()


def _write_world(root):
    from senet_jax.data.builder import build

    build(training_source(TINY), root / NAME)
    for split in DATASETS:
        write_evaluation(TINY, split, root)
    write_distractors(root, DISTRACTORS)


@contextlib.contextmanager
def _study(workdir, world):
    flags = [f"--set={key}={value}" for key, value in CHANGES.items()]
    given = [f"--workdir={workdir}", f"--world={world}", "--seeds=1", "--jobs=2", *flags]
    given.append("--distractors=synthetic_distractors")
    quickly = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    command = [sys.executable, "-m", "senet_jax.study", "s1_trained", *given]
    with started(command, 1, os.environ | quickly) as (process,):
        yield process


def _finish(workdir, world):
    with _study(workdir, world) as process:
        out, said = process.communicate(timeout=1200)
    assert process.returncode == 0, said
    return out


@pytest.mark.slow
def test_killed_at_random_moments_it_comes_to_the_same(tmp_path):
    world = tmp_path / "world"
    _write_world(world)
    begun = time.monotonic()
    printed = _finish(tmp_path / "whole", world)
    seconds = time.monotonic() - begun
    assert "Table S1: what a trained re-ranker adds" in printed

    moments = random.Random(0)
    for kill in range(KILLS):  # In the first part of the time, and in later ones.
        with _study(tmp_path / "killed", world) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait((0.05 + 0.5 * (kill + moments.random()) / KILLS) * seconds)
            process.send_signal(signal.SIGKILL)
    _finish(tmp_path / "killed", world)
    whole, killed = (
        (tmp_path / name / "results" / "results.json").read_bytes() for name in ("whole", "killed")
    )
    assert whole == killed
    results = read_results(tmp_path / "whole" / "results" / "results.json")
    (run,) = results.runs
    alone = entries_of([COMPARISONS["s1_trained"]])
    with_them = {
        among(name, "synthetic_distractors")
        for name in alone
        if name.split("+")[0] in AMONG_DISTRACTORS
    }
    assert run.entries.keys() == {*alone, *with_them} and len(with_them) == 6
    assert results.about["distractors"] == {"synthetic_distractors": DISTRACTORS}
    assert f"{COMPARISONS['s1_trained'].title}, with {DISTRACTORS} distractors\n" in printed
    assert results.about["rerankers"]["all"]["epochs"] == CHANGES["reranker.epochs"]


def test_another_study_in_the_same_workdir_is_refused(tmp_path):
    from senet_jax.study.trainings import TrainingPlan

    _write_world(tmp_path / "world")
    given = tmp_path, tmp_path / "world", {"baseline": ()}, 1
    TrainingPlan(*given, ("--config.epochs=4.0",)).claim()
    TrainingPlan(*given, ("--config.epochs=4.0",)).claim()
    with pytest.raises(UserError, match="a study that differs in changes "):
        TrainingPlan(*given, ("--config.epochs=3.0",)).claim()
