import concurrent.futures
import errno
import json
import os
import random
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.features import described_list, shards
from senet_jax.features.extract import extract
from senet_jax.features.store import load_store
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.features.extraction_command import (
    BROKEN,
    CUT_SHORT,
    IMAGES,
    LONG_REPORT,
    Command,
    write_world,
)
from tests.features.mean_colour import MeanColour
from tests.features.small_list import HALF, ORIGIN, READABLE, SHAPES


def _content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_descriptors_are_those_of_the_extraction_in_memory(work, photographs, tmp_path):
    assert work() == READABLE
    assert sorted(_content(tmp_path / "town")) == ["database.json", "database.npy"]
    store = load_store(tmp_path / "town", "database", ORIGIN)
    expected, skipped = extract(
        MeanColour(), photographs, (0.5, 1.0), label="", skip_unreadable=True
    )
    np.testing.assert_array_equal(store.descriptors, expected)
    assert store.skipped == skipped
    assert store.skipped_rows.tolist() == [HALF, len(SHAPES)]


@pytest.mark.parametrize("allow", [0.5, 1.0])
def test_a_list_of_unreadable_images_is_refused(work, tmp_path, allow):
    with pytest.raises(UserError, match=r"town: 2 of 2 images cannot be read; .*none\.jpg"):
        work(photographs=[Photograph(tmp_path, "none.jpg")] * 2, allow_unreadable=allow)
    assert not (tmp_path / "town").exists()


@pytest.mark.parametrize("calls", [0, 1, 7, 16])
def test_a_run_that_was_ended_goes_on_where_it_was(work, tmp_path, capsys, calls):
    class Ended(MeanColour):
        def __call__(self, *inputs, **options):
            if len(self.shapes) >= calls:
                raise KeyboardInterrupt
            return super().__call__(*inputs, **options)

    work(folder=tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        work(describer=Ended())
    there = len(list((tmp_path / "town" / "database.shards").glob("*.npz")))
    assert there == calls // (2 * shards.SHARD_BATCHES)
    capsys.readouterr()
    described = work()
    assert (described < READABLE) == (there > 0)
    _, *said = capsys.readouterr().out.splitlines()
    assert said == ([f"town: {there} of 4 shards are there already"] if there else [])
    assert _content(tmp_path / "town") == _content(tmp_path / "undisturbed")


def test_nothing_is_described_where_all_shards_are_there(work, ended, tmp_path):
    assert work() == 0
    assert not ended.exists()
    work(folder=tmp_path / "undisturbed")
    assert _content(tmp_path / "town") == _content(tmp_path / "undisturbed")


@pytest.mark.parametrize("fault", ["cut", "empty", "text", "another", "missing"])
def test_a_broken_shard_is_made_anew(work, ended, tmp_path, fault):
    first, second = (ended / f"{index:06}.npz" for index in range(2))
    if fault == "another":
        shutil.copy(first, second)
    elif fault == "missing":
        second.unlink()
    else:
        content = second.read_bytes()[:-50]
        second.write_bytes({"cut": content, "empty": b"", "text": b"text"}[fault])
    assert 0 < work() < READABLE
    work(folder=tmp_path / "undisturbed")
    assert _content(tmp_path / "town") == _content(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({**ORIGIN, "weights": "xyz"}, "made with weights 'abc', now it is 'xyz'"),
        ({**ORIGIN, "scales": [1.0]}, r"made with scales \[0.5, 1.0\], now it is \[1.0\]"),
        ({**ORIGIN, "mode": "exact"}, "made with mode None, now it is 'exact'"),
    ],
)
def test_shards_of_another_origin_are_refused(work, ended, tmp_path, origin, message):
    before = _content(ended)
    with pytest.raises(UserError, match=f"{ended} was {message}; .* remove {tmp_path / 'town'}"):
        work(origin)
    assert _content(ended) == before


@pytest.mark.parametrize("writes", [0, 1, 3, 5, 6])
def test_a_full_disk_loses_nothing_that_is_written(work, tmp_path, monkeypatch, writes):
    """The manifest, four shards, the array and its description are written one after another."""
    written, fsync = [], os.fsync

    def full(descriptor):
        if len(written) == writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(descriptor)
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"cannot write .*: No space left on device; choose"):
            work()
    assert load_store(tmp_path / "town", "database", ORIGIN) is None
    there = min(max(writes - 1, 0), 4)
    assert len(list((tmp_path / "town" / "database.shards").glob("*.npz"))) == there
    assert (work() == 0) == (there == 4)
    work(folder=tmp_path / "undisturbed")
    assert _content(tmp_path / "town") == _content(tmp_path / "undisturbed")


