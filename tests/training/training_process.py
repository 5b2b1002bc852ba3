"""What the tests of checkpoints save, and trainings in processes of their own that save it."""

import contextlib
import functools
import itertools
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from senet_jax.data.revisitop import Photograph
from senet_jax.features.extract_together import extract_together
from senet_jax.losses.loss import Dimensions
from senet_jax.losses.momentum_contrast import Contrastive
from senet_jax.system.distributed import failing_together
from senet_jax.system.errors import UserError, run_command
from senet_jax.system.process import Preemption, locked_workdir
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.optimizer import Duration, OptimizerSettings, make_optimizer
from senet_jax.training.state import create_state
from tests.features.mean_colour import MeanColour

ROOT = pathlib.Path(__file__).parents[2]


@functools.cache
def _first_state(side, queue_length):
    variables = {
        "params": {
            "conv": {"kernel": jnp.zeros((3, side, side)), "bias": jnp.zeros(7, jnp.bfloat16)},
            "fc": {"kernel": jnp.zeros((side, 2))},
            "nothing": jnp.zeros((0, side)),
        },
        "batch_stats": {"bn": {"mean": jnp.zeros(side)}},
    }
    optimizer = make_optimizer(OptimizerSettings(), Duration(total_steps=10))
    losses = [Contrastive(queue_length=queue_length)] if queue_length else []
    return create_state(variables, optimizer, losses, Dimensions(class_count=0, width=4, seed=0))


def state_after(step, side=20, queue_length=0):
    """What a training without classes, and without a queue, has after a step: any numbers."""

    def numbers(path, leaf):
        seed = zlib.crc32(f"{step} {path}".encode())
        values = np.random.RandomState(seed).standard_normal(leaf.shape) * 1000
        return np.asarray(values).astype(leaf.dtype)

    state = jax.tree_util.tree_map_with_path(numbers, _first_state(side, queue_length))
    return state.replace(step=np.asarray(step, np.int32))


def content(state):
    """All that has to be equal for two states to be equal to the bit."""
    leaves, tree = jax.tree.flatten(state)
    return tree, [(type(leaf), leaf.dtype, leaf.shape, leaf.tobytes()) for leaf in leaves]


def start(call, **options):
    """Runs one of the functions below, `name(arguments)`, in a process of its own."""
    code = f"from tests.training.training_process import *; {call}"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def hold(workdir):
    """Holds a folder until its standard input ends."""
    with locked_workdir(workdir):
        print("held", flush=True)
        sys.stdin.read()


def save_without_end(folder, side):
    """Saves step after step, from the newest on."""
    with Checkpoints(folder) as checkpoints:
        found = checkpoints.restore(state_after(0, side))
        first = 1 if found is None else int(found[0].step) + 1
        print("saving", flush=True)
        for step in itertools.count(first):
            checkpoints.save(step, state_after(step, side), {"step": step})


def save_until_full(folder, file_size):
    """Saves two steps, the second of them where no file may be larger than that."""

    def command():
        with Checkpoints(folder) as checkpoints:
            checkpoints.save(1, state_after(1), {"step": 1})
            checkpoints.wait()
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
            checkpoints.save(2, state_after(2), {"step": 2})

    run_command(command)


def start_two(function, workdir):
    """Starts `function(workdir, port, index)` in two processes of two devices each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    return [
        start(f"{function}({str(workdir)!r}, {port}, {index})", env=os.environ | flags)
        for index in range(2)
    ]


def next_line(process):
    """What a process prints next, but for what JAX prints of its connections."""
    return next((line for line in process.stdout if not line.startswith("[Gloo]")), None)


@contextlib.contextmanager
def ended(*processes):
    """Kills what is left of processes."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _join(port, index):
    jax.distributed.initialize(
        f"127.0.0.1:{port}",
        2,
        index,
        initialization_timeout=60,
        heartbeat_timeout_seconds=10,
        shutdown_timeout_seconds=20,
    )


def lock_together(workdir, port, index):
    """Locks a folder in two processes."""
    _join(port, index)

    def command():
        with locked_workdir(workdir):
            print("held", flush=True)

    run_command(command)


def train_together(workdir, port, index):
    """Saves, meets a broken step, falls back, and goes on until a SIGTERM reaches one of two."""
    _join(port, index)
    workdir = pathlib.Path(workdir)
    folder = workdir / "checkpoints"
    with locked_workdir(workdir), Preemption() as preemption:
        with Checkpoints(folder) as checkpoints:
            for step in (1, 2):
                checkpoints.save(step, state_after(step), {"step": step})
                checkpoints.note_evaluated(step, -step, {})
        if index == 0:
            largest_file(folder / "2").write_bytes(b"")
        multihost_utils.sync_global_devices("step 2 is broken")
        with Checkpoints(folder) as checkpoints:
            state, meta = checkpoints.restore(state_after(0))
            assert content(state) == content(state_after(1))
            print("fell back to", meta["step"], flush=True)
            checkpoints.save(2, state_after(2), {"step": 2})
            for step in itertools.count(3):
                # As the collectives of a step do, this keeps the processes together.
                multihost_utils.process_allgather(np.asarray(step))
                if preemption.requested():
                    checkpoints.save(step, state_after(step), {"step": step})
                    break
    print("stopped after", step, flush=True)
    sys.exit(PREEMPTED_EXIT_CODE)


def refuse_alone(workdir, port, index):
    """Goes on from a checkpoint in two processes, one of which does not accept it."""
    _join(port, index)

    def accept(meta):
        with failing_together():
            if index == 1:
                raise UserError(f"no, not step {meta['step']}")

    def command():
        with Checkpoints(workdir) as checkpoints:
            checkpoints.restore(state_after(0), accept)

    run_command(command)


def photographs_of(folder):
    """The JPEGs of a folder."""
    return [Photograph(folder, path.name) for path in sorted(folder.glob("*.jpg"))]


def describe_together(folder, port, index):
    """Describes photographs; again until told to stop; and others, one of which is broken."""
    _join(port, index)
    folder, describer = pathlib.Path(folder), MeanColour("exact")
    whole, broken = (photographs_of(folder / name) for name in ("whole", "broken"))
    found = extract_together(describer, whole, (1.0,), label="x")
    np.save(folder / f"{index}.npy", found)
    print("described", sum(describer.filled), flush=True)
    with Preemption() as preemption:
        if index == 1:
            signal.raise_signal(signal.SIGTERM)
        answers = []

        def stopped():
            answers.append(preemption.requested())
            return answers[-1]

        while extract_together(describer, whole, (1.0,), label="x", stopped=stopped) is not None:
            pass
    print("stopped when asked for the time", len(answers), flush=True)
    run_command(lambda: extract_together(describer, broken, (1.0,), label="x"))


def told_before_the_first_step(workdir, port, index):
    """Goes on from step 1000, when a SIGTERM has already reached one of two."""
    _join(port, index)
    del workdir
    if index == 1:
        signal.raise_signal(signal.SIGTERM)
    # JAX looks for the signal once a second, and then tells the others.
    time.sleep(3)
    multihost_utils.sync_global_devices("the signal was seen")
    with Preemption() as preemption:
        for step in range(1000, 1010):
            multihost_utils.process_allgather(np.asarray(step))
            if preemption.requested():
                sys.exit(PREEMPTED_EXIT_CODE)


def largest_file(folder):
    """Where the numbers are."""
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
