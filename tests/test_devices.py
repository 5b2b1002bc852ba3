"""What commands say of devices: those that they compute on, and those that are missing."""

import os
import subprocess
import sys
import types

import pytest

from senet_jax.system.errors import run_command
from tests.processes import ROOT


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("senet_jax.main", ["--config=configs/demo.py", "--workdir=nowhere"]),
        ("senet_jax.convert", ["random:tiny:0", "nowhere"]),
    ],
    ids=["main", "convert"],
)
def test_a_missing_platform_is_one_line(tmp_path, platform, module, arguments):
    arguments = [each.replace("configs", f"{ROOT}/configs") for each in arguments]
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=tmp_path,
        env=os.environ | {"JAX_PLATFORMS": platform, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"error: JAX cannot compute on {platform}: ")
    assert line.endswith("or say JAX_PLATFORMS=cpu")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def _command_with(devices, monkeypatch, error):
    jax = types.SimpleNamespace(
        devices=devices, config=types.SimpleNamespace(jax_platforms=None), __version__="1.2.3"
    )
    monkeypatch.setitem(sys.modules, "jax", jax)

    def command():
        raise error

    return lambda: run_command(command)


@pytest.mark.parametrize("error", [RuntimeError("Unable to"), AssertionError()])
def test_whatever_failed_first_for_want_of_devices_is_one_line(error, monkeypatch, capsys):
    def devices():
        raise RuntimeError("Unable to initialize\nbackend")

    with pytest.raises(SystemExit) as ended:
        _command_with(devices, monkeypatch, error)()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: JAX cannot compute on what it has found: Unable to initialize backend; install "
        "what that takes, such as pip install 'jax[cuda13]==1.2.3' (or cuda12, tpu), or say "
        "JAX_PLATFORMS=cpu\n"
    )


def test_another_bug_keeps_its_traceback(monkeypatch):
    with pytest.raises(AssertionError, match="a bug"):
        _command_with(lambda: ["a device"], monkeypatch, AssertionError("a bug"))()
