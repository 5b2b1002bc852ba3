import os
import pathlib
import subprocess
import sys

import pytest

from senet_jax.forecast.__main__ import main

REPOSITORY = pathlib.Path(__file__).parents[2]

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

EVALUATE = ("--config=configs/evaluate.py:tiny", "--config.weights=w")


@pytest.fixture
def run(run_command_here):
    return lambda *flags: run_command_here(lambda: main(["forecast", *flags]))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--config=FILE is needed"),
        (("--config=configs/demo.py", "--devices=0"), "--devices: '0' is not from 1 to 65,536"),
        (("--config=configs/demo.py", "--workdir=d"), "workdir"),
        (("--config=configs/demo.py", "--config.batch_size=0"), "config.batch_size is 0"),
        (("--config=configs/landmarks.py:fusion",), "the job train_head is not foreseen; train, "),
        (
            ("--config=configs/demo_reranker.py", "--devices=2"),
            "--devices is 2, but the job train_pairs uses what this machine has",
        ),
        (
            (*EVALUATE, "--devices=2"),
            "--devices is 2, but the job evaluate uses what this machine has",
        ),
        (
            (*EVALUATE, "--config.data_root=nowhere"),
            "no folder nowhere, in which roxford5k was looked for",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line(run, flags, message):
    done = run(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr


def test_help(run):
    done = run("--help")
    assert done.returncode == 0 and "how many devices" in done.stdout
    assert "--config.batch_size=64\n" in run("--config=configs/demo.py", "--help").stdout


def test_names_and_figures_stand_apart(run, monkeypatch):
    names = ("images", "memory of the batches in flight", "a dataset with a long name, database")
    monkeypatch.setattr(
        "senet_jax.forecast.evaluation.forecast_evaluation", lambda _: [(n, "7") for n in names]
    )
    assert [line.rsplit("  ", 1)[-1] for line in run(*EVALUATE).stdout.splitlines()] == ["7"] * 3


@pytest.mark.slow
def test_as_a_command():
    flags = ("--config.data.folder=no/gldv2_clean", "--config.data.group_classes=0")
    flags += ("--config.data.group_views=0", "--config.batch_size=16", "--devices=2")
    done = subprocess.run(
        [sys.executable, "-m", "senet_jax.forecast", "--config=configs/demo.py", *flags],
        cwd=REPOSITORY,
        env=os.environ | {"XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "16 images of 64 x 64, 8 on each of 2 devices" in done.stdout
    assert "sent by a device in a step" in done.stdout
