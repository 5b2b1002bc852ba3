import functools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from configs import evaluate
from senet_jax.data import problems
from senet_jax.data.problems import find_problems
from senet_jax.data.revisitop import Photograph
from senet_jax.system.progress import Progress

from .pictures import (
    MINIPHOTOS,
    encoded,
    needs_miniphotos,
    picture,
    with_claimed_size,
    write_dataset,
)

REPOSITORY = pathlib.Path(__file__).parents[2]
CONTENT = encoded(picture(48, 64))


def _write(folder, **contents):
    for name, content in contents.items():
        (folder / f"{name}.jpg").write_bytes(content)


def _problems(folder, *photographs):
    """`kind file` of each problem, in order."""
    found = find_problems([Photograph(folder, *photograph) for photograph in photographs])
    return [f"{p.kind} {p.message.partition(f'{folder}{os.sep}')[2].split(':')[0]}" for p in found]


def _check(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "senet_jax.data.check", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )


def test_clean_photographs_have_no_problem(tmp_path):
    _write(tmp_path, a=CONTENT, q=encoded(picture(32, 32)))
    assert _problems(tmp_path, ("a.jpg",), ("q.jpg", (0, 0, 32, 32))) == []


def test_missing_and_unreadable_images(tmp_path):
    short = encoded(picture(48, 64), ".png")[:-100]
    _write(tmp_path, text=b"this is no picture", empty=b"", short=short)
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "fifo.jpg")
    names = ("text.jpg", "empty.jpg", "gone.jpg", "short.jpg", "folder.jpg", "fifo.jpg")
    assert _problems(tmp_path, *[(name,) for name in names]) == [
        "unreadable text.jpg",
        "unreadable empty.jpg",
        "missing gone.jpg",
        "unreadable short.jpg",
        "unreadable folder.jpg",
        "unreadable fifo.jpg",
    ]


@pytest.mark.parametrize("kept", [-1, -2, -100])
def test_a_jpeg_that_is_cut_short(tmp_path, kept):
    _write(tmp_path, whole=CONTENT, short=encoded(picture(48, 64, seed=1))[:kept])
    assert _problems(tmp_path, ("whole.jpg",), ("short.jpg",)) == ["cut short short.jpg"]


@pytest.mark.parametrize(("suffix", "white"), [(".png", 65535), (".tif", 65535), (".png", 255)])
def test_8_bit_numbers_in_a_16_bit_file_come_out_black(tmp_path, suffix, white):
    deep = picture(48, 64).astype(np.uint16) * (white // 255)
    black = np.zeros((48, 64), np.uint8)
    _write(tmp_path, deep=encoded(deep, suffix), black=encoded(black, suffix))
    expected = ["dark deep.jpg", "duplicate black.jpg"] if white == 255 else []
    assert _problems(tmp_path, ("deep.jpg",), ("black.jpg",)) == expected


def test_photographs_too_large_for_the_memory(tmp_path):
    absurd = with_claimed_size(encoded(picture(48, 64, seed=2)), 65_500, 65_500)
    _write(tmp_path, a=CONTENT, b=encoded(picture(48, 65), ".png"), absurd=absurd)
    photographs = [("a.jpg",), ("b.jpg",), ("b.jpg", (0, 0, 64, 48)), ("absurd.jpg",)]
    found = find_problems([Photograph(tmp_path, *each) for each in photographs], 48 * 64)
    assert [(problem.kind, problem.message) for problem in found] == [
        (
            "large",
            f"{tmp_path / name}.jpg has {size} pixels to describe, the memory suffices for 3,072; "
            "make it smaller, leave it out, or give smaller scales",
        )
        for name, size in (("b", "65x48"), ("absurd", "65500x65500"))
    ]


def test_scales_are_those_of_the_config():
    assert max(evaluate.get_config("tiny").scales) == problems.LARGEST_SCALE


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 64, 48), []),
        ((5, 5, 5, 40), ["box q.jpg"]),
        ((50, 5, 10, 40), ["box q.jpg"]),
        ((-4, 5, 40, 40), ["box q.jpg"]),
        ((64, 0, 99, 48), ["box q.jpg"]),
        ((0, 0, 65, 48), ["clamped q.jpg"]),
        ((0, 0, 64, 48.9), []),
        ((0, 0, 64, 49), ["clamped q.jpg"]),
        ((0, 0, 31, 48), ["small q.jpg"]),
        ((40, 0, 99, 48), ["clamped q.jpg", "small q.jpg"]),
    ],
)
def test_boxes(tmp_path, box, expected):
    _write(tmp_path, q=CONTENT)
    assert _problems(tmp_path, ("q.jpg", box)) == expected


def test_every_box_of_an_image_that_is_read_once(tmp_path, monkeypatch):
    _write(tmp_path, q=CONTENT)
    paths = []
    read = problems.read_image_file
    monkeypatch.setattr(problems, "read_image_file", lambda path: paths.append(path) or read(path))
    photographs = [("q.jpg",), ("q.jpg", (0, 0, 40, 0)), ("q.jpg", (0, 0, 99, 40))]
    assert _problems(tmp_path, *photographs) == ["box q.jpg", "clamped q.jpg"]
    assert paths == [tmp_path / "q.jpg"]


