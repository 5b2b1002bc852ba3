"""The commands as they ship, from another folder, by a network."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from senet_jax.index import __main__ as index
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture
from tests.oracles.lively_twin import lively_weights
from tests.processes import ROOT


@pytest.fixture
def here(tmp_path, weights):
    """A folder with weights and photographs."""
    shutil.copytree(weights, tmp_path / "weights")
    (tmp_path / "photos" / "below").mkdir(parents=True)
    for number in range(6):
        content = encoded(picture(40, 48, seed=number))
        (tmp_path / "photos" / "below" / f"photo {number}.jpg").write_bytes(content)
    shutil.copy(tmp_path / "photos/below/photo 0.jpg", tmp_path / "photos/copy.jpg")
    (tmp_path / "photos" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(10))
    return tmp_path


def _environment():
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    return environment | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}


def _run(folder, *command):
    done = subprocess.run(
        [sys.executable, "-m", "senet_jax", *command],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done
    assert "grfmt" not in done.stderr  # The words of OpenCV.
    return done.stdout.splitlines()


def test_on_what_weights_were_trained_is_said_once(world, run_command_here, tmp_path):
    source = {"file": "a checkpoint", "training_set": "a town"}
    trained = dataclasses.replace(lively_weights("tiny_baseline"), source=source)
    save_weights(tmp_path / "trained", trained)
    world.write("house.jpg", 0)
    arguments = world.photos, world.index, f"--weights={tmp_path / 'trained'}"
    said = [run_command_here(index.main, *arguments).stdout.splitlines() for _ in range(2)]
    about = [[line for line in lines if "trained on" in line] for lines in said]
    assert about == [["described by tiny_baseline, trained on a town"], ["trained on a town"]]


@pytest.mark.slow
def test_from_a_folder_of_photographs_to_what_is_found(here):
    said = _run(here, "index", "photos", "index", "--weights=weights", "--storage=int8")
    assert said[-1] == "8 photographs: 6 described, 1 CANNOT BE READ, see index/skipped.txt"
    assert "photos/cut.png: its 18 bytes are no image" in said[-2]
    (here / "photos/below/photo 3.jpg").rename(here / "photos/moved.jpg")
    (here / "photos/cut.png").unlink()
    said = _run(here, "index", "photos", "index")
    assert said == ["7 photographs: 0 described, 1 moved or copied, 2 removed"]
    queries = ["photos/moved.jpg", "photos/below/photo 1.jpg"]
    said = _run(here, "search", "index", *queries, "--top=2", "--json=out/found.json")
    found = json.loads((here / "out/found.json").read_text())
    assert [entry["query"] for entry in found] == queries
    for entry in found:
        best = entry["results"][0]
        assert best["path"] == str(here / entry["query"]) and best["score"] > 0.99
        assert f"    1  {best['score']:.4f}  {best['path']}" in said
    said = _run(here, "duplicates", "index", "--threshold=0.9999")
    assert said[-1].startswith("1 groups, with 2 of 7 photographs")
    assert any("photos/copy.jpg" in line for line in said)


@pytest.mark.slow
def test_a_signal_is_one_line(here):
    for copy in range(300):
        shape = 40 + copy % 7, 48 + copy % 5
        (here / "photos" / f"{copy}.jpg").write_bytes(encoded(picture(*shape, seed=copy)))
    process = subprocess.Popen(
        [sys.executable, "-m", "senet_jax", "index", "photos", "index", "--weights=weights"],
        cwd=here,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (here / "index" / "files.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75
    saved = "what is described is kept in index; run the same command again to go on"
    assert said.splitlines()[-1] == f"stopped by SIGTERM: {saved}"
    assert _run(here, "index", "photos", "index", "--weights=weights")
