import pathlib
import signal
import subprocess
import sys
import time

import pytest

from senet_jax.study.processes import Command, Run, check_faults, run_all
from senet_jax.system.errors import UserError

REPOSITORY = pathlib.Path(__file__).parents[2]
# A study whose one run takes long, and leaves its process id.
STUDY = """
import pathlib, sys
from senet_jax.study.processes import Command, Run, run_all
folder = pathlib.Path(sys.argv[1])
command = Command(("slow_command", str(folder)), lambda: False)
run_all([Run("a", folder, (command,))], 1, "runs", print)
"""
SLOW = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1], "pid").write_text(str(os.getpid()))
time.sleep(60)
"""


def _command(*arguments, is_done=lambda: False):
    return Command(arguments, is_done)


@pytest.fixture
def here(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def test_runs_that_fail_keep_no_other(tmp_path, here):
    ended = []
    runs = [
        Run("bad", tmp_path / "bad", (_command("__main__", "nothing"), _command("__main__"))),
        Run("done", tmp_path / "done", (_command("nowhere", is_done=lambda: True),)),
        Run("good", tmp_path / "good", (_command("__main__"), _command("__main__", "-h"))),
    ]
    faults = run_all(runs, 2, "runs", lambda run: ended.append(run.name))
    assert ended == ["good"]
    assert list(faults) == ["bad"] and "no command is called 'nothing'" in faults["bad"]
    assert (tmp_path / "bad" / "log.txt").read_text().count("\n") == 1
    assert (tmp_path / "good" / "log.txt").read_text().count("senet-jax COMMAND ...") == 2
    with pytest.raises(UserError, match="1 of 3 runs failed, bad for one: error: no command"):
        check_faults(faults, runs)
    check_faults({}, runs)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_ends_with_its_study(tmp_path, number):
    package = tmp_path / "senet_jax"
    package.mkdir()
    source = REPOSITORY / "senet_jax"
    for path in source.iterdir():
        (package / path.name).symlink_to(path)
    (package / "slow_command.py").write_text(SLOW)
    study = subprocess.Popen(
        [sys.executable, "-c", STUDY, tmp_path], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    pid_file = tmp_path / "pid"
    while not pid_file.exists() or not pid_file.read_text():
        assert study.poll() is None
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    study.send_signal(number)
    study.wait(20)
    until = time.monotonic() + 20
    while _is_there(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def _is_there(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
