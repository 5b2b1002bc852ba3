import gc
import importlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from senet_jax.system import signals

REPOSITORY = pathlib.Path(__file__).parents[2]
RAISED = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, signals.Terminated)]


@pytest.mark.parametrize(("number", "kind"), RAISED)
def test_a_signal_closes_what_is_open_and_its_handler_is_given_back(number, kind):
    former, closed = signal.getsignal(number), []
    with pytest.raises(kind), signals.raised():
        try:
            os.kill(os.getpid(), number)
            pytest.fail("went on")
        finally:
            closed.append(True)
    assert closed == [True]
    assert signal.getsignal(number) is former


def test_the_handler_of_others_is_given_back():
    formers = [signal.getsignal(number) for number, _ in RAISED], sys.unraisablehook
    with signals.raised():
        assert signal.getsignal(signal.SIGTERM) is not formers[0][1]
    assert ([signal.getsignal(number) for number, _ in RAISED], sys.unraisablehook) == formers


@pytest.mark.parametrize(("number", "kind"), RAISED)
def test_what_python_drops_is_raised_again(capsys, number, kind):
    def callback(phase, _):
        if phase == "start":
            gc.callbacks.remove(callback)
            os.kill(os.getpid(), number)
            time.sleep(0)  # Here it is raised, and Python goes on as if nothing were.

    gc.callbacks.append(callback)
    with pytest.raises(kind), signals.raised():
        gc.collect()
        time.sleep(10)
        pytest.fail("it was lost")
    assert capsys.readouterr() == ("", "")


def test_other_exceptions_that_python_drops_are_told(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_type))

    class Broken:
        def __del__(self):
            raise ZeroDivisionError

    with signals.raised():
        Broken()
    assert told == [ZeroDivisionError]


@pytest.mark.parametrize(("number", "kind"), RAISED)
def test_an_import_is_brought_to_its_end_first(tmp_path, monkeypatch, number, kind):
    source = (
        f"import os, time\nos.kill({os.getpid()}, {int(number)})\ntime.sleep(0.1)\nis_whole = True"
    )
    (tmp_path / "interrupted_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(kind), signals.raised():
        importlib.import_module("interrupted_module")
        time.sleep(10)
        pytest.fail("it was lost")
    assert sys.modules.pop("interrupted_module").is_whole


def test_an_import_that_hangs_can_be_interrupted(tmp_path, monkeypatch):
    """Such as that of a config file."""
    source = f"import os, time\nos.kill({os.getpid()}, {int(signal.SIGINT)})\ntime.sleep(10)"
    (tmp_path / "hanging_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(signals, "_IMPORT_SECONDS", 0.1)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), signals.raised():
        importlib.import_module("hanging_module")
    assert time.monotonic() - start < 5


TWICE = """
import os, signal, sys, time
from senet_jax.system.errors import run_command

def work():
    try:
        os.kill(os.getpid(), {number})
    finally:
        os.kill(os.getpid(), {number})  # While the work is being ended.
        time.sleep(10)

run_command(work)
"""


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_the_second_signal_ends_it_at_once(number, exit_code):
    command = [sys.executable, "-c", TWICE.format(number=int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=9)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr == "\nended at once; run the same command again\n"


# Python runs a module of this name when it starts.
SITECUSTOMIZE = """
import os, sys

class Watch:
    def find_spec(name, *_):
        if name == "numpy":
            sys.meta_path.remove(Watch)
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Watch)
"""


@pytest.mark.parametrize(
    ("number", "exit_code", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 75, "stopped by SIGTERM")],
)
def test_a_signal_while_a_command_is_imported_is_one_line(tmp_path, number, exit_code, what):
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE.format(number=int(number)))
    done = subprocess.run(
        [sys.executable, "-m", "senet_jax.score.compare", "a.json", "b.json"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (exit_code, "")
    saved = "nothing is left half-written; run the same command again"
    assert done.stderr == f"{what}: {saved}\n"
