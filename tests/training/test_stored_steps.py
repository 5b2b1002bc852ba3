import json
import os
import zlib

import numpy as np
import pytest

from senet_jax.system.errors import UserError
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.stored_steps import BrokenStep, Record, StoredSteps, best_first
from tests.training.training_process import content, largest_file, state_after


def _save(folder, *steps):
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, state_after(step), {"step": step})


def _everything(folder):
    """Each file below a folder, its content and when it was changed, and each folder."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in (folder, *folder.rglob("*"))
    }


def test_a_step_is_read_to_the_bit(tmp_path):
    _save(tmp_path, 1, 2)
    stored = StoredSteps(tmp_path)
    assert stored.steps() == [1, 2]
    record = stored.record(1)
    assert record.meta == {"step": 1}
    assert content(stored.state(1, record, state_after(0))) == content(state_after(1))


def test_reading_changes_nothing(tmp_path, capfd):
    """Not even what a save has left half-done, a broken step, or a folder that is not there."""
    folder = tmp_path / "checkpoints"
    _save(folder, 1, 2)
    largest_file(folder / "2").write_bytes(b"")
    (folder / "3.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    (folder / "3.orbax-checkpoint-tmp" / "state" / "part").write_bytes(b"half")
    before = _everything(tmp_path)
    stored = StoredSteps(folder)
    assert stored.steps() == [1, 2]
    stored.state(1, stored.record(1), state_after(0))
    with pytest.raises(BrokenStep):
        stored.state(2, stored.record(2), state_after(0))
    with pytest.raises(BrokenStep):
        stored.record(3)
    assert StoredSteps(tmp_path / "nowhere").steps() == []
    assert _everything(tmp_path) == before
    assert capfd.readouterr().err == ""


def test_whoever_reads_does_not_disturb_a_save(tmp_path):
    side = 800  # 15 MB
    state, met = state_after(1, side), 0
    with Checkpoints(tmp_path, keep_latest=9) as checkpoints:
        for step in range(1, 6):
            checkpoints.save(step, state, {})
            met += any("tmp" in name for name in os.listdir(tmp_path))
            stored = StoredSteps(tmp_path)
            assert [stored.record(saved).meta for saved in stored.steps()] == [{}] * (step - 1)
    assert met
    assert StoredSteps(tmp_path).steps() == [1, 2, 3, 4, 5]


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot read .*file: Not a directory; check the path"):
        StoredSteps(tmp_path / "file").steps()


def test_a_step_of_another_version_is_one_line(tmp_path, monkeypatch):
    record = {"meta": {}, "score": None, "leaves": {}}
    checksum = zlib.crc32(json.dumps(record, sort_keys=True).encode())
    with monkeypatch.context() as before:
        before.setattr(Record, "to_json", lambda _: {"record": record, "crc32": checksum})
        _save(tmp_path, 1)
    with Checkpoints(tmp_path) as checkpoints:
        for read in (lambda: StoredSteps(tmp_path).record(1), lambda: checkpoints.restore(None)):
            with pytest.raises(UserError, match=r"step 1 in .* was saved by another version of s"):
                read()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, []),
        ({1: None, 2: None}, [2, 1]),
        ({1: 0.1, 2: 0.3, 3: None, 4: 0.3, 5: None}, [2, 4, 1, 5, 3]),
        ({2: 0.0, 1: -1.0}, [2, 1]),
    ],
)
def test_the_best_first(scores, expected):
    assert best_first(scores) == expected


def test_a_leaf_without_elements_is_there(tmp_path):
    state = {"none": np.zeros((0, 3), np.float32), "one": np.ones(1, np.float32)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
    stored = StoredSteps(tmp_path)
    assert stored.state(1, stored.record(1), state)["none"].shape == (0, 3)
