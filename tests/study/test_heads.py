"""The studies of heads: on photographs, with made ones in their place, and on landmarks."""

import dataclasses
import re

import numpy as np
import pytest

from senet_jax.convert.sources import read_source
from senet_jax.data.builder import build
from senet_jax.data.synthetic_landmarks import TINY, training_source, write_evaluation
from senet_jax.main import main
from senet_jax.metrics.bootstrap import crossed_interval
from senet_jax.rerank import tune
from senet_jax.study.evaluations import scores_in
from senet_jax.study.heads import TRUNK, LandmarkHeads, PhotographHeads
from senet_jax.study.plan import (
    DATASETS,
    HEAD_COMPARISONS,
    PHOTOGRAPHS,
    TRUNK_ALONE,
    TUNED,
    variants_of,
)
from senet_jax.study.results import HEADS, Results, RunScores, entry_of, read_results
from senet_jax.study.written import parts_of, write_parts, write_report
from senet_jax.system import runtime
from senet_jax.system.errors import UserError
from senet_jax.system.files import read_json
from senet_jax.training import heads
from senet_jax.training.metrics import read_metrics
from senet_jax.weights import load_weights, save_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.oracles.lite0 import needs_lite0

from .examples import scores

SEEDS, GAIN = 3, 0.05
VARIANTS = tuple(variants_of(HEAD_COMPARISONS.values()))


def _results(variants=VARIANTS):
    """Scores of a study that was never run: fusion loses, the channel-wise module gains."""
    rng = np.random.default_rng(0)
    gains = {"fusion": -GAIN, "channel_wise": GAIN}
    runs = [
        RunScores(
            variant,
            seed,
            {name: scores(rng, gains.get(variant, 0)) for name in PHOTOGRAPHS.datasets},
        )
        for seed in range(SEEDS)
        for variant in variants
    ]
    return Results(HEADS, {"photographs": {"a_tower": 7}, "settings": {}}, tuple(runs))


def test_the_tables_are_those_of_the_scores(tmp_path):
    results = _results()
    for (name, (table, differences, sure, paper), _), comparison in zip(
        parts_of(results), HEAD_COMPARISONS.values(), strict=True
    ):
        assert name == comparison.name
        assert table.header[2:5] == ["Easy, photos", "Easy, miniphotos", "Medium, photos"]
        reference = comparison.reference
        before, after = (
            np.stack(list(results.scores(variant, "photos", "medium").values()))
            for variant in (reference, "fusion")
        )
        [row] = (row for row in differences.rows if row[0] == "fusion layers alone")
        less = after - before
        expected = [round(100 * each, 1) for each in (less.mean(), *crossed_interval(less))]
        assert [float(n) for n in re.findall(r"[-+]\d+\.\d", row[3])] == expected
        assert less.mean() < -GAIN / 2
        assert "photos" in sure.notes[0] and paper.title.endswith("in the paper")
    assert write_parts(results, tmp_path)
    endings = (".txt", ".csv", ".md", ".tex", ".png")
    names = {f"{name}{ending}" for name in HEAD_COMPARISONS for ending in endings}
    assert names <= {path.name for path in tmp_path.iterdir()}
    results.write(tmp_path / "results.json")
    write_report({"photographs": read_results(tmp_path / "results.json")}, tmp_path / "R.md")
    text = (tmp_path / "R.md").read_text()
    assert "To learn from: a tower 7." in text and "configs/photographs.py" in text


def test_a_table_waits_for_all_of_its_rows():
    some = _results((TRUNK_ALONE, "baseline", "fusion", "channel_wise"))
    assert [name for name, _, _ in parts_of(some)] == ["heads"]


def _write_photographs(data_root):
    for name in PHOTOGRAPHS.datasets:
        write_dataset(data_root, name, boxes=[(0, 0, 60, 60)] * 2)
        for image in "abcqr":
            content = encoded(picture(64, 64, seed=ord(image)), ".png")
            (data_root / name / "jpg" / f"{image}.jpg").write_bytes(content)