def test_a_descriptor_that_is_not_finite_is_one_line(work, tmp_path):
    class Broken(MeanColour):
        def __call__(self, images, sizes=None, *, transposed=False):
            return super().__call__(images, sizes, transposed=transposed) * np.nan

    with pytest.raises(UserError, match="the descriptor of row 0 is not finite"):
        work(describer=Broken())
    assert not list((tmp_path / "town").rglob("*.np?"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    """The command that is not disturbed, when it is done."""
    command = Command(world, tmp_path_factory.mktemp("undisturbed"))
    ((said, _),) = command.finish()
    assert f"{IMAGES - 1} images at 2 scales in" in said
    parts = ["database.json", "database.npy", "query.json", "query.npy"]
    assert sorted(command.content()) == parts
    return command


def test_one_that_is_done_waits_for_the_shards_of_others(work, tmp_path, monkeypatch):
    work(folder=tmp_path / "alone")
    process, moments, both = threading.local(), [], threading.Barrier(2)

    def meet(_):
        moments.append(time.monotonic())
        both.wait(timeout=20)

    monkeypatch.setattr(shards, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(shards.jax, "process_count", lambda: 2)
    monkeypatch.setattr(shards.jax, "process_index", lambda: process.index)
    hosts = described_list.multihost_utils
    monkeypatch.setattr(hosts, "sync_global_devices", meet)
    monkeypatch.setattr(hosts, "broadcast_one_to_all", lambda value: value)

    def run(index, seconds):
        process.index = index
        time.sleep(seconds)
        work(folder=tmp_path / "two")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [pool.submit(run, 0, 0), pool.submit(run, 1, 2)]:
            done.result(timeout=30)
    assert moments[1] - moments[0] < 1  # The first one did not wait there.
    assert _content(tmp_path / "two") == _content(tmp_path / "alone")


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_the_same_bytes(world, undisturbed, tmp_path):
    command, moments = Command(world, tmp_path / "run"), random.Random(0)
    seen = []
    for _ in range(3):
        with command.at_shards(min(command.there() + 2, 13)):
            time.sleep(moments.uniform(0, 0.3))
        seen.append(command.there())
    assert seen == sorted(seen) and 2 <= seen[0] < seen[-1]
    ((said, _),) = command.finish()
    assert f"town database: {seen[-1]} of " in said
    assert command.content() == undisturbed.content()


@pytest.mark.slow
def test_sigterm_ends_it_with_what_is_saved(world, undisturbed, tmp_path):
    command = Command(world, tmp_path / "run")
    with command.at_shards(3) as (process,):
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 75
    assert "Traceback" not in said
    assert command.there() >= 3
    command.finish()
    assert command.content() == undisturbed.content()


@pytest.mark.slow
def test_two_processes_leave_the_bytes_of_one(world, undisturbed, tmp_path):
    command = Command(world, tmp_path / "run", processes=2)
    with command.at_shards(2):
        pass  # Both are killed.
    first, second = command.finish()
    assert "shards are there already" in first[0] + second[0]
    assert command.content() == undisturbed.content()
    # Both rank; the first one tells.
    assert "mAP" in first[0] and "mAP" not in second[0]
    assert command.report() == undisturbed.report()
    origin = json.loads(command.content()["database.json"])["origin"]
    rows = load_store(tmp_path / "run" / "descriptors" / "town", "database", origin)
    assert rows.skipped_rows.tolist() == [BROKEN, CUT_SHORT]
    # Both describe what is repaired, and nothing else.
    path = world / "town" / "jpg" / f"{BROKEN}.jpg"
    broken = path.read_bytes()
    path.write_bytes(encoded(picture(48, 64, seed=1)))
    try:
        first, second = command.finish()
    finally:
        path.write_bytes(broken)
    assert f"town database: 1 of {IMAGES} images have changed" in first[0]
    again = load_store(tmp_path / "run" / "descriptors" / "town", "database", rows.origin)
    assert again.skipped_rows.tolist() == [CUT_SHORT]
    is_changed = (again.descriptors != rows.descriptors).any(axis=1)
    assert np.flatnonzero(is_changed).tolist() == [BROKEN]


@pytest.mark.slow
def test_the_first_process_may_work_for_longer_than_the_others_wait(world, tmp_path):
    command = Command(world, tmp_path / "run", processes=2, code=LONG_REPORT)
    command.finish()
    assert command.report()["medium"]["map"] > 0
