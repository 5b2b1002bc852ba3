import errno
import os
import random
import re
import shutil
import signal
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from senet_jax.system.errors import USER_ERROR_EXIT_CODE, UserError
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from senet_jax.training.checkpoint import Checkpoints
from tests.training.training_process import (
    content,
    ended,
    largest_file,
    next_line,
    start,
    start_two,
    state_after,
)

TARGET = state_after(0)


def _save(folder, *steps):
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, state_after(step), {"step": step})


def _restored(folder):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(TARGET)


def _assert_is_step(restored, step):
    state, meta = restored
    assert meta == {"step": step}
    assert content(state) == content(state_after(step))


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "checkpoints"
    _save(folder, 1, 2)
    return folder


@pytest.fixture
def folder(two_steps, tmp_path):
    """The steps 1 and 2, to be broken."""
    return shutil.copytree(two_steps, tmp_path / "checkpoints")


@pytest.mark.parametrize("queue_length", [0, 16])
def test_there_and_back_to_the_bit(tmp_path, queue_length):
    state = state_after(3, queue_length=queue_length)
    dtypes = {str(leaf.dtype) for leaf in jax.tree.leaves(state)}
    assert dtypes == {"float32", "bfloat16", "int32"}
    assert any(leaf.size == 0 for leaf in jax.tree.leaves(state))
    assert any(leaf.shape == () for leaf in jax.tree.leaves(state))
    meta = {"clock": 0.1 + 0.2, "names": ["ä", None], "nested": {"10": 1, "9": True}}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, state, meta)
    with Checkpoints(tmp_path) as checkpoints:
        restored, meta_restored = checkpoints.restore(state_after(0, queue_length=queue_length))
    assert content(restored) == content(state)
    assert meta_restored == meta


def test_parts_without_leaves(tmp_path):
    state = {"none": None, "no keys": {}, "nothing": (), "one": np.ones(3, np.float32)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        assert content(checkpoints.restore(state)[0]) == content(state)


def test_the_target_may_be_shapes_alone(two_steps):
    shapes = jax.eval_shape(lambda: TARGET)
    with Checkpoints(two_steps) as checkpoints:
        _assert_is_step(checkpoints.restore(shapes), 2)


def test_nothing_saved(tmp_path):
    with Checkpoints(tmp_path / "new" / "checkpoints") as checkpoints:
        assert checkpoints.restore(TARGET) is None
        assert checkpoints.latest_step() is None


def test_a_step_being_saved_is_restored(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, TARGET, {})
        checkpoints.save(2, state_after(2), {"step": 2})
        assert checkpoints.latest_step() == 2
        _assert_is_step(checkpoints.restore(TARGET), 2)


def test_saving_is_in_the_background_and_of_what_was_given(tmp_path):
    side = 800  # 15 MB
    state = state_after(1, side)
    expected = content(state)
    unfinished = []
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, state, {})
            unfinished.append(not (tmp_path / str(step)).exists())
            for leaf in jax.tree.leaves(state):
                leaf[...] = 0
            checkpoints.wait()
            assert (tmp_path / str(step)).exists()
            state = state_after(1, side)
        assert any(unfinished)
        assert content(checkpoints.restore(state)[0]) == expected


def test_what_is_not_accepted_is_not_read(folder):
    seen = []

    def refuse(meta):
        seen.append(meta)
        raise UserError("no")

    largest_file(folder / "2").unlink()
    with Checkpoints(folder) as checkpoints, pytest.raises(UserError, match="no"):
        checkpoints.restore(TARGET, refuse)
    assert (seen, _names(folder)) == ([{"step": 2}], ["1", "2"])


def test_how_many_are_kept(tmp_path):
    with Checkpoints(tmp_path, keep_latest=3) as checkpoints:
        for step in range(1, 6):
            checkpoints.save(step, state_after(step), {})
    assert _names(tmp_path) == ["3", "4", "5"]


