import os
import signal

import pytest

from senet_jax.system.errors import USER_ERROR_EXIT_CODE, UserError
from senet_jax.system.process import Preemption, locked_workdir
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from tests.training.training_process import ended, next_line, start, start_two


def test_sigterm_is_noticed_and_the_handler_given_back():
    former = signal.getsignal(signal.SIGTERM)
    with Preemption() as preemption:
        assert not preemption.requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.requested()
        assert preemption.requested()
    assert signal.getsignal(signal.SIGTERM) is former


def test_the_handler_is_given_back_after_an_error():
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), Preemption():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is former


def test_a_folder_is_locked_while_it_is_used(tmp_path):
    workdir = tmp_path / "new" / "run"
    for _ in range(2):
        with locked_workdir(workdir):
            with (
                pytest.raises(UserError, match=f"{workdir} is used by another run, process"),
                locked_workdir(workdir),
            ):
                pytest.fail("entered")
            with locked_workdir(tmp_path / "other"):
                pass


def test_a_lock_ends_with_its_process(tmp_path):
    process = start(f"hold({str(tmp_path)!r})")
    with ended(process):
        assert next_line(process) == "held\n"
        with (
            pytest.raises(UserError, match=f"used by another run, process {process.pid} on"),
            locked_workdir(tmp_path),
        ):
            pytest.fail("entered")
    with locked_workdir(tmp_path):
        pass


def test_a_folder_that_cannot_be(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match=f"cannot lock {file}: File exists"), locked_workdir(file):
        pytest.fail("entered")


@pytest.mark.slow
def test_sigterm_before_the_first_step_stops_two_processes(tmp_path):
    processes = start_two("told_before_the_first_step", tmp_path)
    with ended(*processes):
        for process in processes:
            process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [PREEMPTED_EXIT_CODE] * 2


@pytest.mark.slow
def test_a_lock_stops_all_processes_of_a_run(tmp_path):
    with locked_workdir(tmp_path):
        processes = start_two("lock_together", tmp_path)
        with ended(*processes):
            outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [USER_ERROR_EXIT_CODE] * 2
    assert not any("held" in output for output, _ in outputs)
    assert f"{tmp_path} is used by another run" in outputs[0][1]
    assert f"error: process 0: {tmp_path} is used by another run" in outputs[1][1]
