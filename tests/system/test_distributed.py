import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from senet_jax.data.builder import build
from senet_jax.data.revisitop import load_dataset
from senet_jax.data.synthetic_landmarks import TINY, training_source, write_evaluation
from senet_jax.system import distributed
from senet_jax.system.checksummed import read_sealed_json
from senet_jax.system.distributed import Processes, parse_processes
from senet_jax.system.errors import USER_ERROR_EXIT_CODE, UserError
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.export import CHECKPOINTS, CONFIG, setup_of
from senet_jax.training.stored_steps import StoredSteps
from tests.tolerances import BATCHED

REPOSITORY = pathlib.Path(__file__).parents[2]
# How the processes below wait for each other; else all is as in the command.
IMPATIENT = """
from senet_jax.system import distributed
distributed.START_SECONDS, distributed.HEARTBEAT_SECONDS = {start}, 5
"""


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _start(code, *arguments, devices=2):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_launcher_knows():
    assert parse_processes("auto") == Processes(None, None, None)


def test_an_address_a_count_and_an_index():
    assert parse_processes("10.0.0.1:1234,8,7") == Processes("10.0.0.1:1234", 8, 7)
    assert parse_processes("[::1]:80,1,0") == Processes("[::1]:80", 1, 0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "--distributed is ''; give auto, or HOST:PORT,COUNT,INDEX"),
        ("Auto", "--distributed is 'Auto'; give auto, or"),
        ("host,2,0", "is 'host,2,0'; give auto, or"),
        ("host:80,2", "is 'host:80,2'; give auto, or"),
        ("host:http,2,0", "is 'host:http,2,0'; give auto, or"),
        ("host:80,2,0,1", "is 'host:80,2,0,1'; give auto, or"),
        (":80,2,0", "with no host; give auto, or"),
        ("host:0,2,0", "with the port 0, which is not from 1 to 65535;"),
        ("host:65536,2,0", "with the port 65536, which is"),
        ("host:80,0,0", "with 0 processes, which is less than one;"),
        ("host:80,2,2", "with the process 2, which is not from 0 to 1;"),
        ("host:80,2,-1", "with the process -1, which is"),
    ],
)
def test_nonsense_is_one_line(value, message):
    with pytest.raises(UserError) as raised:
        parse_processes(value)
    assert message in str(raised.value)


def test_no_launcher_is_one_line(monkeypatch):
    def initialize(*_, **__):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(
        UserError,
        match=r"cannot join the processes \(coordinator_address should be defined\.\); auto",
    ):
        distributed.join(Processes())


JOIN = """
import sys
from senet_jax.system.errors import run_command
run_command(lambda: distributed.join(distributed.parse_processes(sys.argv[1])))
distributed.announce()
"""


@pytest.mark.parametrize("index", [0, 1])
def test_processes_that_do_not_meet_are_one_line(index):
    address = f"127.0.0.1:{_free_port()}"
    process = _start(IMPATIENT.format(start=2) + JOIN, f"{address},2,{index}")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (USER_ERROR_EXIT_CODE, "")
    assert errors.count("\n") == 1
    assert f"did not find each other at {address} within 2 s; check" in errors


