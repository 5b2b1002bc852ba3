import os

import pytest

from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.evaluation_record import FILE, Evaluated, read_evaluated, write_evaluated
from tests.training.training_process import state_after

EVALUATED = Evaluated(0.25, "town at [1.0]", {"town": {"medium": {"map": 0.25, "queries": 3}}})


@pytest.mark.parametrize("evaluated", [EVALUATED, Evaluated(None, "", {})])
def test_there_and_back(tmp_path, evaluated):
    write_evaluated(tmp_path, evaluated)
    assert read_evaluated(tmp_path) == evaluated


def test_what_was_never_evaluated(tmp_path, capsys):
    assert read_evaluated(tmp_path) is None
    assert capsys.readouterr().err == ""


def test_any_flipped_bit_is_noticed(tmp_path, capsys):
    write_evaluated(tmp_path, EVALUATED)
    content = (tmp_path / FILE).read_bytes()
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / FILE).write_bytes(changed)
        assert read_evaluated(tmp_path) is None
        said = capsys.readouterr().err
        assert said.startswith(f"warning: {tmp_path / FILE} does not count: ")
        assert said.count("\n") == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"evaluated": [], "crc32": 223132457}'])
def test_what_is_no_such_file_does_not_count(tmp_path, capsys, content):
    (tmp_path / FILE).write_text(content)
    assert read_evaluated(tmp_path) is None
    assert capsys.readouterr().err.count("\n") == 1


def _save(folder, *steps, scores):
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, state_after(step), {"step": step})
            if scores.get(step) is not None:
                checkpoints.note_evaluated(step, scores[step], {"town": step})


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([None] * 5, [4, 5]),
        ([0.1, 0.3, 0.2, None, 0.0], [2, 4, 5]),
        ([0.1, 0.2, 0.3, 0.4, 0.5], [4, 5]),
        ([-2.0, -1.0, -1.0, -3.0, -1.0], [2, 4, 5]),
    ],
)
def test_the_best_and_the_latest_are_kept(tmp_path, scores, kept):
    for step in range(1, 6):  # A run a step: what is best is known from the disk.
        _save(tmp_path, step, scores={step: scores[step - 1]})
    assert sorted(os.listdir(tmp_path)) == [str(step) for step in kept]


def test_scores_that_were_measured_on_something_else_do_not_count(tmp_path):
    for measured, step, score in (("town", 1, 0.9), ("village", 2, 0.2), ("village", 3, 0.1)):
        with Checkpoints(tmp_path, keep_latest=1, score_of=measured) as checkpoints:
            checkpoints.save(step, state_after(step), {})
            checkpoints.note_evaluated(step, score, {})
    assert sorted(os.listdir(tmp_path)) == ["2", "3"]


def test_what_an_evaluation_found_is_there_as_long_as_its_step(tmp_path):
    _save(tmp_path, 1, 2, scores={1: 0.5})
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.evaluated(1).reports == {"town": 1}
        assert checkpoints.evaluated(2) is None
        checkpoints.note_evaluated(2, None, {})
        assert checkpoints.evaluated(2).score is None
    with Checkpoints(tmp_path, score_of="village") as checkpoints:
        assert checkpoints.evaluated(1) is None


def test_a_broken_evaluation_does_not_count_and_breaks_no_step(tmp_path, capfd):
    _save(tmp_path, 1, 2, 3, scores={1: 0.5, 2: 0.4})
    (tmp_path / "1" / FILE).write_text("{}")
    with Checkpoints(tmp_path, keep_latest=1) as checkpoints:
        assert checkpoints.restore(state_after(0))[1] == {"step": 3}
        checkpoints.save(4, state_after(4), {})
    assert sorted(os.listdir(tmp_path)) == ["2", "4"]
    warnings = capfd.readouterr().err.splitlines()
    assert set(warnings) == {f"warning: {tmp_path / '1' / FILE} does not count: 'evaluated'"}
