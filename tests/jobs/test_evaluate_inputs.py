"""Each input of an evaluation is changed alone, in a workdir where all is described already."""

import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from senet_jax.features import origin
from senet_jax.main import main
from senet_jax.system import runtime
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.oracles.lively_twin import lively_weights

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

REPOSITORY = pathlib.Path(__file__).parents[2]
MODEL = "tiny_baseline"
SHAPE = (40, 48)


def _write(path, seed, size=None):
    """A picture, of so many bytes: what follows the end of a JPEG is not read."""
    content = encoded(picture(*SHAPE, seed=seed))
    path.write_bytes(content + bytes((size or 4000) - len(content)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A world, and the workdir of an evaluation in it; not to be changed."""
    root = tmp_path_factory.mktemp("inputs")
    write_dataset(root / "datasets", "town", boxes=[(0, 0, 48, 40), (4, 4, 40, 36)])
    (root / "datasets" / "noise" / "jpg").mkdir(parents=True)
    for seed, name in enumerate(["town/jpg/a", "town/jpg/b", "town/jpg/q", "town/jpg/r"]):
        _write(root / "datasets" / f"{name}.jpg", seed)
    (root / "datasets" / "town" / "jpg" / "c.jpg").write_bytes(b"this is no picture")
    for seed in range(3):
        _write(root / "datasets" / "noise" / "jpg" / f"d{seed}.jpg", 10 + seed)
    save_weights(root / "weights", lively_weights(MODEL))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runtime, "tune_for_inference", lambda: None)
        main(_arguments(root))
    return root


@pytest.fixture
def world(finished, tmp_path, monkeypatch):
    """A copy of both, with the times of the files."""
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    return shutil.copytree(finished, tmp_path / "world")


@pytest.fixture
def evaluate(world, run_command_here):
    return lambda *flags: run_command_here(lambda: main(_arguments(world, *flags)))


def _arguments(world, *flags):
    return [
        "main",
        f"--config={REPOSITORY}/configs/evaluate.py:{MODEL}",
        f"--workdir={world / 'run'}",
        f"--config.weights={world / 'weights'}",
        f"--config.data_root={world / 'datasets'}",
        "--config.datasets=town",
        "--config.distractors=noise",
        "--config.scales=(1.0,)",
        *flags,
    ]


def _descriptors(world):
    return {
        part: np.load(world / "run" / "descriptors" / f"{part}.npy")
        for part in ("town/query", "town/database", "noise/database")
    }


def _replace_weights(world, **changes):
    save_weights(world / "weights", dataclasses.replace(lively_weights(MODEL), **changes))


def _other_tensors(world):
    tensors = dict(lively_weights(MODEL).tensors)
    name = min(tensors)
    _replace_weights(world, tensors=tensors | {name: tensors[name] * 1.5})


def _other_architecture(world):
    architecture = lively_weights(MODEL).architecture
    _replace_weights(
        world, architecture=dataclasses.replace(architecture, stage_strides=(1, 1, 1, 1))
    )


def _other_preprocessing(world):
    preprocessing = lively_weights(MODEL).preprocessing
    _replace_weights(world, preprocessing=dataclasses.replace(preprocessing, channel_order="RGB"))


def _other_ground_truth(world, change):
    folder = world / "datasets" / "town"
    (folder / "gnd_town.pkl").unlink()
    truth = {
        "imlist": ["a", "b", "c"],
        "qimlist": ["q", "r"],
        "gnd": [
            {"easy": [0], "hard": [1], "junk": [], "bbx": [0, 0, 48, 40]},
            {"easy": [2], "hard": [], "junk": [0], "bbx": [4, 4, 40, 36]},
        ],
    }
    change(truth)
    (folder / "gnd_town.json").write_text(json.dumps(truth))


REFUSED = {
    "weights": (_other_tensors, (), "weights "),
    "architecture": (_other_architecture, (), "architecture stage_strides"),
    "preprocessing": (_other_preprocessing, (), "preprocessing channel_order 'BGR'"),
    "scales": (None, ("--config.scales=(0.5,)",), "scales "),
    "mode": (None, ("--config.mode=exact",), "mode 'auto'"),
    "precision": (None, ("--config.precision=bfloat16",), "precision 'float32'"),
    "crop": (None, ("--config.crop_queries=False",), "images "),
    "storage": (None, ("--config.storage=float16",), "storage 'float32'"),
    "order": (
        lambda world: _other_ground_truth(world, lambda truth: truth["imlist"].reverse()),
        (),
        "images ",
    ),
    "box": (
        lambda world: _other_ground_truth(
            world, lambda truth: truth["gnd"][0].update(bbx=[0, 0, 47, 40])
        ),
        (),
        "images ",
    ),
    "one distractor less": (
        lambda world: (world / "datasets" / "noise" / "noise.txt").write_text("d0.jpg\nd1.jpg"),
        (),
        "images ",
    ),
}


@pytest.mark.parametrize("changed", REFUSED)
def test_descriptors_made_in_another_way_are_refused(world, evaluate, changed):
    change, flags, key = REFUSED[changed]
    if change is not None:
        change(world)
    done = evaluate(*flags)
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"was made with {key}" in line and "use another workdir or remove" in line


def test_descriptors_of_other_libraries_are_refused(evaluate, monkeypatch):
    monkeypatch.setattr(origin, "versions", lambda: {"jax": "0.0"})
    done = evaluate()
    assert done.returncode == 2 and "was made with versions senet_jax " in done.stderr


def _exchange(world, name, seed, *, keep_time):
    path = world / "datasets" / f"{name}.jpg"
    status = path.stat()
    _write(path, seed, status.st_size if status.st_size > 1000 else None)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


DESCRIBED_AGAIN = {
    "a query": ("town/query", 1, lambda world: _exchange(world, "town/jpg/r", 90, keep_time=False)),
    "an image of the same size and time": (
        "town/database",
        1,
        lambda world: _exchange(world, "town/jpg/b", 91, keep_time=True),
    ),
    "a distractor": (
        "noise/database",
        2,
        lambda world: _exchange(world, "noise/jpg/d2", 92, keep_time=False),
    ),
    "a repaired image": (
        "town/database",
        2,
        lambda world: _exchange(world, "town/jpg/c", 93, keep_time=True),
    ),
    "a repaired image with another ending": (
        "town/database",
        2,
        lambda world: (
            (world / "datasets/town/jpg/c.jpg").unlink(),
            _write(world / "datasets/town/jpg/c.JPEG", 94),
        ),
    ),
    "one that broke": (
        "noise/database",
        0,
        lambda world: (world / "datasets" / "noise" / "jpg" / "d0.jpg").write_bytes(b"text"),
    ),
}


@pytest.mark.parametrize("changed", DESCRIBED_AGAIN)
def test_a_changed_photograph_is_described_again_and_no_other(world, evaluate, changed):
    part, row, change = DESCRIBED_AGAIN[changed]
    before = _descriptors(world)
    change(world)
    done = evaluate()
    assert done.returncode == 0, done.stderr
    assert f"{part.replace('/', ' ')}: 1 of {len(before[part])} images have changed" in done.stdout
    for name, descriptors in _descriptors(world).items():
        expected = [name == part and index == row for index in range(len(descriptors))]
        assert (descriptors != before[name]).any(axis=1).tolist() == expected
    # It is what a fresh run makes of it.
    kept = _descriptors(world)
    shutil.rmtree(world / "run")
    evaluate()
    np.testing.assert_allclose(kept[part][row], _descriptors(world)[part][row], atol=1e-5)


def test_what_is_only_touched_moved_or_allowed_stays(world, evaluate, tmp_path):
    before = _descriptors(world)
    os.utime(world / "datasets" / "town" / "jpg" / "a.jpg", (1, 1))
    # All files have other times there.
    shutil.copytree(world / "datasets", tmp_path / "moved", copy_function=shutil.copyfile)
    for flags in (
        (),
        (f"--config.data_root={tmp_path / 'moved'}", "--config.allow_unreadable=1.0"),
    ):
        done = evaluate(*flags)
        assert done.returncode == 0, done.stderr
        assert "images have changed" not in done.stdout and "programs" not in done.stdout
    for name, descriptors in _descriptors(world).items():
        np.testing.assert_array_equal(descriptors, before[name])


def test_a_database_of_which_nothing_can_be_read_has_no_score(world, evaluate):
    (world / "run" / "report.json").unlink()
    shutil.rmtree(world / "run" / "descriptors")
    for name in "ab":
        (world / "datasets" / "town" / "jpg" / f"{name}.jpg").write_bytes(b"this is no picture")
    for flags in ((), ("--config.allow_unreadable=1.0",)):
        done = evaluate(*flags)
        assert done.returncode == 2
        assert "town database: 3 of 3 images cannot be read; mend them. The first: " in done.stderr
        assert "mAP" not in done.stdout and not (world / "run" / "report.json").exists()


def test_most_of_a_database_may_be_unreadable_where_it_is_allowed(world, evaluate):
    (world / "datasets" / "town" / "jpg" / "b.jpg").write_bytes(b"this is no picture")
    done = evaluate()
    assert done.returncode == 2
    assert "town database: 2 of 3 images cannot be read" in done.stderr
    assert "or raise --config.allow_unreadable" in done.stderr
    done = evaluate("--config.allow_unreadable=0.7")
    assert done.returncode == 0
    assert "2 of 6 images are UNREADABLE and rank last\n" in done.stdout
    counts = json.loads((world / "run" / "report.json").read_text())["run"]["counts"]
    assert counts["town"]["skipped"] == 2


def test_images_that_are_all_alike_are_told(world, evaluate):
    for name in ("town/jpg/b", "town/jpg/c", "noise/jpg/d0", "noise/jpg/d1", "noise/jpg/d2"):
        shutil.copyfile(world / "datasets/town/jpg/a.jpg", world / "datasets" / f"{name}.jpg")
    done = evaluate()
    assert done.returncode == 0, done.stderr
    assert "warning: town: 3 of 3 images to find have the very score of an image" in done.stderr
