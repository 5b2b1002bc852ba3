"""A folder with everything in it that is no photograph: nothing of it hangs or ends the work."""

import errno
import json
import os

import pytest

from senet_jax.index import held
from senet_jax.index import searcher as searcher_module
from senet_jax.index.held import bring_up_to_date
from senet_jax.index.photographs import LONG_SIDE
from senet_jax.search.__main__ import main as search_main
from tests.data.pictures import encoded, picture, with_broken_pixels, with_claimed_size
from tests.index.conftest import Colours

NAMES = (
    "with blanks  and tabs\t.jpg",
    'quote\'s "both".jpg',
    "line\nbreak.jpg",
    "Фото 写真 📷.jpg",
    "<script>alert(1)</script>.jpg",
    "back\\slash.JPG",
    "%2e%2e.jpg",
    "-flag.jpg",
)

LOCKED = "locked.jpg"


@pytest.fixture(autouse=True)
def no_permission(monkeypatch):
    """What the system says of a file without permissions to all but root, also to root."""
    opened = os.open

    def refuse(path, *inputs, **options):
        if str(path).endswith(LOCKED):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, *inputs, **options)

    monkeypatch.setattr(os, "open", refuse)


@pytest.fixture
def hostile(world):
    for number, name in enumerate(NAMES):
        world.write(f"{'deep/' * number}{name.replace('/', '')}", number)
    raw = os.fsencode(world.photos) + b"/not utf-8 \xff\xfe.jpg"
    with open(raw, "wb") as file:
        file.write(encoded(picture(30, 40, seed=50)))
    for number, suffix in enumerate((".png", ".webp", ".tiff", ".avif", ".bmp")):
        world.write(f"kind{suffix}", 60 + number, suffix)
    # What is there for no photograph at all.
    world.photos.joinpath("loop").symlink_to(world.photos)
    world.photos.joinpath("deep/back").symlink_to(world.photos / "deep")
    world.photos.joinpath("folder.jpg").mkdir()
    world.photos.joinpath("notes.txt").write_text("text")
    return world


def _broken(world):
    """Files that cannot be read: name -> what is said of it."""
    photos = world.photos
    (photos / "text.jpg").write_text("this is no picture")
    (photos / "text.heic").write_text("this is no picture either")
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "empty too.jpg").write_bytes(b"")
    (photos / "cut.png").write_bytes(encoded(picture(30, 40), ".png")[:60])
    (photos / "bomb.jpg").write_bytes(with_claimed_size(encoded(picture(30, 40)), 65000, 65000))
    (photos / "pixels.jpg").write_bytes(with_broken_pixels(encoded(picture(30, 40))))
    (photos / "nothing.jpg").symlink_to("nowhere")
    (photos / "itself.jpg").symlink_to("itself.jpg")
    os.mkfifo(photos / "fifo.jpg")
    expected = {
        "text.jpg": "no image",
        "text.heic": "no image",
        "empty.jpg": "it is the same as empty too.jpg",
        "empty too.jpg": "the file is empty",
        "cut.png": "no image, or one cut short",
        "bomb.jpg": "has 65000x65000 pixels, the memory suffices for",
        "pixels.jpg": "no image, or one cut short",
        "nothing.jpg": "No such file or directory",
        "itself.jpg": "Too many levels of symbolic links",
        "fifo.jpg": "it is no regular file",
    }
    (photos / LOCKED).write_bytes(encoded(picture(30, 40, seed=99)))
    (photos / LOCKED).chmod(0)
    return expected | {LOCKED: "Permission denied"}


def test_all_photographs_are_found_and_all_else_is_named(hostile):
    good = hostile.update().index.listing.names
    assert len(good) == len(NAMES) + 1 + 5
    expected = _broken(hostile)
    updated = hostile.update()
    assert updated.described == 0 and set(hostile.found()) == set(good)
    for name, why in expected.items():
        [line] = [line for line in updated.skipped if f"{hostile.photos}/{name}" in line]
        assert why in line and line.isprintable()
    assert len(updated.skipped) == len(expected)
    said = (hostile.index / "skipped.txt").read_text().splitlines()
    assert said == list(updated.skipped)


def test_the_same_in_the_first_run(hostile):
    expected = _broken(hostile)
    updated = hostile.update()
    assert updated.described == len(NAMES) + 1 + 5
    assert len(updated.skipped) == len(expected)


def test_one_that_was_mended_is_described_the_next_time(hostile):
    expected = _broken(hostile)
    hostile.update()
    (hostile.photos / "fifo.jpg").unlink()
    for seed, name in enumerate(("text.jpg", "empty.jpg", "fifo.jpg"), 7000):
        hostile.write(name, seed)
    updated = hostile.update()
    assert updated.described == 3
    assert len(updated.skipped) == len(expected) - 3
    assert {"text.jpg", "empty.jpg", "fifo.jpg"} <= set(hostile.found())


def test_a_folder_of_garbage_alone_ends_well(world):
    expected = _broken(world)
    updated = world.update()
    assert (updated.described, len(updated.skipped)) == (0, len(expected))


def test_a_large_photograph_is_shrunk(world):
    world.write("small.jpg", 0)
    (world.photos / "large.jpg").write_bytes(encoded(picture(2 * LONG_SIDE, 1000)))
    assert world.update().described == 2
    sides = {side for shape in world.describer.shapes for side in shape[1:3]}
    assert 1.4 * LONG_SIDE < max(sides) < 1.5 * LONG_SIDE


@pytest.fixture
def search(hostile, run_command_here, monkeypatch, capsys):
    """The command on an index of what is there now."""
    monkeypatch.setattr(searcher_module.Describer, "of", lambda weights: Colours())
    hostile.update()
    capsys.readouterr()
    return lambda *arguments: run_command_here(search_main, hostile.index, *arguments)


def test_each_that_is_broken_is_no_query(hostile, search):
    for name, why in _broken(hostile).items():
        done = search(hostile.photos / name)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
        assert name in done.stderr
        assert why in done.stderr or "the same as" in why


@pytest.mark.parametrize("backend", ["files", "faiss(index=Flat)"])
def test_what_is_found_keeps_its_name_on_one_line(hostile, search, tmp_path, monkeypatch, backend):
    monkeypatch.setattr(held, "SPARE", 0)
    index = hostile.update().index
    bring_up_to_date(hostile.index, index.database, index.searched_key, backend)
    out = tmp_path / "found.json"
    paths = [index.listing.path(name) for name in index.listing.names]
    done = search(*paths, "--top=3", f"--json={out}")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 4 * len(paths) and all(line.isprintable() for line in lines)
    for path, entry in zip(paths, json.loads(out.read_text()), strict=True):
        assert entry["query"] == entry["results"][0]["path"] == path


def test_a_jpeg_that_is_cut_short_counts_as_far_as_it_goes(world):
    whole = encoded(picture(300, 400))
    (world.photos / "half.jpg").write_bytes(whole[: len(whole) // 2])
    assert world.update().described == 1 and set(world.found()) == {"half.jpg"}
