"""Trainings by the command, ended at any moment and started again."""

import os
import signal
import time

import pytest

from senet_jax.system.checksummed import read_sealed_json
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from senet_jax.training.export import CONFIG, setup_of
from senet_jax.training.metrics import read_metrics
from senet_jax.weights import TENSORS
from tests.training.landmarks import named_leaves
from tests.training.training_command import STEPS, Command
from tests.training.training_process import content

pytestmark = pytest.mark.slow


@pytest.fixture(params=[1, 2], ids=["one_process", "two_processes"], scope="module")
def processes(request):
    return request.param


@pytest.fixture(scope="module")
def undisturbed(tiny_world, tmp_path_factory, processes):
    command = Command(tiny_world, tmp_path_factory.mktemp("undisturbed") / "run", processes)
    command.finish()
    return command


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    undisturbed, tiny_world, tmp_path, processes
):
    command = Command(tiny_world, tmp_path / "run", processes)
    # In the middle of the first checkpoint and of the last.
    if processes == 1:
        command.kill_when(command.saving)
        assert command.saving() and not command.saved(5)
    command.kill_when(lambda: any(name.startswith("10") for name in command.saving()))
    assert command.saving() and command.saved(5) and not command.saved(10)
    assert "resuming from step 5\n" in command.finish()

    assert command.metrics() == undisturbed.metrics()
    assert [line["step"] for line in command.metrics()] == list(range(1, STEPS + 1))
    assert content(command.last_state()) == content(undisturbed.last_state())
    found, expected = (run.workdir / "weights" / TENSORS for run in (command, undisturbed))
    assert found.read_bytes() == expected.read_bytes()


def test_told_to_stop_it_saves_and_goes_on_later(undisturbed, tiny_world, tmp_path, processes):
    command = Command(tiny_world, tmp_path / "run", processes, data__workers=3 - processes)
    with command.started() as running:
        while command.logged_step() < 2:
            assert all(process.poll() is None for process in running)
            time.sleep(0.001)
        # A host that is taken away is told so alone, with all that runs there.
        os.killpg(running[-1].pid, signal.SIGTERM)
        outputs = [process.communicate(timeout=100)[1] for process in running]
    assert [process.returncode for process in running] == [PREEMPTED_EXIT_CODE] * processes
    stopped = read_metrics(command.workdir)[-1]["step"]
    assert 2 <= stopped < STEPS
    assert (
        f"stopped by SIGTERM: step {stopped} is saved in {command.workdir}; the same command"
        in outputs[0]
    )
    assert command.saved(stopped)
    assert f"resuming from step {stopped}\n" in command.finish()
    assert command.metrics() == undisturbed.metrics()
    assert content(command.last_state()) == content(undisturbed.last_state())


def test_ten_steps_move_every_parameter(undisturbed):
    """So the comparisons above are of something."""
    assert len({line["train/loss"] for line in undisturbed.metrics()}) == STEPS
    last = named_leaves(undisturbed.last_state().params)
    setup = setup_of(read_sealed_json(undisturbed.workdir / CONFIG, ""), CONFIG)
    for path, before in named_leaves(setup.initial_state().params).items():
        assert (last[path] != before).any(), path
