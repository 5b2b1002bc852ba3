"""A job as a process: it stops when it is told to, and locks its workdir."""

import contextlib
import fcntl
import os
import pathlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from senet_jax.system.errors import UserError
from senet_jax.system.signals import Terminated


class Preemption:
    """Notices a SIGTERM or a Ctrl-C, and lets all processes agree on the step to stop after.

    Where there are several processes, SIGTERM goes to JAX's own handler, which
    `jax.distributed.initialize` installs, and each process may open this once. A single process
    gets a handler here, for as long as this is open. A second Ctrl-C goes to the former handler.

    Attributes:
        interrupted: whether there was a Ctrl-C in this process.
    """

    def __init__(self):
        import jax  # Commands that have nothing to compute open no `Preemption`.

        self._alone = jax.process_count() == 1
        self.interrupted = False
        self._received = False
        self._calls = 0
        self._former = {signal.SIGINT: signal.signal(signal.SIGINT, self._interrupt)}
        if self._alone:
            self._former[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._receive)

    def __enter__(self) -> "Preemption":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def requested(self) -> bool:
        """Whether to stop now: the same answer in all processes.

        Several processes have to ask after every step, all of them, and get true once.
        """
        if self._alone:
            return self._received
        from jax.experimental import multihost_utils

        # JAX stops at one more than the last number it was told, 0 before the first. The numbers of
        # steps would skip that one in a training that is resumed, which would then never stop.
        self._calls += 1
        return multihost_utils.reached_preemption_sync_point(self._calls)

    def close(self) -> None:
        """Restores the former signal handlers."""
        for number, former in self._former.items():
            signal.signal(number, former)

    def _receive(self, *_: object) -> None:
        self._received = True

    def _interrupt(self, number: int, frame: Any) -> None:
        former = self._former[signal.SIGINT]
        if self.interrupted and callable(former):
            former(number, frame)
        self.interrupted = True
        # The others have to stop after the same step: one that is gone would leave them waiting.
        signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def interruptible(saved: Callable[[], str]) -> Iterator[None]:
    """Gives Ctrl-C and SIGTERM a text: what is saved, and how to resume; `run_command` prints it.

    Args:
        saved: makes the text. The innermost one counts.
    """
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        raise (stop if stop.args else type(stop)(saved())) from None


@contextlib.contextmanager
def locked_workdir(workdir: str | os.PathLike) -> Iterator[None]:
    """Locks a folder, which is made if it is missing; all processes call it together.

    Process 0 holds the lock, which is released when it ends, in whatever way.

    Raises:
        UserError: another run is in the folder, or it cannot be written.
    """
    import jax

    from senet_jax.system.distributed import failing_together

    with contextlib.ExitStack() as held:
        with failing_together():
            if jax.process_index() == 0:
                _lock(pathlib.Path(workdir), held)
        yield


def _lock(workdir: pathlib.Path, held: contextlib.ExitStack) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = held.enter_context((workdir / ".lock").open("a+"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
    except BlockingIOError as error:
        file.seek(0)
        raise UserError(
            f"{workdir} is used by another run, {file.read()}; end it or name another workdir"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot lock {workdir}: {error.strerror}; choose a place that can be written"
        ) from error
