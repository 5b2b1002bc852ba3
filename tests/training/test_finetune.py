"""From a checkpoint and folders of photographs to weights of one's own, by the commands."""

import os
import subprocess
import sys

import numpy as np
import pytest

from senet_jax.convert.__main__ import main as convert
from senet_jax.data.prepare import main as prepare
from senet_jax.report.__main__ import main as report
from senet_jax.system.files import read_json
from senet_jax.weights import load_weights
from tests.data.pictures import encoded, picture
from tests.oracles.lite0 import needs_lite0
from tests.processes import ROOT
from tests.training.training_command import ENVIRONMENT

pytestmark = pytest.mark.slow


def _train(folder, workdir, **changes):
    settings = {"model": "tiny", "data__side": 32, "epochs": 4.0} | changes
    flags = [f"--config.{key.replace('__', '.')}={value}" for key, value in settings.items()]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "senet_jax.main"),
            *(f"--config=configs/finetune.py:{folder}", f"--workdir={workdir}", *flags),
        ],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def assert_learned(before, after):
    """All parameters did, and the running averages stayed."""
    for path, tensor in before.tensors.items():
        changed = (after.tensors[path] != tensor).any()
        assert changed == path.startswith("params/"), path


@pytest.fixture
def photographs(tmp_path):
    """Three classes of seven, one of three, in a folder each."""
    for label, count in enumerate((7, 7, 7, 3)):
        folder = tmp_path / "photographs" / f"class {label}"
        folder.mkdir(parents=True)
        for view in range(count):
            scene, change = picture(48, 64, label), picture(48, 64, 100 + 10 * label + view)
            mixed = (0.7 * scene + 0.3 * change).astype(np.uint8)
            (folder / f"{view}.png").write_bytes(encoded(mixed, ".png"))
    return tmp_path / "photographs"


def test_from_a_checkpoint_and_photographs_to_weights(tmp_path, photographs, run_command_here):
    def run(main, *arguments):
        done = run_command_here(main, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    checkpoint, start = tmp_path / "senet.pth", tmp_path / "weights" / "senet"
    run(convert, "random:tiny:0", checkpoint)
    run(convert, checkpoint, start)
    folder, workdir = tmp_path / "sets" / "mine", tmp_path / "runs" / "mine"
    said = run(prepare, "folder", f"--images={photographs}", f"--target={folder}")
    assert "18 images of 4 classes" in said and "mine_held_out: 3 queries and 3 images" in said
    assert f"--config=configs/finetune.py:{folder} --workdir=runs/mine\n" in said

    said = _train(folder, workdir, start=start, evaluation__scales="(1.0,)")
    assert (
        f"starting from {start}: trunk taken (85 tensors), self_similarity taken (23 tensors), "
        "head taken (2 tensors), classes fresh\n"
    ) in said
    found = read_json(workdir / "report.json")
    assert set(found) == {"mine_held_out", "mine_held_out_untrained", "run"}
    for name in ("mine_held_out", "mine_held_out_untrained"):
        assert len(found[name]["medium"]["per_query"]) == 3
    before, after = load_weights(start), load_weights(workdir / "weights")
    assert_learned(before, after)

    run(report, workdir)
    assert {path.name for path in workdir.glob("*.png")} == {
        "learning_curve.png",
        "ranked_lists.png",
    }
    run(convert, workdir, tmp_path / "mine.pth")
    assert (tmp_path / "mine.pth").is_file()


@needs_lite0
def test_from_the_weights_that_a_package_carries(tmp_path, photographs, run_command_here):
    """A network of another family, whose pixels are prepared otherwise."""
    start, folder, workdir = (tmp_path / name for name in ("lite0", "mine", "run"))
    for main, *arguments in (
        (convert, "pretrained:lite0", start),
        (prepare, "folder", f"--images={photographs}", f"--target={folder}"),
    ):
        assert run_command_here(main, *arguments).returncode == 0
    changes = {"epochs": 1.0, "optimizer.warmup_epochs": 0.0, "evaluation.datasets": ""}
    said = _train(folder, workdir, model="lite0", start=start, **changes)
    assert f"starting from {start}: trunk taken (245 tensors), classes fresh\n" in said
    before, after = load_weights(start), load_weights(workdir / "weights")
    assert after.preprocessing == before.preprocessing and after.architecture == before.architecture
    assert_learned(before, after)
