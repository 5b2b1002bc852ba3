import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from senet_jax.data import workers
from senet_jax.data.workers import batches_of_workers
from senet_jax.system.errors import UserError

from . import examples

ROOT = pathlib.Path(__file__).parents[2]


def _batches(make=examples.example, size=3, first_step=0, count=2):
    return contextlib.closing(batches_of_workers(make, examples.SPEC, size, first_step, count))


def _pids(said):
    return {int(line.split()[0]) for line in said}


def _alive(pid):
    with contextlib.suppress(FileNotFoundError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    return False


def test_what_workers_of_a_training_import_is_light():
    """Devices belong to the training, and each worker would take a second more to start."""
    code = "import sys, senet_jax.data.loader; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(("size", "count"), [(3, 2), (2, 3)])
def test_batches_in_their_order_from_any_step(size, count):
    with _batches(size=size, count=count, first_step=4) as batches:
        made = [next(batches) for _ in range(7)]  # More than there is memory for at once.
    for step, (batch, said) in enumerate(made, 4):
        places = np.arange(step * size, (step + 1) * size)
        assert said == []
        assert {name: array.dtype for name, array in batch.items()} == {
            "pixels": np.float32, "labels": np.int32
        }  # fmt: skip
        np.testing.assert_array_equal(batch["labels"], -places)
        np.testing.assert_array_equal(
            batch["pixels"], np.broadcast_to(places[:, None, None], (size, 2, 3))
        )


def test_workers_import_what_they_need_and_ignore_what_the_group_is_told():
    with _batches(examples.with_its_process) as batches:
        _, said = next(batches)
        pids = _pids(said)
        assert len(pids) == 2 and os.getpid() not in pids
        assert all(line.endswith(" []") for line in said)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        for _ in range(5):
            _, said = next(batches)
        assert _pids(said) == pids
    assert not any(map(_alive, pids))


def test_a_signal_while_workers_start_does_not_end_them(monkeypatch):
    """They are told before they could have said that they ignore it."""
    start = subprocess.Popen

    def told_at_once(*arguments, **options):
        process = start(*arguments, **options)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", told_at_once)
    with _batches() as batches:
        assert len([next(batches) for _ in range(3)]) == 3
    assert not {signal.SIGTERM, signal.SIGINT} & signal.pthread_sigmask(signal.SIG_BLOCK, ())


IN_A_CONTAINER = """
import os
from tests.data import examples
from senet_jax.data.workers import batches_of_workers
batches = batches_of_workers(examples.large, examples.LARGE, 8, 0, 2)
print(*(float(next(batches)[0]["pixels"].sum()) for _ in range(4)), os.listdir("/dev/shm"))
batches.close()
"""


def test_shared_memory_as_small_as_in_a_container_is_enough():
    """/dev/shm has 64 kB here, and two batches are 16 MB."""
    small = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
    allowed = subprocess.run(["unshare", "-Urm", "sh", "-c", small], capture_output=True)
    if allowed.returncode:
        pytest.skip(f"this system does not let a test mount: {allowed.stderr.decode().strip()}")
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", f'{small} && exec "$0" -c "$1"', sys.executable,
         IN_A_CONTAINER],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    sums = [512 * 512 * sum(range(8 * step, 8 * step + 8)) for step in range(4)]
    assert done.stdout == " ".join(map(str, map(float, sums))) + " []\n"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (examples.unreadable, r"^no image of town can be read; prepare the dataset anew$"),
        (
            examples.faulty,
            r"^worker \d, which makes batches, failed with EOFError: no such example; "
            r"config\.data\.workers=0 shows where$",
        ),
        (examples.exiting, r"^worker \d of 2 that makes batches ended with exit code 3; start"),
    ],
    ids=["user's mistake", "exception", "exit"],
)
def test_a_worker_that_fails_is_one_line(make, message):
    with _batches(make) as batches, pytest.raises(UserError, match=message):
        for _ in range(4):
            next(batches)


def test_a_worker_that_is_killed_is_one_line_and_the_others_end():
    with _batches(examples.with_its_process) as batches:
        first, second = sorted(_pids(next(batches)[1]))
        os.kill(first, signal.SIGKILL)
        with pytest.raises(
            UserError,
            match=r"^worker \d of 2 that makes batches was ended by SIGKILL, as happens where "
            r"memory runs out; start again to go on from what is saved, if need be with fewer "
            r"config\.data\.workers$",
        ):
            for _ in range(4):
                next(batches)
        assert not _alive(second)


TRAINING = """
from tests.data import examples
from senet_jax.data.workers import batches_of_workers
batches = batches_of_workers(examples.with_its_process, examples.SPEC, 3, 0, 2)
print(*next(batches)[1], flush=True)
input()
"""


def test_workers_end_with_a_training_that_is_killed():
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    pids = {int(word) for word in training.stdout.readline().split() if word.isdigit()}
    assert len(pids) == 2 and all(map(_alive, pids))
    training.kill()
    training.communicate()
    for _ in range(200):
        if not any(map(_alive, pids)):
            break
        time.sleep(0.05)
    assert not any(map(_alive, pids))


WAITING = """
from tests.data import examples
from senet_jax.data.workers import batches_of_workers
from senet_jax.system.process import Preemption
batches = batches_of_workers(examples.slow, examples.SPEC, 4, 0, 2)
with Preemption() as preemption:
    print("waiting", flush=True)
    next(batches)
    while not preemption.requested():
        print("batch", flush=True)
        next(batches)
print("stopped", preemption.interrupted, next(batches)[1], flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_group_that_waits_for_its_workers_gets_the_batch_and_hears_the_signal(number):
    training = subprocess.Popen(
        [sys.executable, "-c", WAITING], cwd=ROOT, text=True, process_group=0,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert training.stdout.readline() == "waiting\n"
    assert training.stdout.readline() == "batch\n"
    os.killpg(training.pid, number)
    output, errors = training.communicate(timeout=30)
    assert (training.returncode, errors) == (0, "")
    assert output == f"stopped {number == signal.SIGINT} []\n"


def test_too_little_memory_is_one_line_before_the_start(monkeypatch):
    monkeypatch.setattr(workers, "host_memory_bytes", lambda: 100)
    with (
        _batches() as batches,
        pytest.raises(UserError, match=r"memory for 2 batches of 3 examples, 0\.0 GiB, and"),
    ):
        next(batches)


def test_a_system_that_gives_no_memory_or_process_is_one_line(monkeypatch):
    def refuse(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    for module, name in ((os, "memfd_create"), (subprocess, "Popen")):
        with monkeypatch.context() as patch, _batches() as batches:
            patch.setattr(module, name, refuse)
            with pytest.raises(UserError, match=r"not give 2 workers and 168 bytes.*temporarily"):
                next(batches)
