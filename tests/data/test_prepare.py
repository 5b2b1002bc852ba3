import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from senet_jax.data import prepare
from senet_jax.data.ground_truth import load_ground_truth
from senet_jax.data.prepared import open_prepared
from senet_jax.data.revisitop import load_dataset
from senet_jax.data.synthetic_landmarks import DATASETS, TINY, training_source, write_evaluation
from senet_jax.system.errors import run_command

from .pictures import encoded, picture

REPOSITORY = pathlib.Path(__file__).parents[2]
CONTENT = encoded(picture(48, 64))


@pytest.fixture
def run_prepare(monkeypatch, capsys):
    """Runs the command in this process; gives its exit code, output and errors."""

    def run(*arguments):
        monkeypatch.chdir(REPOSITORY)
        monkeypatch.setattr(sys, "argv", ["prepare", *arguments])
        code = 0
        try:
            run_command(prepare.main)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def _write(folder, **contents):
    for place, content in contents.items():
        path = folder / place.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".jpg").write_bytes(content)


def test_a_folder(tmp_path):
    _write(tmp_path / "images", church__a=CONTENT, church__b=CONTENT, tower__a=CONTENT)
    _write(tmp_path / "images", tower__b=b"text", well__a=b"")
    target = tmp_path / "sets" / "town"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "senet_jax.data.prepare", "folder"),
            *(f"--images={tmp_path / 'images'}", f"--target={target}"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"wrote {target}: 3 images of 3 classes (1 have one image, 1 have none); dropped: "
        "2 unreadable (see report.json)\n"
        "nothing is held out to evaluate on: that takes two classes of 4 images or more\n"
        f"train on it: python -m senet_jax.main --config=configs/finetune.py:{target} "
        "--workdir=runs/town\n"
    )
    prepared = open_prepared(target)
    assert prepared.class_names == ["church", "tower", "well"]
    assert prepared.labels.tolist() == [0, 0, 1]
    assert prepared.read(2) == ("tower/a.jpg", CONTENT)


def _seven_churches_and_towers(folder):
    places = [f"{name}__{i}" for name in ("church", "tower") for i in range(7)]
    _write(folder, **{place: encoded(picture(48, 64, i)) for i, place in enumerate(places)})
    return f"--images={folder}"


def test_a_part_of_a_folder_is_held_out(tmp_path, run_prepare):
    images = _seven_churches_and_towers(tmp_path / "images")
    target = tmp_path / "sets" / "town"
    first = run_prepare("folder", images, f"--target={target}")
    assert first[0] == 0, first
    assert f"{target}: 10 images of 2 classes" in first[1]
    assert f"{target}_held_out: 2 queries and 2 images, held out to evaluate on\n" in first[1]
    dataset, prepared = load_dataset(target.parent, "town_held_out"), open_prepared(target)
    shown = {photograph.path.read_bytes() for photograph in (*dataset.queries, *dataset.images)}
    assert len(shown) == 4
    assert shown.isdisjoint(prepared.read(index)[1] for index in range(10))

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "sets").rglob("*")}
    code, output, _ = run_prepare("folder", images, f"--target={target}")
    assert (code, output.replace("there already is", "wrote", 1)) == first[:2]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "sets").rglob("*")} == times
    shutil.rmtree(tmp_path / "sets" / "town_held_out")  # As after a kill.
    code, output, _ = run_prepare("folder", images, f"--target={target}")
    assert (code, output.replace("there already is", "wrote", 1)) == first[:2]


@pytest.mark.parametrize("before", ["0", "0.5"])
def test_what_is_held_out_was_never_trained_on(tmp_path, run_prepare, before):
    """Not even where one of the two folders was made with another share."""
    images, target = _seven_churches_and_towers(tmp_path / "images"), tmp_path / "town"
    arguments = ("folder", images, f"--target={target}")
    assert run_prepare(*arguments, f"--held_out={before}")[0] == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    code, _, errors = run_prepare(*arguments)
    assert (code, errors.count("\n")) == (2, 1)
    assert "choose another place or remove it" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_links_to_nothing_and_what_is_no_file_are_dropped_and_counted(tmp_path, run_prepare):
    _write(tmp_path / "images", church__a=CONTENT, tower__short=CONTENT[:-2])
    (tmp_path / "images" / "church" / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "images" / "tower" / "fifo.jpg")
    arguments = (f"--images={tmp_path / 'images'}", f"--target={tmp_path / 'town'}")
    code, output, errors = run_prepare("folder", *arguments)
    assert (code, errors) == (0, "")
    assert "2 images of 2 classes" in output and "dropped: 1 missing, 1 unreadable" in output
    report = json.loads((tmp_path / "town" / "report.json").read_text())
    assert report["dropped"]["missing"]["images"] == {
        "church/gone.jpg": "No such file or directory"
    }
    assert report["dropped"]["unreadable"]["images"] == {"tower/fifo.jpg": "it is no regular file"}


