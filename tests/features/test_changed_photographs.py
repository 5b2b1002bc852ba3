"""Descriptors on disk, and photographs that are no longer those that they were made of."""

import os
import shutil

import numpy as np
import pytest

from senet_jax.data import file_state
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features import described_list
from senet_jax.features.store import load_store
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.features.mean_colour import MeanColour
from tests.features.small_list import HALF, ORIGIN, READABLE, SHAPES

MISSING = len(SHAPES)


def _store(tmp_path):
    return load_store(tmp_path / "town", "database", ORIGIN)


def _described_anew(work, tmp_path):
    """What a run in a folder of its own makes of the photographs as they are now."""
    work(folder=tmp_path / "anew")
    store = load_store(tmp_path / "anew", "database", ORIGIN)
    shutil.rmtree(tmp_path / "anew")
    return store


def _assert_up_to_date(work, tmp_path):
    ours, expected = _store(tmp_path), _described_anew(work, tmp_path)
    # In other batches, sums of pixels are rounded in another order.
    np.testing.assert_allclose(ours.descriptors, expected.descriptors, rtol=1e-5)
    assert ours.skipped == expected.skipped
    assert (ours.files["digest"] == expected.files["digest"]).all()


def _same_size_and_time(path):
    status = path.stat()
    content = encoded(np.full((*SHAPES[4], 3), 77, np.uint8))
    # What follows the end of a JPEG is not read.
    path.write_bytes(content + bytes(status.st_size - len(content)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


CHANGES = {
    "edited": (0, lambda path: path.write_bytes(encoded(picture(*SHAPES[0], seed=50)))),
    "another size": (1, lambda path: path.write_bytes(encoded(picture(20, 90, seed=51)))),
    "exchanged": (2, lambda path: shutil.copy2(path.with_name("3.jpg"), path)),
    "the same size and time": (4, _same_size_and_time),
    "repaired": (HALF, lambda path: path.write_bytes(encoded(picture(*SHAPES[HALF], seed=HALF)))),
    "found": (MISSING, lambda path: path.write_bytes(encoded(picture(40, 30, seed=52)))),
    "broken": (6, lambda path: path.write_bytes(b"text")),
    "gone": (7, lambda path: path.unlink()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photograph_is_described_again_and_no_other(
    work, photographs, tmp_path, capsys, change
):
    work()
    before = np.array(_store(tmp_path).descriptors)
    row, apply = CHANGES[change]
    apply(photographs[row].path)
    assert work() == (0 if change in ("broken", "gone") else 1)
    said = capsys.readouterr().out
    assert "town: 1 of 25 images have changed, can be read now, or have no whole" in said
    after = np.array(_store(tmp_path).descriptors)
    np.testing.assert_array_equal(np.delete(after, row, axis=0), np.delete(before, row, axis=0))
    assert (after[row] != before[row]).any()
    _assert_up_to_date(work, tmp_path)
    assert work() == 0


def test_a_photograph_that_is_only_touched_stays(work, photographs, tmp_path, monkeypatch):
    work()
    before = (tmp_path / "town" / "database.npy").read_bytes()
    os.utime(photographs[3].path, (1, 1))
    monkeypatch.setattr(described_list, "plan_job", None)
    assert work() == 0
    assert (tmp_path / "town" / "database.npy").read_bytes() == before
    # Its bytes are not read again the next time, nor are the others'.
    monkeypatch.setattr(file_state, "read_regular", None)
    content = (tmp_path / "town" / "database.json").read_bytes()
    assert work() == 0
    assert (tmp_path / "town" / "database.json").read_bytes() == content


def test_an_unreadable_image_is_tried_again_whatever_its_file(
    work, photographs, tmp_path, monkeypatch
):
    """Memory or a network may have been at fault."""

    def fails(photograph):
        raise UnreadableImage("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr("senet_jax.features.reader.read_part", fails)
        with pytest.raises(UserError, match="25 of 25 images cannot be read"):
            work()
    assert len(_store(tmp_path).skipped) == 25
    assert work() == READABLE
    _assert_up_to_date(work, tmp_path)


def test_another_reason_is_told(work, photographs, tmp_path):
    work()
    photographs[MISSING].path.write_bytes(b"text")
    assert work() == 0
    assert "its 4 bytes are no image" in _store(tmp_path).skipped[MISSING]


def test_a_folder_that_is_gone_costs_no_descriptor(work, photographs, tmp_path):
    work()
    content = {path.name: path.read_bytes() for path in (tmp_path / "town").iterdir()}
    folder = photographs[0].folder
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"town: 25 of 25 images cannot be read; mend them\. The"):
        work()
    (tmp_path / "elsewhere").rename(folder)
    assert work() == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "town").iterdir()} == content


@pytest.mark.parametrize("change", CHANGES)
def test_shards_of_changed_photographs_are_made_again(work, ended, photographs, tmp_path, change):
    row, apply = CHANGES[change]
    apply(photographs[row].path)
    described = work()
    assert described <= 6  # As many as are in a shard.
    assert not ended.exists()
    _assert_up_to_date(work, tmp_path)
    assert work() == 0


def test_a_broken_descriptor_is_described_again(work, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("senet_jax.features.store.BLOCK_ROWS", 10)
    work()
    path = tmp_path / "town" / "database.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # In the last of three blocks.
    path.write_bytes(content)
    assert work() == 4
    assert "town: 5 of 25 images have changed" in capsys.readouterr().out
    _assert_up_to_date(work, tmp_path)


@pytest.mark.parametrize("calls", [0, 1])
def test_an_update_that_was_ended_goes_on(work, photographs, tmp_path, calls):
    class Ended(MeanColour):
        def __call__(self, *inputs, **options):
            if len(self.shapes) >= calls:
                raise KeyboardInterrupt
            return super().__call__(*inputs, **options)

    work()
    for row in (0, 1):
        CHANGES["edited"][1](photographs[row].path)
    with pytest.raises(KeyboardInterrupt):
        work(describer=Ended())
    assert work() == 2
    _assert_up_to_date(work, tmp_path)


def test_more_than_is_allowed_cannot_be_read(work, photographs, tmp_path):
    work()
    for row in range(12):
        photographs[row].path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"town: 13 of 25 images .* raise --config.allow_unread"):
        work()
    assert work(allow_unreadable=0.52) == 0
    assert len(_store(tmp_path).skipped) == 13
    with pytest.raises(UnreadableImage, match=r"0\.jpg: its 4 bytes are no image"):
        work(skip_unreadable=False)
