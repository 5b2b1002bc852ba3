"""The first steps of the trainings that are shipped, by their command."""

import os
import subprocess
import sys

import pytest

from senet_jax.system.files import read_json
from tests.processes import ROOT
from tests.test_config import TRAININGS, _get_config
from tests.training.training_command import ENVIRONMENT

SMALL = {
    "model": "demo_baseline",
    "start": "",
    "batch_size": 8,
    "epochs": 2 / 3,
    "data.side": 32,
    "optimizer.warmup_epochs": 1 / 6,
    "losses.queue_length": 64,
}
QUICK = ("r50_cls.py",)
# What is run, and with which changes; by its own workers where they are not named.
RUN = {
    QUICK: SMALL,
    ("r50_cls_con.py",): SMALL | {"data.workers": 0},
    ("finetune.py", "datasets/mine"): SMALL,
    ("demo.py",): {key: value for key, value in SMALL.items() if key != "model"},
    ("study.py", "baseline"): SMALL,
    ("study.py", "classification"): SMALL,
    ("study.py", "both"): SMALL,
}


def _smaller(arguments):
    config = _get_config(*arguments)
    config.update_from_flattened_dict(SMALL)
    return config.to_dict()


@pytest.mark.parametrize("arguments", [a for a in TRAININGS if a not in RUN], ids=":".join)
def test_it_differs_from_one_that_is_run_by_its_network_alone(arguments):
    assert _smaller(arguments) in [_smaller(run) for run in RUN]


@pytest.mark.parametrize(
    "arguments",
    [each if each == QUICK else pytest.param(each, marks=pytest.mark.slow) for each in RUN],
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
            *(f"--config.{key}={value}" for key, value in (RUN[arguments] | places).items()),
        ],
        cwd=tmp_path,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "computing on 2 devices, cpu (cpu)"
    # An epoch of generated landmarks is their families.
    steps = "2/2" if file in ("demo.py", "study.py") else "4/4"
    assert sum(line.startswith(f"step {steps} (100.0 %), loss ") for line in lines) == 1
    workers = read_json(tmp_path / "run" / "report.json")["run"]["config"]["data"]["workers"]
    assert workers == {"r50_cls.py": 8, "finetune.py": 2}.get(file, 0)
    assert not (tmp_path / "configs").exists() and os.listdir(tmp_path) == ["run"]
