"""Runs that are ended at any moment: nothing half-written shows, and little is done again."""

import errno
import os

import numpy as np
import pytest

from senet_jax.index import contents as contents_module
from senet_jax.index import update as update_module
from senet_jax.index.contents import Appender, read_contents
from senet_jax.index.listing import load_listing
from senet_jax.index.store import open_index
from senet_jax.search.storage import no_rows, quantise
from senet_jax.system.errors import UserError
from tests.index.conftest import Colours

GROUP = 6
"""The photographs of a group of batches."""


class Killed(BaseException):
    """What nothing can catch, as a kill."""


def _shown(world):
    """What a search would see now; nothing where there is no index yet."""
    try:
        return world.found()
    except UserError as error:
        assert "no index" in str(error) or "no photograph" in str(error) or "missing" in str(error)
        return {}


@pytest.fixture
def expected(town, tmp_path):
    """What an undisturbed run leaves."""
    undisturbed = tmp_path / "undisturbed"
    town.update(folder=undisturbed)
    town.describer = Colours()
    kept, town.index = town.index, undisturbed
    found = town.found()
    town.index = kept
    return found


def _assert_like(found, expected):
    """Descriptors differ by rounding where photographs are padded beside others."""
    for name, row in found.items():
        rows = (np.frombuffer(each, np.float32) for each in (row, expected[name]))
        np.testing.assert_allclose(*rows, atol=1e-6)


@pytest.mark.parametrize("calls", [0, 1, 8, 20, 29])
def test_killed_while_it_describes(town, expected, calls):
    class Ended(Colours):
        def __call__(self, *inputs, **options):
            if len(self.shapes) >= calls:
                raise Killed
            return super().__call__(*inputs, **options)

    town.describer = Ended()
    with pytest.raises(Killed):
        town.update()
    shown, was_given = _shown(town), town.described
    _assert_like(shown, expected)
    assert len(shown) >= was_given - 2 * GROUP
    town.describer = Colours()
    town.update()
    assert town.described == 20 - len(shown)
    _assert_like(town.found(), expected)
    assert set(town.found()) == set(expected)


def _ended_at(monkeypatch, module, name, moment, before):
    """Lets the moment-th call of a function end the process, before or after its work."""
    calls, function = [], getattr(module, name)

    def call(*inputs, **options):
        calls.append(None)
        if len(calls) == moment and before:
            raise Killed
        function(*inputs, **options)
        if len(calls) == moment:
            raise Killed

    monkeypatch.setattr(module, name, call)
    return calls


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("moment", range(1, 13))
def test_killed_while_it_writes(town, expected, monkeypatch, moment, before):
    """At every file that gets to the disk: manifest, listing, rows, lines, new generation."""
    with monkeypatch.context() as patched:
        calls = _ended_at(patched, os, "fsync", moment, before)
        try:
            town.update()
        except Killed:
            assert len(calls) == moment
    _assert_like(_shown(town), expected)
    town.describer = Colours()
    town.update()
    _assert_like(town.found(), expected)
    assert set(town.found()) == set(expected)
    assert not [path for path in town.index.iterdir() if path.name[0] == "."]


@pytest.mark.parametrize("moment", range(1, 7))
def test_killed_while_it_drops_what_is_gone(town, expected, monkeypatch, moment):
    monkeypatch.setattr(update_module, "COPIED_ROWS", 5)
    town.update()
    for number in range(11):
        (town.photos / f"{number % 3}/{number}.jpg").unlink()
    with monkeypatch.context() as patched:
        _ended_at(patched, os, "fsync", moment, before=True)
        with pytest.raises(Killed):
            town.update()
    _assert_like(town.found(), expected)
    town.update()
    left = {f"{number % 3}/{number}.jpg" for number in range(11, 20)}
    assert set(town.found()) == left
    assert {path.name for path in town.index.glob("descriptors.*")} == {"descriptors.1"}


def test_killed_while_it_looks_at_files(town, monkeypatch):
    monkeypatch.setattr(update_module, "FILES_PER_LOOK", 4)
    monkeypatch.setattr(update_module, "SAVE_SECONDS", -1.0)
    with monkeypatch.context() as patched:
        calls, states = [], update_module.file_states

        def ended(*inputs):
            calls.append(None)
            if len(calls) == 4:
                raise Killed
            return states(*inputs)

        patched.setattr(update_module, "file_states", ended)
        with pytest.raises(Killed):
            town.update()
    looked_at = load_listing(town.index)
    assert len(looked_at.names) == 20
    assert sum(any(digest) for digest in looked_at.digests) == 12
    assert town.update().described == 20


