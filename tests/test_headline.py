"""The first command that a user is told of, on real photographs, from beginning to end."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from senet_jax.training.metrics import read_metrics
from tests.processes import ROOT, started, workers_of
from tests.training.training_command import ENVIRONMENT

DATASETS = ROOT.parent / "shared" / "datasets"
IMAGES_OF_A_CLASS = 6
STEPS = 12
WORKERS = 2  # With those of the recipe, training/test_shipped.py trains.


def _command(folder, module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def _done(*arguments):
    done = _command(*arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATASETS / "photos_train").is_dir() or not (DATASETS / "miniphotos").is_dir(),
    reason="no shared/datasets/{photos_train,miniphotos} beside the repository",
)
def test_photographs_to_a_report(tmp_path):
    """Prepared, trained with workers, killed, gone on with, exported, evaluated."""
    for folder in sorted((DATASETS / "photos_train").iterdir()):
        (tmp_path / "photos" / folder.name).mkdir(parents=True)
        for photograph in sorted(folder.iterdir())[:IMAGES_OF_A_CLASS]:
            shutil.copy(photograph, tmp_path / "photos" / folder.name)
    prepared = _done(
        tmp_path, "senet_jax.data.prepare", "folder", "--images=photos", "--target=sets/landmarks"
    )
    assert "24 images of 6 classes" in prepared.stdout

    training = [
        *("--config=" + str(ROOT / "configs" / "r50_cls.py"), "--workdir=run"),
        *("--config.model=demo", "--config.start=", "--config.data.folder=sets/landmarks"),
        *("--config.batch_size=8", "--config.data.side=64", f"--config.epochs={STEPS / 3}"),
        *("--config.optimizer.warmup_epochs=1.0", "--config.checkpoint.every_steps=1"),
        f"--config.data.workers={WORKERS}",
    ]
    flags = [sys.executable, "-m", "senet_jax.main", *training]
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    with started(flags, 1, environment, folder=tmp_path) as (process,):
        checkpoints = tmp_path / "run" / "checkpoints"
        while not any(name.isdigit() for name in _names(checkpoints)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)
        workers = workers_of(process.pid)
        process.kill()
    assert len(workers) == WORKERS
    assert not (tmp_path / "run" / "weights").exists()

    trained = _done(tmp_path, "senet_jax.main", *training)
    said = trained.stderr.splitlines()
    assert said[0] == "computing on 2 devices, cpu (cpu)"
    assert any(line.startswith("resuming from step ") for line in said)
    assert said[-1] == "wrote run/weights and run/report.json"
    assert read_metrics(tmp_path / "run")[-1]["step"] == STEPS
    assert not any(pathlib.Path(f"/proc/{worker}").exists() for worker in workers)

    _done(tmp_path, "senet_jax.convert", "run", "weights/landmarks")
    weights = [
        tmp_path / folder / "weights.safetensors" for folder in ("run/weights", "weights/landmarks")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()

    _done(
        tmp_path,
        "senet_jax.main",
        f"--config={ROOT / 'configs' / 'evaluate.py'}:demo",
        "--workdir=evaluated",
        "--config.weights=weights/landmarks",
        f"--config.data_root={DATASETS}",
        "--config.datasets=miniphotos",
        "--config.scales=(0.25,)",
    )
    report = json.loads((tmp_path / "evaluated" / "report.json").read_text())
    assert 0 < report["miniphotos"]["easy"]["map"] <= 1
    assert report["run"]["random_weights"] is False


def _names(folder):
    return os.listdir(folder) if folder.exists() else []