DAMAGES = {
    "cut in half": lambda file: os.truncate(file, file.stat().st_size // 2),
    "emptied": lambda file: os.truncate(file, 0),
    "a bit flipped": lambda file: _flip(file, file.stat().st_size // 2),
    "its first bit flipped": lambda file: _flip(file, 0),
    "removed": lambda file: file.unlink(),
}


def _flip(file, position):
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_happens_to_any_file_what_is_restored_is_whole(two_steps, tmp_path, capfd, damage):
    files = [path.relative_to(two_steps) for path in (two_steps / "2").rglob("*") if path.is_file()]
    fell_back = set()
    for number, file in enumerate(files):
        folder = shutil.copytree(two_steps, tmp_path / str(number))
        DAMAGES[damage](folder / file)
        capfd.readouterr()
        restored = _restored(folder)
        warnings = [line for line in capfd.readouterr().err.splitlines() if "absl" not in line]
        if warnings:
            fell_back.add(file)
            assert len(warnings) == 1
            assert f"{folder}: step 2 is broken: " in warnings[0]
            assert _names(folder) == ["1", "2.broken1"]
        _assert_is_step(restored, 1 if warnings else 2)
    # Some files Orbax does not need. These it does.
    meta = (two_steps / "2" / "meta" / "metadata").relative_to(two_steps)
    assert fell_back >= {meta, largest_file(two_steps / "2").relative_to(two_steps)}


def test_numbers_that_changed_unnoticed_are_found_by_the_checksum_of_their_leaf(
    folder, tmp_path, capfd
):
    state = state_after(2)
    state.batch_stats["bn"]["mean"][7] += 1
    with Checkpoints(tmp_path / "other") as checkpoints:
        checkpoints.save(2, state, {"step": 2})
    # As well formed as the one that it replaces.
    shutil.rmtree(folder / "2" / "state")
    shutil.copytree(tmp_path / "other" / "2" / "state", folder / "2" / "state")
    _assert_is_step(_restored(folder), 1)
    assert capfd.readouterr().err == (
        f"warning: {folder}: step 2 is broken: batch_stats/bn/mean does not match its checksum\n"
    )


def test_meta_that_changed_unnoticed_is_found_by_its_checksum(folder, capfd):
    meta = folder / "2" / "meta" / "metadata"
    assert meta.read_text().count('{"step": 2}') == 1
    meta.write_text(meta.read_text().replace('{"step": 2}', '{"step": 3}'))
    _assert_is_step(_restored(folder), 1)
    assert "step 2 is broken: its meta does not match its checksum" in capfd.readouterr().err


def test_many_unreadable_leaves_are_one_line(tmp_path, capfd):
    many = {f"leaf{i}": np.full(100, i, np.float32) for i in range(300)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, many, {})
        checkpoints.save(2, many, {})
    os.truncate(largest_file(tmp_path / "2"), 1000)
    with Checkpoints(tmp_path) as checkpoints:
        restored, _ = checkpoints.restore(many)
        time.sleep(0.2)
    assert content(restored) == content(many)
    (line,) = capfd.readouterr().err.splitlines()
    assert "step 2 is broken" in line


def test_a_step_that_was_broken_can_be_saved_again_and_again(folder, capfd):
    for aside in (["2.broken1"], ["2.broken1", "2.broken2"]):
        largest_file(folder / "2").unlink()
        with Checkpoints(folder) as checkpoints:
            _assert_is_step(checkpoints.restore(TARGET), 1)
            assert checkpoints.latest_step() == 1
            checkpoints.save(2, state_after(2), {"step": 2})
        assert _names(folder) == ["1", "2", *aside]
        _assert_is_step(_restored(folder), 2)
    assert capfd.readouterr().err.count("step 2 is broken") == 2


def test_none_whole(folder, capfd):
    for step in ("1", "2"):
        largest_file(folder / step).unlink()
    with pytest.raises(UserError, match=r"none of the steps \[1, 2\] in .* is whole; move them"):
        _restored(folder)
    assert _names(folder) == ["1", "2"]
    assert re.findall(r"step (\d) is broken", capfd.readouterr().err) == ["2", "1"]


def _with_kernel(leaf):
    params = TARGET.params
    return TARGET.replace(params=params | {"network": params["network"] | {"fc": {"kernel": leaf}}})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            _with_kernel(np.zeros((20, 3), np.float32)),
            r"params/network/fc/kernel float32\[20, 2\], this config makes it float32\[20, 3\]",
        ),
        (
            _with_kernel(np.zeros((20, 2), np.int32)),
            r"params/network/fc/kernel float32\[20, 2\], this config makes it int32\[20, 2\]",
        ),
        (
            state_after(0, queue_length=8),
            r"losses/contrastive/momentum_network/batch_stats/bn/mean not at all, .* float32\[20\]",
        ),
        (
            TARGET.replace(batch_stats={}),
            r"batch_stats/bn/mean float32\[20\], this config makes it not at all",
        ),
    ],
)
def test_a_config_that_does_not_fit(two_steps, capfd, target, message):
    with (
        Checkpoints(two_steps) as checkpoints,
        pytest.raises(UserError, match=f"step 2 in .* has {message}; resume with the config"),
    ):
        checkpoints.restore(target)
    assert _names(two_steps) == ["1", "2"]
    assert capfd.readouterr().err == ""