@pytest.fixture
def plan_in(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    for index in range(12):
        path = tmp_path / "train" / f"landmark_{index % 3}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(64, 64, seed=index), ".png"))
    _write_photographs(tmp_path)
    changes = {
        "held_out": "landmark_0",
        "data.side": 64,
        "data.views": 2,
        "batch_size": 4,
        "steps": 10,
        "validate_every_steps": 5,
    }
    flags = tuple(f"--config.{key}={value}" for key, value in changes.items())

    def plan(name):
        made = PhotographHeads(
            workdir=tmp_path / name,
            data_root=tmp_path,
            photographs=tmp_path / "train",
            seeds=2,
            changes=flags,
            variants=("baseline",),
        )
        save_weights(made.workdir / "weights" / TRUNK, read_source(f"pretrained:{TRUNK}")[0])
        return made

    return plan


def _finish(plan, monkeypatch=None):
    """What `run_all` does, in this process."""
    for run in plan.runs():
        for command in run.commands:
            if not command.is_done():
                name, *arguments = command.arguments
                if name == "rerank.tune":
                    monkeypatch.setattr("sys.argv", ["", *arguments])
                    tune.main()
                else:
                    main(list(command.arguments))
                assert command.is_done()


@needs_lite0
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_stopped_in_the_middle_it_comes_to_the_same(plan_in, tmp_path, monkeypatch):
    whole, stopped = plan_in("whole"), plan_in("stopped")
    _finish(whole)

    class Killed(Exception):
        pass

    def kill(*_, **__):
        raise Killed

    for target in ("_Validation", "save_weights", "write_final_report"):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(heads, target, kill)
            _finish(stopped)
    assert len(stopped.results().runs) == whole.seeds  # The trunk alone, for each seed.
    _finish(stopped)
    for plan in (whole, stopped):
        plan.results().write(plan.workdir / "results.json")
    first, second = ((plan.workdir / "results.json").read_bytes() for plan in (whole, stopped))
    assert first == second
    runs = read_results(whole.workdir / "results.json").runs
    assert [(run.name, run.seed) for run in runs] == [
        *((TRUNK_ALONE, seed) for seed in range(2)),
        *(("baseline", seed) for seed in range(2)),
    ]
    assert {run.notes["model"] for run in runs[2:]} == {"lite0_baseline"}
    assert [run.entries["photos"]["medium"].size for run in runs] == [2] * 4


@needs_lite0
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_heads_on_generated_landmarks(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    world = tmp_path / "world"
    build(training_source(TINY), world / "synthetic_landmarks")
    for split in ("evaluation", "validation"):
        write_evaluation(TINY, split, world)
    _write_photographs(tmp_path)
    plan = LandmarkHeads(
        workdir=tmp_path / "study",
        world=world,
        data_root=tmp_path,
        seeds=1,
        changes=("--config.steps=2", "--config.warmup_steps=1", "--config.batch_size=8"),
        variants=("both",),
    )
    # Heads of the table of photographs are evaluated on these as well.
    for variant, is_transferred in (("both", False), ("fusion", True)):
        [*_, run] = dataclasses.replace(plan, variants=(variant,)).runs()
        workdirs = [f"--workdir={run.folder / part}" for part in ("evaluation", "transfer")]
        flags = {flag for command in run.commands for flag in command.arguments}
        assert [each in flags for each in workdirs] == [True, is_transferred]
    plan.claim()
    save_weights(plan.workdir / "weights" / TRUNK, read_source(f"pretrained:{TRUNK}")[0])
    _finish(plan, monkeypatch)
    [run] = plan.results().runs
    folder = plan.folder("both", 0)
    chosen = read_json(folder / "tuned" / "landmarks.json")["chosen"]["method"]
    assert run.notes == {"model": "early_lite0_channel_wise", "step": 2, TUNED: chosen}
    tuned = {entry_of(dataset, TUNED) for dataset in DATASETS}
    assert run.entries.keys() == {*DATASETS, *tuned}
    assert load_weights(folder / "weights").architecture.stages == 5
    assert {"loss_classification", "loss_contrastive"} <= read_metrics(folder)[-1].keys()

    # What was chosen is what a re-ranking by it gives.
    [command] = plan._reranking(folder, run.notes["model"], folder / "weights", chosen)
    main(list(command.arguments))
    again = scores_in(folder / "evaluation", [entry_of("landmarks", chosen)])
    np.testing.assert_array_equal(
        again[entry_of("landmarks", chosen)]["medium"],
        run.entries[entry_of("landmarks", TUNED)]["medium"],
    )


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*photos_train; check --data_root"):
        PhotographHeads(
            workdir=tmp_path / "w",
            data_root=tmp_path,
            photographs=tmp_path / "photos_train",
            seeds=5,
            variants=VARIANTS,
        )
    (tmp_path / "photos_train").mkdir()
    with pytest.raises(UserError, match=r"there is no folder .*photos; check --data_root"):
        PhotographHeads(
            workdir=tmp_path / "w",
            data_root=tmp_path,
            photographs=tmp_path / "photos_train",
            seeds=5,
            variants=VARIANTS,
        )
    with pytest.raises(UserError, match=r"holds no landmarks; make it with"):
        LandmarkHeads(workdir=tmp_path / "w", world=tmp_path, seeds=5, variants=("both",))


def test_another_study_in_the_same_workdir_is_refused(tmp_path):
    for name in ("train", *PHOTOGRAPHS.datasets):
        (tmp_path / name).mkdir()
    photographs = PhotographHeads(
        workdir=tmp_path / "w",
        data_root=tmp_path,
        photographs=tmp_path / "train",
        seeds=1,
        variants=VARIANTS,
    )
    photographs.claim()
    photographs.claim()
    with pytest.raises(UserError, match="a study that differs in changes "):
        dataclasses.replace(photographs, changes=("--config.steps=9",)).claim()
