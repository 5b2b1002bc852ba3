import pathlib
import subprocess
import sys

import pytest

from senet_jax.figure.__main__ import main
from tests.report.workdirs import write_town, write_training

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure")
    write_town(folder)
    write_training(folder, folder / "one", seed=0)
    write_training(folder, folder / "other", seed=7)
    return folder


def test_as_a_command_from_another_folder(world, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "senet_jax.figure", "lists", world / "one", world / "other"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote lists.pdf\n", "")
    assert (tmp_path / "lists.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--to=x.gif"], "'x.gif' is no .pdf, .png, .svg; name such a file"),
        (["--queries=0"], "--queries is 0; draw one at least"),
        (["--dataset=village"], "no scores of 'village'"),
    ],
)
def test_a_mistake_is_one_line(world, run_command_here, flags, message):
    done = run_command_here(main, "lists", world / "one", world / "other", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
