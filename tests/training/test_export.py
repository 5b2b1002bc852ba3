import os
import subprocess
import sys

import pytest

from senet_jax.convert.__main__ import main as convert
from senet_jax.errors import UserError
from senet_jax.files import read_json
from senet_jax.training.export import load_trained
from senet_jax.weights import TENSORS
from tests.training.training_command import ENVIRONMENT, STEPS, Command
from tests.training.training_process import ROOT


@pytest.fixture(scope="module")
def trained(tiny_world, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    changes = {
        "evaluation__data_root": tiny_world,
        "evaluation__datasets": "landmarks",
        "evaluation__scales": (1.0,),
        "descriptor_norm": True,
    }
    command = Command(tiny_world, workdir, **changes)
    command.finish()
    return workdir


def _evaluated(world, weights, workdir):
    settings = {"weights": weights, "data_root": world, "datasets": "landmarks", "scales": (1.0,)}
    flags = ["--config=configs/evaluate.py:tiny", f"--workdir={workdir}"]
    flags += [f"--config.{key}={value}" for key, value in settings.items()]
    subprocess.run(
        [sys.executable, "-m", "senet_jax.main", *flags],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    return read_json(workdir / "report.json")["landmarks"]


@pytest.mark.slow
def test_a_training_becomes_weights_by_one_command_and_evaluates_the_same(
    trained, tiny_world, tmp_path, run_command_here
):
    expected = read_json(trained / "report.json")["landmarks"]
    there, back = tmp_path / "weights.pth", tmp_path / "back"
    for source, target in ((trained, tmp_path / "weights"), (trained, there), (there, back)):
        done = run_command_here(convert, source, target)
        assert done.returncode == 0, done.stderr
    for folder in (tmp_path / "weights", back):
        assert (folder / TENSORS).read_bytes() == (trained / "weights" / TENSORS).read_bytes()
    assert _evaluated(tiny_world, tmp_path / "weights", tmp_path / "report") == expected
    assert _evaluated(tiny_world, back, tmp_path / "report_of_back") == expected
    source = read_json(tmp_path / "weights" / "model.json")["source"]["training"]
    assert source["step"] == STEPS


def test_a_workdir_without_a_checkpoint_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"config\.json"):
        load_trained(tmp_path)