def test_gldv2_clean(tmp_path, run_prepare):
    ids = ["0123456789abcdef", "00ff00ff00ff00ff", "ffff000000000000"]
    (tmp_path / "train_clean.csv").write_text(
        f"landmark_id,images\n20,{ids[0]} {ids[1]}\n7,{ids[2]}\n"
    )
    _write(tmp_path, **{f"0__1__2__{ids[0]}": CONTENT, f"f__f__f__{ids[2]}": CONTENT})
    code, output, errors = run_prepare(
        "gldv2_clean",
        f"--csv={tmp_path / 'train_clean.csv'}",
        f"--images={tmp_path}",
        f"--target={tmp_path / 'gldv2'}",
    )
    assert (code, errors) == (0, "")
    assert "2 images of 2 classes (2 have one image, 0 have none); dropped: 1 missing" in output
    prepared = open_prepared(tmp_path / "gldv2")
    assert (prepared.name, prepared.class_names) == ("gldv2_clean", ["7", "20"])
    assert [prepared.read(index)[0] for index in range(2)] == [ids[2], ids[0]]
    report = json.loads((tmp_path / "gldv2" / "report.json").read_text())
    assert list(report["dropped"]["missing"]["images"]) == [ids[1]]


def test_generated_landmarks(tmp_path, run_prepare):
    arguments = ("synthetic_landmarks", f"--target={tmp_path}", "--size=tiny", "--seed=3")
    code, output, errors = run_prepare(*arguments, "--training_families=2", "--distractors=0")
    assert (code, errors) == (0, "")
    assert output.splitlines()[0] == (
        f"wrote {tmp_path / 'synthetic_landmarks'}: 24 images of 6 classes (0 have one image, "
        "0 have none); dropped: none (see report.json)"
    )
    world = dataclasses.replace(TINY, seed=3, training_families=2, distractors=0)
    source, prepared = training_source(world), open_prepared(tmp_path / "synthetic_landmarks")
    assert [prepared.read(i) for i in range(24)] == [
        (source.keys[i], source.read(i)) for i in range(24)
    ]
    for split, names in DATASETS.items():
        for name in names:
            truth = load_ground_truth(tmp_path / name / f"gnd_{name}.pkl")
            assert truth.image_names == tuple(shot.name for shot in world.database_of(split))
    assert sorted(line.split(": ")[1] for line in output.splitlines()[1:]) == sorted(
        f"{', '.join(names)} ({split})" for split, names in DATASETS.items()
    )
    code, _, errors = run_prepare(*arguments[:-1], "--seed=4")
    assert code == 2
    assert "synthetic_landmarks is made of another list of images" in errors


def test_more_distractors_for_generated_landmarks(tmp_path, run_prepare):
    write_evaluation(TINY, "evaluation", tmp_path)
    arguments = ("synthetic_distractors", f"--target={tmp_path}", "--count=3", "--processes=2")
    assert run_prepare(*arguments)[:2] == (
        0,
        f"wrote {tmp_path / 'synthetic_distractors'}: 3 pictures; in an evaluation of {tmp_path}: "
        "--config.distractors=synthetic_distractors\n",
    )


def test_a_second_run_says_so_and_does_nothing(tmp_path, run_prepare):
    _write(tmp_path / "images", church__a=CONTENT)
    arguments = ("folder", f"--images={tmp_path / 'images'}", f"--target={tmp_path / 'town'}")
    first = run_prepare(*arguments)
    assert first[0] == 0 and first[1].startswith(f"wrote {tmp_path / 'town'}: 1 images")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "town").iterdir()}
    assert run_prepare(*arguments) == (0, first[1].replace("wrote", "there already is"), "")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "town").iterdir()} == times


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: NAME"),
        (("gldv3",), "invalid choice: 'gldv3'"),
        (("folder", "--images=senet_jax"), "required: --target"),
        (("folder", "--images=nowhere", "--target=x"), "no folder nowhere; check the path"),
        (("gldv2_clean", "--images=senet_jax", "--csv=x.csv", "--target=x"), "cannot read x.csv"),
        (("synthetic_landmarks", "--target=x", "--side=8"), "a world's side is 8"),
        (("synthetic_distractors", "--target=x"), "x holds no generated world, whose distractors"),
        (
            ("synthetic_distractors", "--target=x", "--count=0"),
            "the count of distractors is 0; give 1 to",
        ),
        (("synthetic_distractors", "--target=x", "--processes=0"), "--processes is 0; give 1 to"),
        (("synthetic_landmarks", "--target=x", "--size=big"), "invalid choice: 'big'"),
        (("folder", "--images=tests", "--target=senet_jax"), "is no prepared dataset"),
        (("folder", "--images=tests", "--target=x", "--held_out=0.9"), "--held_out is 0.9; give"),
        (("folder", "--images=tests", "--target=x", "--held_out=nan"), "--held_out is nan; give"),
    ],
)
def test_a_mistake_is_one_line(run_prepare, arguments, message):
    code, output, errors = run_prepare(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert message in errors
