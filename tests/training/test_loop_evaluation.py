"""Evaluations while a training runs, with stand-ins for both."""

import contextlib

import pytest

from senet_jax.system.files import read_json
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from senet_jax.training.export import CHECKPOINTS
from senet_jax.training.metrics import read_metrics
from senet_jax.training.stored_steps import StoredSteps
from tests.training.stand_in import saved, stop_at

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def _evaluated_steps(workdir):
    return [line["step"] for line in read_metrics(workdir) if "eval/landmarks/medium/map" in line]


def test_it_is_evaluated_before_and_after_and_the_report_has_both(evaluated):
    done = evaluated()
    assert done.returncode == 0, done.stderr
    assert _evaluated_steps(done.workdir) == [0, 3, 6]
    report = read_json(done.workdir / "report.json")
    first, last = report["landmarks_untrained"], report["landmarks"]
    by_step = {line["step"]: line for line in read_metrics(done.workdir) if len(line) < 6}
    assert first["medium"]["map"] == by_step[0]["eval/landmarks/medium/map"]
    assert last["medium"]["map"] == by_step[6]["eval/landmarks/medium/map"]
    assert first["medium"]["map"] < last["medium"]["map"]


@pytest.mark.slow
def test_the_best_checkpoint_stays(evaluated):
    done = evaluated("worse", checkpoint__keep=1)
    assert saved(done.workdir)[0] == [3, 6]


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [3, 6])
def test_what_a_stop_left_out_is_evaluated_when_it_goes_on(evaluated, stopped):
    done = evaluated(after_step=stop_at(stopped))
    assert done.returncode == PREEMPTED_EXIT_CODE
    assert f"stopped by SIGTERM: step {stopped} is saved in " in done.stderr
    assert _evaluated_steps(done.workdir) == [0, 3][: stopped // 3]
    again = evaluated()
    assert again.returncode == 0, again.stderr
    assert _evaluated_steps(again.workdir) == [0, 3, 6]
    assert read_json(again.workdir / "report.json")["landmarks"]["medium"]["map"] is not None


@pytest.mark.slow
def test_what_ended_before_its_first_checkpoint_leaves_no_line_twice(evaluated):
    def no_second(step):
        if step == 2:
            raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        evaluated(after_step=no_second)
    assert _evaluated_steps(evaluated().workdir) == [0, 3, 6]


def test_a_kill_in_an_evaluation_costs_the_evaluation_alone(evaluated, tmp_path):
    """It may take hours, so the step is saved before."""
    stored, before = StoredSteps(tmp_path / "run" / CHECKPOINTS), []

    def killed_in_the_second():
        before.append(stored.steps())
        if len(before) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluated(seen=killed_in_the_second)
    again = evaluated(seen=lambda: before.append(stored.steps()))
    assert again.returncode == 0 and "resuming from step 3\n" in again.stderr
    assert before == [[], [3], [3], [3, 6]]
    assert _evaluated_steps(again.workdir) == [0, 3, 6]


@pytest.mark.parametrize(
    ("asked", "step", "done_before"), [(1, 0, []), (5, 3, [0]), (9, 6, [0, 3])]
)
def test_an_evaluation_hears_that_it_has_to_stop(evaluated, asked, step, done_before):
    """It asks once in each evaluation here, between the steps around it."""
    done = evaluated(asks=True, after_step=stop_at(asked))
    assert done.returncode == PREEMPTED_EXIT_CODE
    assert f"stopped by SIGTERM: step {step} is saved in " in done.stderr
    if done_before:
        assert _evaluated_steps(done.workdir) == done_before
    again = evaluated()
    assert again.returncode == 0, again.stderr
    assert _evaluated_steps(again.workdir) == [0, 3, 6]


def test_what_was_evaluated_before_a_kill_is_not_evaluated_again(evaluated):
    def killed_after_the_evaluation(step):
        if step == 4:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluated(after_step=killed_after_the_evaluation)
    again = evaluated("worse")
    assert again.returncode == 0, again.stderr
    assert _evaluated_steps(again.workdir) == [0, 3, 6]
    stored = StoredSteps(again.workdir / CHECKPOINTS)
    scores = [stored.evaluated(step).score for step in (3, 6)]
    assert scores == [
        line["eval/landmarks/medium/map"]
        for line in read_metrics(again.workdir)
        if line["step"] > 0 and "eval/landmarks/medium/map" in line
    ]
    # The stand-in is "worse" at its second evaluation; this was the first of its process.
    assert scores[0] is not None and scores[1] is not None
