"""`python -m senet_jax` and the script `senet-jax`: every command, listed and run."""

import os
import signal
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from senet_jax import __main__ as doors
from tests.installed import REPOSITORY
from tests.system.test_signals import SITECUSTOMIZE
from tests.test_commands import COMMANDS

MODULE = [sys.executable, "-m", "senet_jax"]
# What pip makes of an entry point.
SCRIPT = [
    sys.executable,
    "-c",
    "import sys; from senet_jax.__main__ import main; sys.argv[0] = 'senet-jax'; sys.exit(main())",
]


def _run(*command, **options):
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, **options)


def test_one_table_of_commands():
    assert sorted(f"senet_jax.{name}" for name in doors.COMMANDS) == COMMANDS
    assert len(set(doors.COMMANDS)) == len(COMMANDS)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"senet-jax": "senet_jax.__main__:main"}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_list_says_a_line_of_each_command(arguments, run_command_here):
    done = run_command_here(doors.main, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed == list(doors.COMMANDS)
    assert (
        "  quantise         Rounds descriptors to fewer bits, for a smaller database:"
        in done.stdout
    )
    assert all(
        len(line) <= 120 and line.rstrip().endswith((".", "...")) for line in lines[:14] if line
    )


def test_the_list_imports_next_to_nothing():
    code = "import sys, runpy; runpy.run_module('senet_jax', run_name='__main__', alter_sys=True)"
    check = "assert not {'jax', 'numpy', 'cv2', 'flax'} & set(sys.modules), sys.modules"
    done = _run(sys.executable, "-c", f"{code}\n{check}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["scor", "senet_jax.score", "os", "--colour", "a\x1b"])
def test_no_such_command(name, run_command_here):
    done = run_command_here(doors.main, name, "a")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no command is called '") and done.stderr.count("\n") == 1
    assert "there are main, forecast, convert, " in done.stderr and "\x1b" not in done.stderr


@pytest.mark.parametrize("door", [MODULE, SCRIPT], ids=["module", "script"])
def test_a_command_behind_a_door_is_the_command(door, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.float32))
    done = _run(*door, "quantise", tmp_path / "x.npy", tmp_path / "y.npy", "--storage=float16")
    assert (done.returncode, done.stdout) == (0, f"wrote {tmp_path / 'y.npy'}\n")
    for arguments in (["x.npy"], ["nowhere.npy", "y.npy", "--storage=int8"]):
        behind = _run(*door, "quantise", *arguments)
        alone = _run(sys.executable, "-m", "senet_jax.quantise", *arguments)
        assert behind.returncode == alone.returncode == 2
        assert (behind.stdout, behind.stderr) == (alone.stdout, alone.stderr)


@pytest.mark.parametrize("door", [MODULE, SCRIPT], ids=["module", "script"])
@pytest.mark.parametrize(
    ("number", "exit_code", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 75, "stopped by SIGTERM")],
)
def test_a_signal_while_it_is_imported_is_one_line(tmp_path, door, number, exit_code, what):
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE.format(number=int(number)))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = _run(*door, "score.compare", "a.json", "b.json", env=environment)
    assert (done.returncode, done.stdout) == (exit_code, "")
    saved = "nothing is left half-written; run the same command again"
    assert done.stderr == f"{what}: {saved}\n"
