"""One run of several processes, each with its own devices.

They meet at a coordinator, which is process 0. When one of them dies, JAX ends the others after
`HEARTBEAT_SECONDS`, with a fatal message and by SIGABRT, so that none hangs in a collective.
"""

import contextlib
import dataclasses
import os
import socket
import sys
import threading
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from senet_jax.system.errors import USER_ERROR_EXIT_CODE, UserError, reason, shown
from senet_jax.system.progress import Progress
from senet_jax.system.runtime import unused_accelerator

HEARTBEAT_SECONDS = 40
"""How long a process may be silent before the others are ended."""
START_SECONDS = 300
"""How long the processes wait for each other at the start."""
SHUTDOWN_SECONDS = 120
"""How long a process that is done waits for the others."""

_FORM = "give auto, or HOST:PORT,COUNT,INDEX such as 10.0.0.1:1234,2,0"


@dataclasses.dataclass(frozen=True)
class Processes:
    """The processes of a run, as seen by one of them; all None where the launcher knows.

    Attributes:
        coordinator: the address of process 0, HOST:PORT.
        count: how many there are.
        index: which one this is, from 0.
    """

    coordinator: str | None = None
    count: int | None = None
    index: int | None = None


def parse_processes(value: str) -> Processes:
    """Reads `auto` or `HOST:PORT,COUNT,INDEX`.

    Raises:
        UserError: it is neither, or a number is out of range.
    """
    if value == "auto":
        return Processes()
    try:
        coordinator, count, index = value.split(",")
        host, port = coordinator.rsplit(":", 1)
        port, count, index = int(port), int(count), int(index)
    except ValueError:
        raise UserError(f"--distributed is {shown(value)}; {_FORM}") from None
    for wrong, what in (
        (not host, "no host"),
        (not 0 < port < 65536, f"the port {port}, which is not from 1 to 65535"),
        (count < 1, f"{count} processes, which is less than one"),
        (not 0 <= index < count, f"the process {index}, which is not from 0 to {count - 1}"),
    ):
        if wrong:
            raise UserError(f"--distributed is {shown(value)} with {what}; {_FORM}")
    return Processes(coordinator, count, index)


def join(processes: Processes) -> None:
    """Makes this process one of several; before any use of JAX.

    Only process 0 shows progress. Where the processes do not find each other in time, this one ends
    as it does at a user's mistake.

    Raises:
        UserError: the launcher is none that JAX knows.
    """
    where = processes.coordinator or "the coordinator that the launcher names"
    with _deadline(
        START_SECONDS,
        f"the processes of this run did not find each other at {where} within {START_SECONDS} s; "
        "check that all of them run, with the same address and count, and that it can be reached",
    ):
        try:
            jax.distributed.initialize(
                processes.coordinator,
                processes.count,
                processes.index,
                # Within a Slurm job, JAX would else see to it that this takes a single device.
                cluster_detection_method="deactivate" if processes.coordinator else None,
                # JAX's own end of waiting is an abort with a stack trace.
                initialization_timeout=2 * START_SECONDS,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=SHUTDOWN_SECONDS,
            )
        except ValueError as error:
            raise UserError(
                f"JAX cannot join the processes ({reason(error)}); auto is for TPU pods, Slurm and "
                "Kubernetes, elsewhere give --distributed=HOST:PORT,COUNT,INDEX"
            ) from error
    _connect_devices()
    Progress.quiet = jax.process_index() > 0


def _connect_devices() -> None:
    """Connects the devices of all processes by a first sum, while the processes are in step.

    CPU devices connect at their first collective, and wait 30 s for each other there: too short
    where one process compiles its training step long before another.
    """
    mesh = Mesh(np.array(jax.devices()), ("devices",))
    ones = jax.make_array_from_callback(
        (jax.device_count(),), NamedSharding(mesh, P("devices")), lambda _: np.ones(1, np.float32)
    )
    jax.block_until_ready(jax.jit(jnp.sum, out_shardings=NamedSharding(mesh, P()))(ones))


def leave() -> None:
    """Disconnects the processes; all call it together.

    A process that works on alone for long would else be ended together with those that wait for it.
    """
    if jax.process_count() > 1:
        jax.distributed.shutdown()


def exchanged(value: bytes) -> list[bytes]:
    """What every process gives, in all of them, in their order; all call it together."""
    if jax.process_count() == 1:
        return [value]
    sizes = multihost_utils.process_allgather(np.asarray(len(value), np.int32))
    padded = np.zeros(max(np.max(sizes), 1), np.uint8)
    padded[: len(value)] = np.frombuffer(value, np.uint8)
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:size]) for row, size in zip(np.asarray(rows), sizes, strict=True)]


def agree(error: UserError | None) -> None:
    """Raises an error in all processes if one of them has one; all call it together.

    Without that, those that have none would wait for the others in the next collective.

    Raises:
        UserError: the process's own, or else what the first one says that has one.
    """
    said = exchanged(str(error or "").encode(errors="backslashreplace"))
    if error is not None:
        raise error
    for index, message in enumerate(said):
        if message:
            raise UserError(f"process {index}: {message.decode()}")


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """Ends its body with an error in all processes if it does in one; see `agree`."""
    error = None
    try:
        yield
    except UserError as caught:
        error = caught
    agree(error)


def announce() -> None:
    """Prints to standard error the devices of this process, and any accelerator left unused."""
    print(topology(), file=sys.stderr, flush=True)
    warning = unused_accelerator()
    if warning is not None:
        print(f"warning: {warning}", file=sys.stderr, flush=True)


def topology() -> str:
    """Which process this is and on which devices it computes, in a line."""
    device, count = jax.local_devices()[0], jax.device_count()
    kind = f"{device.platform} ({device.device_kind})"
    if jax.process_count() == 1:
        return f"computing on {count} {'device' if count == 1 else 'devices'}, {kind}"
    return (
        f"process {jax.process_index()} of {jax.process_count()} on {socket.gethostname()}: "
        f"{jax.local_device_count()} of {count} devices, {kind}"
    )


@contextlib.contextmanager
def _deadline(seconds: float, message: str) -> Iterator[None]:
    """Ends the process with a line and exit code 2 if the work is not done in time."""

    def end() -> None:
        print(f"error: {message}", file=sys.stderr, flush=True)
        os._exit(USER_ERROR_EXIT_CODE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
