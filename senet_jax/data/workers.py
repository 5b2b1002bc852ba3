"""Processes that make the examples of batches, in memory that they share with the training.

Every worker makes its part of each batch, step after step, and is two steps ahead. The shared
memory is anonymous: it takes nothing of `/dev/shm`, of which a container has 64 MB, and is gone
with the last process that has it, however that ends.

A worker imports what makes the examples and no more: neither JAX nor the main module of the
command. It ignores SIGTERM and SIGINT, which reach it where a whole process group is told to stop:
the training needs it for the step that it stops after. It ends as soon as the training has ended.
"""

import concurrent.futures
import contextlib
import functools
import itertools
import math
import mmap
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, BinaryIO

import numpy as np

from senet_jax.system.errors import UserError, reason
from senet_jax.system.host_memory import host_memory_bytes
from senet_jax.system.threads import usable_cores

STEPS_AHEAD = 2
"""How many batches there is memory for."""

Spec = Mapping[str, tuple[tuple[int, ...], Any]]
"""Shape and dtype of each array of an example, by its name."""
Made = tuple[dict[str, np.ndarray], list[str]]
"""The arrays of an example or of a batch, and what has to be said of it."""

# A command's main module is not imported, as Python's own `multiprocessing` would.
_START = """
import pickle, sys
plan = open(f"/proc/self/fd/{sys.argv[1]}", "rb")
sys.path[:] = pickle.load(plan)
from senet_jax.data.workers import work
work(plan, *map(int, sys.argv[2:]))
"""
# The libraries' own threads would be as many as there are cores, in each worker.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
_IGNORED = (signal.SIGTERM, signal.SIGINT)


def batches_of_workers(
    make: Callable[[int], Made], spec: Spec, size: int, first_step: int, count: int
) -> Generator[Made, None, None]:
    """Batches without end, made by processes; close the iterator to end them.

    Args:
        make: gives the example at a place of the stream; it can be pickled, and consists of what
            can be imported.
        spec: of an example.
        size: of a batch; that of a step is the places `step * size` and after it.
        first_step: where to begin.
        count: how many processes.

    Raises:
        UserError: there is not enough memory, or a worker has failed or was ended.
    """
    needed = STEPS_AHEAD * size * _bytes_of(spec)
    if needed > host_memory_bytes():
        raise UserError(
            f"the workers share memory for {STEPS_AHEAD} batches of {size} examples, "
            f"{needed / 2**30:.1f} GiB, and there are {host_memory_bytes() / 2**30:.1f}; give a "
            "smaller config.batch_size or config.data.side"
        )
    with contextlib.ExitStack() as opened:
        try:
            memory, plan = (
                opened.enter_context(_anonymous_file(name)) for name in ("batches", "plan")
            )
            os.ftruncate(memory, needed)
            shared = _arrays(memory, spec, size)
            with open(plan, "wb", closefd=False) as file:
                pickle.dump(sys.path, file)
                pickle.dump((make, spec, size, first_step, count), file)
            workers = [opened.enter_context(_Worker(i, count, plan, memory)) for i in range(count)]
        except OSError as error:
            raise UserError(
                f"the system does not give {count} workers and {needed:,} bytes that they share: "
                f"{error.strerror}; give fewer config.data.workers, 0 needs neither"
            ) from error
        for step in itertools.count(first_step):
            said = _finished(workers)
            batch = {name: array[step % STEPS_AHEAD].copy() for name, array in shared.items()}
            for worker in workers:
                worker.go_on()
            yield batch, said


class _Worker:
    """A worker, as the training sees it; killed when it is closed."""

    def __init__(self, index: int, count: int, plan: int, memory: int):
        self._name = f"worker {index + 1} of {count} that makes batches"
        self.connection, its_end = Pipe()
        descriptors = (plan, memory, its_end.fileno())
        # Held back from the moment at which the process begins, until it ignores them itself.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, *map(str, descriptors), str(index)],
                pass_fds=descriptors,
                env=os.environ | _ONE_THREAD,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            its_end.close()

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def said(self) -> list[str]:
        """What it says of its part of the next batch, which is made.

        Raises:
            UserError: it has failed, or was ended.
        """
        try:
            message = self.connection.recv()
        except (EOFError, ConnectionError):
            raise self._ended() from None
        if isinstance(message, UserError):
            raise message
        return message

    def go_on(self) -> None:
        """Lets it use the memory of a batch again."""
        try:
            self.connection.send_bytes(b"on")
        except ConnectionError:
            raise self._ended() from None

    def _ended(self) -> UserError:
        code = self._process.wait()
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += ", as happens where memory runs out"
        return UserError(
            f"{self._name} {how}; start again to go on from what is saved, if need be with fewer "
            "config.data.workers"
        )


def _finished(workers: list[_Worker]) -> list[str]:
    """Waits until all have made their parts of the next batch; what they say of it."""
    waiting: dict[Any, int] = {worker.connection: index for index, worker in enumerate(workers)}
    said: list[list[str]] = [[] for _ in workers]
    while waiting:
        for connection in wait(list(waiting)):
            index = waiting.pop(connection)
            said[index] = workers[index].said()
    return [line for lines in said for line in lines]


def work(plan: BinaryIO, memory: int, connection: int, index: int) -> None:
    """What a worker does, until the training ends.

    Args:
        plan: a file of pickles, of which `sys.path` is read.
        memory: descriptor of the shared memory.
        connection: descriptor of the connection to the training.
        index: which worker it is.
    """
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _IGNORED)
    # These errors mean that the training has ended.
    with contextlib.suppress(EOFError, ConnectionError), Connection(connection) as training:
        for made, message in enumerate(_parts(plan, memory, index), 1):
            training.send(message)
            if made >= STEPS_AHEAD:
                training.recv_bytes()


def _parts(plan: BinaryIO, memory: int, index: int) -> Iterator[list[str] | UserError]:
    """Makes a worker's parts of the batches: what has to be said of each, or why it fails."""
    try:
        make, spec, size, first_step, count = pickle.load(plan)
        shared = _arrays(memory, spec, size)

        def fill(step: int, place: int) -> list[str]:
            example, said = make(step * size + place)
            for name, array in example.items():
                shared[name][step % STEPS_AHEAD, place] = array
            return said

        threads = max(1, usable_cores() // count)
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            for step in itertools.count(first_step):
                said = pool.map(functools.partial(fill, step), range(index, size, count))
                yield [line for lines in said for line in lines]
    except UserError as error:
        yield error
    except Exception as error:
        yield UserError(
            f"worker {index + 1}, which makes batches, failed with {type(error).__name__}: "
            f"{reason(error)}; config.data.workers=0 shows where"
        )


@contextlib.contextmanager
def _anonymous_file(name: str) -> Iterator[int]:
    """The descriptor of memory that can be used as a file, and has no place among files."""
    descriptor = os.memfd_create(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _bytes_of(spec: Spec) -> int:
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in spec.values())


def _arrays(memory: int, spec: Spec, size: int) -> dict[str, np.ndarray]:
    """The batches in the shared memory, [STEPS_AHEAD size ...] under each name."""
    buffer, offset, arrays = mmap.mmap(memory, 0), 0, {}
    for name, (shape, dtype) in spec.items():
        whole = (STEPS_AHEAD, size, *shape)
        arrays[name] = np.ndarray(whole, dtype, buffer, offset)
        offset += arrays[name].nbytes
    return arrays
