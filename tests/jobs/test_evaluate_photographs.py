"""The job on photographs as people have them: odd headers, other endings, and what is no file."""

import os
import pathlib

import numpy as np
import pytest

from senet_jax.main import main
from senet_jax.system import runtime
from senet_jax.system.files import write_json
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, exif, picture, with_claimed_size, with_segment
from tests.oracles.lively_twin import lively_weights

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

REPOSITORY = pathlib.Path(__file__).parents[2]
NAMES = [
    "plain",
    "capital",
    "listed.png",
    "deep",
    "short",
    "fifo",
    "absurd",
    "turned",
    "gone",
    "also",
]


@pytest.fixture
def town(tmp_path):
    folder = tmp_path / "town" / "jpg"
    (folder / "1").mkdir(parents=True)
    files = {
        "plain": "plain.jpg",
        "capital": "capital.JPG",
        "listed.png": "listed.png",
        "deep": "1/deep.jpeg",
        "also": "also.jpg",
    }
    for seed, name in enumerate(files):
        content = encoded(picture(40, 48, seed), pathlib.Path(files[name]).suffix)
        (folder / files[name]).write_bytes(content)
    content = encoded(picture(40, 48, seed=9))
    (folder / "short.jpg").write_bytes(content[:-20])
    (folder / "absurd.jpg").write_bytes(with_claimed_size(content, 65_500, 65_500))
    # Whether an orientation of no number at all counts is not said; OpenCV takes it.
    uncounted = exif(6)[:14] + bytes(4) + exif(6)[18:]
    (folder / "turned.jpg").write_bytes(with_segment(content, b"Exif\0\0" + uncounted))
    os.mkfifo(folder / "fifo.jpg")
    save_weights(tmp_path / "weights", lively_weights("tiny_baseline"))
    return folder


@pytest.fixture
def evaluate(tmp_path, run_command_here, monkeypatch):
    # The memory of this process stays as it is.
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)

    def run(names, workdir):
        truth = {
            "imlist": names,
            "qimlist": ["plain"],
            "gnd": [{"easy": [1], "hard": [2], "junk": [], "bbx": [0, 0, 48, 40]}],
        }
        write_json(tmp_path / "town" / "gnd_town.json", truth)
        arguments = [
            "main",
            f"--config={REPOSITORY}/configs/evaluate.py:tiny_baseline",
            f"--workdir={tmp_path / workdir}",
            f"--config.weights={tmp_path / 'weights'}",
            f"--config.data_root={tmp_path}",
            "--config.datasets=town",
            "--config.scales=(1.0,)",
        ]
        return run_command_here(lambda: main(arguments))

    return run


@pytest.mark.slow
def test_each_is_described_or_named_and_the_others_are_as_without_it(evaluate, town, tmp_path):
    done = evaluate(NAMES, "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(
        f"town: 1 of 10 listed images are not in {town}, 'gone.jpg' for one; there are 9 images, "
    )
    skipped = (tmp_path / "run" / "skipped.txt").read_text().splitlines()
    assert len(skipped) == 3
    for name, fault in (
        ("fifo", "it is no regular file"),
        ("absurd", "has 65500x65500 pixels"),
        ("gone", "No such file"),
    ):
        assert any(f"{name}.jpg" in line and fault in line for line in skipped)
    described = np.load(tmp_path / "run" / "descriptors" / "town" / "database.npy")
    assert [NAMES[row] for row in np.flatnonzero(~described.any(axis=1))] == [
        *("fifo", "absurd", "gone")
    ]
    readable = [row for row in range(len(NAMES)) if described[row].any()]
    assert evaluate([NAMES[row] for row in readable], "without").returncode == 0
    without = np.load(tmp_path / "without" / "descriptors" / "town" / "database.npy")
    np.testing.assert_allclose(described[readable], without, atol=1e-5)