def _index_of_groups(folder):
    """Seven rows in three groups: their digests and descriptors."""
    digests = [bytes([number]) * 16 for number in range(7)]
    rows = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    with Appender(folder, 0, read_contents(folder, 0, no_rows(5, "float32"))) as appender:
        for part in (slice(0, 3), slice(3, 5), slice(5, 7)):
            appender.append(digests[part], rows[part])
    return digests, rows


def test_files_that_break_off_anywhere(tmp_path):
    nothing = no_rows(5, "float32")
    digests, rows = _index_of_groups(tmp_path)
    lines, array = tmp_path / "contents.0.jsonl", tmp_path / "descriptors.0"
    whole_lines, whole_rows = lines.read_bytes(), array.read_bytes()
    ends = [0, *np.cumsum([len(line) + 1 for line in whole_lines.splitlines()]).tolist()]
    for length in range(len(whole_lines) + 1):
        lines.write_bytes(whole_lines[:length])
        array.write_bytes(whole_rows + b"half of a row")
        there = read_contents(tmp_path, 0, nothing)
        groups = sum(length >= end for end in ends[1:])
        count = (0, 3, 5, 7)[groups]
        assert there.row_of == dict(zip(digests[:count], range(count), strict=True))
        np.testing.assert_array_equal(there.descriptors, rows[:count])
    lines.write_bytes(whole_lines[: ends[2] + 9])
    with Appender(tmp_path, 0, read_contents(tmp_path, 0, nothing)) as appender:
        appender.append(digests[5:], rows[5:])
    assert (lines.read_bytes(), array.read_bytes()) == (whole_lines, whole_rows)


@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_a_flipped_bit_is_seen(tmp_path, storage):
    nothing = no_rows(5, storage)
    rows = quantise(np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32), storage)
    digests = [bytes([number + 1]) * 16 for number in range(6)]
    with Appender(tmp_path, 0, read_contents(tmp_path, 0, nothing)) as appender:
        for part in (slice(0, 2), slice(2, 4), slice(4, 6)):
            appender.append(digests[part], rows[part])
    for name in ("descriptors.0", "contents.0.jsonl"):
        path = tmp_path / name
        content = path.read_bytes()
        for place in range(0, len(content), 7):
            flipped = bytearray(content)
            flipped[place] ^= 4
            path.write_bytes(flipped)
            found = read_contents(tmp_path, 0, nothing).row_of
            assert len(found) <= 4
            assert all(digests[row] == digest for digest, row in found.items())
        path.write_bytes(content)


def test_what_a_flipped_bit_has_spoilt_is_described_again(town, expected):
    town.update()
    path = town.index / "descriptors.0"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    assert 14 <= len(town.found()) < 20 and open_index(town.index).missing > 0
    assert 0 < town.update().described <= GROUP
    _assert_like(town.found(), expected)
    assert set(town.found()) == set(expected)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_broken_listing_is_made_anew(town, content):
    town.update()
    path = town.index / "files.npz"
    path.write_bytes(path.read_bytes()[:-50] if content is None else content)
    with pytest.raises(UserError, match=r"list of photographs in .* is missing or broken"):
        open_index(town.index)
    assert town.update().described == 0
    assert len(town.found()) == 20


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_full_disk_is_one_line_and_loses_nothing(town, expected, monkeypatch, writes):
    with monkeypatch.context() as patched:
        written, write = [], contents_module._write

        def full(file, start, content):
            written.append(None)
            if len(written) > writes:
                file.write(content[: len(content) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(file, start, content)

        patched.setattr(contents_module, "_write", full)
        with pytest.raises(UserError, match=r"cannot write .*descriptors\.0: No space left"):
            town.update()
    assert len(_shown(town)) <= GROUP * (writes // 2)
    town.update()
    _assert_like(town.found(), expected)
    assert set(town.found()) == set(expected)


def test_a_search_beside_a_run_sees_what_is_whole(town, expected, tmp_path):
    """Copies of the index after each call of the network, as a reader without a lock sees it."""
    seen = []

    class Watched(Colours):
        def __call__(self, *inputs, **options):
            seen.append(_shown(town))
            return super().__call__(*inputs, **options)

    town.describer = Watched()
    town.update()
    assert len({len(shown) for shown in seen}) >= 3
    for shown in seen:
        _assert_like(shown, expected)
