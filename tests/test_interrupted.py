"""Commands that are told to end in the middle of their work: one line, an exit code, and go on."""

import os
import signal
import subprocess
import sys
import time

import pytest

from senet_jax.data.prepared import open_prepared
from tests.data.pictures import encoded, picture
from tests.features.extraction_command import Command, write_world
from tests.processes import ROOT

SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 75, "stopped by SIGTERM")]
# Images that are decoded as slowly as large ones; else all is as in the command.
SLOWLY = """
import sys, time
from senet_jax.data import transforms
from senet_jax.system.errors import run_command
from senet_jax.data.{name} import main

def decode_slowly(content, decode=transforms.decode):
    time.sleep(0.02)
    return decode(content)

transforms.decode = decode_slowly
run_command(main)
"""


@pytest.fixture
def images(tmp_path):
    """A dataset's folder of 100 images, the first of them broken."""
    folder = tmp_path / "sets" / "noise" / "jpg"
    folder.mkdir(parents=True)
    content = encoded(picture(48, 64))
    for number in range(100):
        (folder / f"{number:03}.jpg").write_bytes(content if number else b"this is no picture")
    return folder


def _started(name, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY.format(name=name), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("number", "exit_code", "what"), SIGNALS)
def test_a_check(images, number, exit_code, what):
    process = _started("check", images.parents[1], "noise")
    assert "000.jpg" in process.stdout.readline()
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == exit_code
    assert said == f"{what}: nothing is left half-written; run the same command again\n"


@pytest.mark.parametrize(("number", "exit_code", "what"), SIGNALS)
def test_a_preparation(images, tmp_path, number, exit_code, what):
    flags = ("folder", f"--images={images.parent}", f"--target={tmp_path / 'town'}")
    process = _started("prepare", *flags)
    plan = tmp_path / "town.unfinished" / "progress" / "plan.json"
    while not plan.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == exit_code
    saved = f"what is finished of {tmp_path / 'town'} is kept; run the same command again to go on"
    assert said == f"{what}: {saved}\n"
    finished = _started("prepare", *flags)
    finished.communicate(timeout=60)
    assert finished.returncode == 0
    assert len(open_prepared(tmp_path / "town")) == 99
    assert not any(name.startswith(".") for name in os.listdir(tmp_path / "town"))


@pytest.mark.slow
def test_an_evaluation(tmp_path):
    number, exit_code, what = SIGNALS[0]
    command = Command(write_world(tmp_path), tmp_path / "run")
    with command.at_shards(2) as (process,):
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == exit_code
    saved = f"what is described is kept in {tmp_path / 'run'}; run the same command again to go on"
    assert said.splitlines()[-1] == f"{what}: {saved}"
    assert "Traceback" not in said