# Says when it is about to wait for the other, again and again, as the steps of a training do.
COLLECTIVES = (
    JOIN
    + """
import numpy as np
from jax.experimental import multihost_utils
while True:
    multihost_utils.process_allgather(np.zeros(()))
    print("together", flush=True)
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("silent", [0, 1])
def test_a_host_that_falls_silent_ends_the_others(silent):
    port = _free_port()
    code = IMPATIENT.format(start=60) + COLLECTIVES
    processes = [_start(code, f"127.0.0.1:{port},2,{index}") for index in range(2)]
    try:
        for process in processes:
            # Gloo writes there too, at any moment.
            while "together" not in (line := process.stdout.readline()):
                assert line, "it has ended"
        # Its connections stay open, as those of a host without power do.
        processes[silent].send_signal(signal.SIGSTOP)
        start = time.monotonic()
        _, errors = processes[1 - silent].communicate(timeout=40)
        assert time.monotonic() - start > 2
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert processes[1 - silent].returncode == -signal.SIGABRT
    assert errors.startswith(f"process {1 - silent} of 2 on {socket.gethostname()}: 2 of 4 devices")
    assert "Terminating process because the JAX distributed service detected fatal" in errors


# Says at the end how many photographs the process has described.
COUNTED = """
import atexit
from senet_jax.features import extract
read, described = extract.read_pyramid, []
def counted(photograph, *rest):
    described.append(photograph)
    return read(photograph, *rest)
extract.read_pyramid = counted
atexit.register(lambda: print("described", len(described)))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    build(training_source(TINY), folder / "landmarks_to_learn")
    write_evaluation(TINY, "evaluation", folder)
    return folder


@pytest.fixture
def train(data):
    """Starts trainings of three steps, with a checkpoint before the last and an evaluation."""
    flags = {
        "config": "configs/demo.py",
        # The one that is traced and compiled in the least time.
        "config.model": "tiny_baseline",
        "config.data.folder": data / "landmarks_to_learn",
        "config.data.side": 32,
        "config.data.group_classes": 0,
        "config.data.group_views": 0,
        "config.descriptor_norm": False,
        "config.batch_size": 16,
        "config.epochs": 1.0,
        "config.optimizer.name": "sgd",
        "config.optimizer.learning_rate": 1e-3,
        "config.optimizer.warmup_epochs": 0.5,
        "config.losses.classification_weight": 1.0,
        "config.losses.contrastive_weight": 0.0,
        "config.evaluation.data_root": data,
        "config.evaluation.datasets": "landmarks",
        "config.checkpoint.every_steps": 2,
    }
    code = (
        COUNTED
        + "from senet_jax.main import main; "
        + "from senet_jax.system.errors import run_command; run_command(main)"
    )

    def start(workdir, devices, *more):
        given = [f"--{name}={value}" for name, value in flags.items()]
        return _start(code, *given, f"--workdir={workdir}", *more, devices=devices)

    return start


def _finished(*processes):
    """What processes that have done their work said on standard error, and what they described."""
    outputs = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    counts = [int(re.search(r"^described (\d+)$", said, re.M)[1]) for said, _ in outputs]
    return [errors for _, errors in outputs], counts


@pytest.mark.slow
def test_two_processes_train_as_one_does(train, data, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    _, [described] = _finished(train(one, 4))
    port = _free_port()
    said, shares = _finished(
        *(train(two, 2, f"--distributed=127.0.0.1:{port},2,{index}") for index in range(2))
    )
    for index in range(2):
        name = f"process {index} of 2 on {socket.gethostname()}: 2 of 4 devices, cpu (cpu)\n"
        assert said[index].startswith(name)
    assert "step 3/3" in said[0] and "wrote" in said[0]
    assert said[1].count("\n") == 1, said[1]
    evaluated = load_dataset(data, "landmarks")
    photographs = len(evaluated.queries) + len(evaluated.images)
    assert sum(shares) == described == 2 * photographs and min(shares) > 0, shares

    states, scores = [], []
    for workdir in (one, two):
        setup = setup_of(read_sealed_json(workdir / CONFIG, ""), CONFIG)
        with Checkpoints(workdir / CHECKPOINTS) as checkpoints:
            state, meta = checkpoints.restore(setup.abstract_state())
        evaluated = StoredSteps(workdir / CHECKPOINTS).evaluated(3)
        # The optimiser's momentum of a bias before a batch norm is nothing but rounding.
        states.append(jax.tree.leaves_with_path(state.replace(optimizer=())))
        scores.append(meta["reports"] | {"3": evaluated.reports})
    assert scores[0].keys() == scores[1].keys() == {"0", "3"}
    assert scores[0]["0"] == scores[1]["0"]
    # Four devices of a CPU have more threads than two, by which sums are split.
    found = [np.load(run / "scores" / "landmarks_untrained.npy") for run in (one, two)]
    np.testing.assert_allclose(*found, rtol=0, atol=BATCHED)
    for (path, expected), (_, leaf) in zip(*states, strict=True):
        bound = 1e-5 * np.abs(expected).max(initial=0)
        np.testing.assert_allclose(leaf, expected, rtol=0, atol=bound, err_msg=str(path))
    assert {entry.name for entry in two.iterdir()} == {entry.name for entry in one.iterdir()}