@pytest.mark.parametrize(("height", "width"), [(31, 64), (64, 31), (1, 1)])
def test_small_images(tmp_path, height, width):
    _write(tmp_path, a=encoded(picture(height, width)))
    assert _problems(tmp_path, ("a.jpg",)) == ["small a.jpg"]


def test_duplicates_are_equal_pixels_of_equal_shape(tmp_path):
    black = np.zeros((32, 64, 3), np.uint8)
    _write(
        tmp_path,
        a=encoded(black, ".png"),
        b=encoded(black, ".bmp"),
        c=encoded(black.reshape(64, 32, 3), ".png"),
        d=CONTENT,
        e=encoded(black),
    )
    names = [(f"{name}.jpg",) for name in "abcde"]
    assert _problems(tmp_path, *names) == ["duplicate b.jpg", "duplicate e.jpg"]


def test_progress_counts_files(tmp_path, monkeypatch, capsys):
    _write(tmp_path, a=CONTENT)
    monkeypatch.setattr(problems, "Progress", functools.partial(Progress, seconds_between=(0,)))
    list(find_problems([Photograph(tmp_path, "a.jpg"), Photograph(tmp_path, "b.jpg")]))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("reading: 1/2 images, ")
    assert lines[1].startswith("reading: 2/2 images, ")


def test_command_lists_everything_and_fails(tmp_path):
    write_dataset(tmp_path, "town", boxes=[(0, 0, 40, 40), (9, 9, 0, 0)])
    folder = tmp_path / "town" / "jpg"
    _write(folder, a=CONTENT, b=b"text", q=CONTENT, r=encoded(picture(48, 64, seed=1)))
    done = _check(tmp_path, "town")
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        f"town: 1 of 5 listed images are not in {folder}, 'c.jpg' for one; there are 4 images, "
        "'a.jpg' for one",
        f"unreadable: cannot read the image {folder / 'b.jpg'}: its 4 bytes are no image, or one "
        "cut short; get it again",
        f"missing: cannot read the image {folder / 'c.jpg'}: No such file or directory; check the "
        "file",
        f"duplicate: {folder / 'q.jpg'}: the same pixels as a.jpg",
        f"box: {folder / 'r.jpg'}: the box [9.0, 9.0, 0.0, 0.0] is inverted, the image is 64x48; "
        "a box is (x1, y1, x2, y2) with 0 <= x1 < x2, 0 <= y1 < y2 and a corner in the image",
        "town: 3 images, 2 queries; 1 missing, 1 unreadable, 1 box, 1 duplicate",
    ]
    assert done.stderr == (
        "error: town has 3 problems that stop or change an evaluation; "
        "mend what is listed as missing, unreadable, large, box\n"
    )


def test_a_ground_truth_of_another_name_makes_no_distractors(tmp_path):
    write_dataset(tmp_path, "town")
    _write(tmp_path / "town" / "jpg", a=CONTENT)
    (tmp_path / "town").rename(tmp_path / "village")
    done = _check(tmp_path, "village")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no gnd_village.pkl or gnd_village.json in " in done.stderr
    assert "but 'gnd_town.pkl'; give that the dataset's name, or the folder\n" in done.stderr


def test_names_cannot_write_to_the_terminal(tmp_path):
    folder = tmp_path / "noise" / "jpg"
    folder.mkdir(parents=True)
    (folder / "\x1b[31ma\n.jpg").write_bytes(encoded(picture(20, 64)))
    (folder / "\x1b[31mb.jpg").write_bytes(encoded(picture(20, 64)))
    (folder / "\x1b[31mc.jpg").write_bytes(b"text")
    done = _check(tmp_path, "noise")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        *("small", "small", "duplicate", "unreadable", "noise")
    ]
    assert all(map(str.isprintable, done.stdout.splitlines()))


def test_command_passes_what_is_only_suspicious(tmp_path):
    folder = tmp_path / "noise" / "jpg"
    folder.mkdir(parents=True)
    _write(folder, a=encoded(picture(20, 64)), b=CONTENT)
    (folder / os.fsdecode(b"\xe9.jpg")).write_bytes(encoded(picture(20, 50)))
    done = _check(tmp_path, "noise")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"small: {folder / 'a.jpg'}: 64x20 pixels",
        rf"small: {folder}{os.sep}\udce9.jpg: 50x20 pixels",
        "noise: 3 distractors; 2 small",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "town"), "no folder nowhere"),
        (("senet_jax", "town"), "no folder senet_jax/town"),
        (("senet_jax", "data"), "no folder senet_jax/data/jpg"),
        (("senet_jax",), "required: NAME"),
    ],
)
def test_command_names_the_mistake_in_one_line(arguments, message):
    done = _check(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


@needs_miniphotos
def test_command_on_photographs():
    done = _check(MINIPHOTOS.parent, MINIPHOTOS.name)
    assert done.returncode == 0
    assert done.stdout == "miniphotos: 38 images, 5 queries; nothing wrong\n"