def test_a_step_that_may_not_be_read_is_not_taken_for_broken(folder, monkeypatch, capfd):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with Checkpoints(folder) as checkpoints:
        monkeypatch.setattr(ocp.Checkpointer, "restore", refuse)
        with pytest.raises(UserError, match=f"cannot read step 2 in {folder}: permission denied"):
            checkpoints.restore(TARGET)
    assert _names(folder) == ["1", "2"]
    assert capfd.readouterr().err == ""


def test_a_folder_that_cannot_be(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below"):
        with pytest.raises(UserError, match=f"cannot use {folder} for checkpoints: "):
            Checkpoints(folder)


def test_a_folder_that_is_gone_is_one_line(folder):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(3, state_after(3), {})
        checkpoints.wait()
        shutil.rmtree(folder)
        folder.write_text("in the way")
        with pytest.raises(
            UserError, match=r"cannot save step 4 in .*: Not a directory; no step is saved; mend it"
        ):
            checkpoints.save(4, state_after(4), {})


@pytest.mark.parametrize(
    ("step", "meta"), [(3, {"a": object()}), (3, {"a": float("nan")}), (2, {})]
)
def test_a_mistake_of_the_program_is_no_user_error(folder, step, meta):
    with Checkpoints(folder) as checkpoints:
        with pytest.raises((TypeError, ValueError)):
            checkpoints.save(step, state_after(step), meta)
        _assert_is_step(checkpoints.restore(TARGET), 2)


# No file may grow beyond the limit: the numbers do not fit, or not even what Orbax notes of them.
@pytest.mark.parametrize("file_size", [2000, 0])
def test_a_full_disk_is_one_line_and_the_step_before_stays(tmp_path, file_size):
    process = start(f"save_until_full({str(tmp_path)!r}, {file_size})")
    with ended(process):
        _, error = process.communicate(timeout=60)
    assert error == (
        f"error: cannot save step 2 in {tmp_path}: File too large; the last good step is 1; "
        "mend it and start again to resume from there\n"
    )
    assert process.returncode == USER_ERROR_EXIT_CODE
    with Checkpoints(tmp_path) as checkpoints:
        _assert_is_step(checkpoints.restore(TARGET), 1)
        checkpoints.save(2, state_after(2), {"step": 2})
    assert _names(tmp_path) == ["1", "2"]


@pytest.mark.slow
def test_killed_at_any_moment_the_last_step_is_whole(tmp_path, capfd):
    side, moments = 300, random.Random(0)
    target = state_after(0, side)
    newest, in_mid_save = 0, 0
    for _ in range(3):
        process = start(f"save_without_end({str(tmp_path)!r}, {side})")
        with ended(process):
            assert next_line(process) == "saving\n"
            time.sleep(moments.uniform(0.2, 0.6))
        in_mid_save += any("tmp" in name for name in _names(tmp_path))
        with Checkpoints(tmp_path) as checkpoints:
            state, meta = checkpoints.restore(target)
        assert meta["step"] > newest
        newest = meta["step"]
        assert content(state) == content(state_after(newest, side))
    assert in_mid_save
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(newest + 1, target, {})
    assert _names(tmp_path) == sorted([str(newest), str(newest + 1)])
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_two_processes_save_fall_back_and_stop_as_one(tmp_path):
    processes = start_two("train_together", tmp_path)
    with ended(*processes):
        for process in processes:
            assert next_line(process) == "fell back to 1\n"
        processes[1].send_signal(signal.SIGTERM)
        outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [PREEMPTED_EXIT_CODE] * 2
    step, other = (int(re.search(r"^stopped after (\d+)$", out, re.M)[1]) for out, _ in outputs)
    assert step == other
    assert [error.count("step 2 is broken") for _, error in outputs] == [1, 0]
    folder = tmp_path / "checkpoints"
    assert _names(folder) == sorted(["1", "2", "2.broken1", str(step)])
    _assert_is_step(_restored(folder), step)


@pytest.mark.slow
def test_what_one_process_does_not_accept_none_does(tmp_path):
    _save(tmp_path, 1)
    processes = start_two("refuse_alone", tmp_path)
    with ended(*processes):
        outputs = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [USER_ERROR_EXIT_CODE] * 2, outputs
    assert outputs[0].splitlines()[-1] == "error: process 1: no, not step 1"
    assert outputs[1].splitlines()[-1] == "error: no, not step 1"
