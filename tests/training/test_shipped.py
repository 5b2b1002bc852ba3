"""The first steps of every training that is shipped, by its command and with its own workers."""

import os
import subprocess
import sys

import pytest

from senet_jax.system.files import read_json
from tests.processes import ROOT
from tests.test_config import TRAININGS
from tests.training.training_command import ENVIRONMENT

SMALL = {
    "model": "tiny",
    "start": "",
    "batch_size": 8,
    "epochs": 2 / 3,
    "data.side": 32,
    "optimizer.warmup_epochs": 1 / 6,
}
QUICK = ("r50_cls.py",)


@pytest.mark.parametrize(
    "arguments",
    [each if each == QUICK else pytest.param(each, marks=pytest.mark.slow) for each in TRAININGS],
    ids=":".join,
)
def test_it_takes_its_first_steps(arguments, tiny_world, tmp_path):
    file, *name = arguments
    if file == "finetune.py":
        name = [str(tiny_world / "landmarks_to_learn")]
    places = {
        "data.folder": tiny_world / "landmarks_to_learn",
        "evaluation.data_root": tiny_world,
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "senet_jax.main", f"--workdir={tmp_path / 'run'}"),
            f"--config={':'.join([str(ROOT / 'configs' / file), *name])}",
            *(f"--config.{key}={value}" for key, value in (SMALL | places).items()),
        ],
        cwd=tmp_path,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "computing on 2 devices, cpu (cpu)"
    steps = "2/2" if file == "demo.py" else "4/4"  # An epoch of the demo is its families.
    assert sum(line.startswith(f"step {steps} (100.0 %), loss ") for line in lines) == 1
    workers = read_json(tmp_path / "run" / "report.json")["run"]["config"]["data"]["workers"]
    assert workers == {"demo.py": 0, "finetune.py": 2}.get(file, 8)
    assert not (tmp_path / "configs").exists() and os.listdir(tmp_path) == ["run"]
