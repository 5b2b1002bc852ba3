"""Runs a reader on one file in a process of its own, with limits on memory and time.

A server imports what readers need, and forks for each case. It has no thread and no JAX backend,
as the process of the tests may have, so that its forks work.
"""

import contextlib
import dataclasses
import importlib
import io
import os
import pathlib
import pickle
import resource
import select
import signal
import subprocess
import sys
import traceback

MEMORY = 200 * 2**20
"""In bytes, that reading may touch."""
ROOM = 2**30
"""In bytes, that it may ask for: a third library's threads have stacks that they do not touch."""
SECONDS = 10
"""Of computing time; a reader takes far less, on a busy machine as well."""
WAIT_SECONDS = 60
"""For a child that waits and does not compute."""

REPOSITORY = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        kind: `value`, `refused` (with one printable line), or `broken`.
        text: the line, or what went wrong.
    """

    kind: str
    text: str = ""


class Server:
    """The process that forks; it is started when it is first asked."""

    def __init__(self):
        self._process = None

    def run(self, reader: str, path: pathlib.Path) -> Outcome:
        """Lets a reader read a file."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from tests.fuzz.children import serve; serve()"],
                cwd=REPOSITORY,
                env=os.environ | {"JAX_PLATFORMS": "cpu"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        pickle.dump((reader, os.fspath(path)), self._process.stdin)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


def serve() -> None:
    """Answers until the standard input ends."""
    from tests.fuzz.readers import READERS

    requests, answers = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            name, path = pickle.load(requests)
        except EOFError:
            return
        for module in READERS[name].imports:
            importlib.import_module(module)
        pickle.dump(_in_child(READERS[name].read, pathlib.Path(path)), answers)
        answers.flush()


def _in_child(read, path) -> Outcome:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        outcome = _limited(read, path)
        with contextlib.suppress(OSError), os.fdopen(writing, "wb") as pipe:
            pickle.dump(outcome, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answered, _, _ = select.select([pipe], [], [], WAIT_SECONDS)
        if not answered:
            os.kill(child, signal.SIGKILL)
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if not answered:
        return Outcome("broken", f"nothing came of it for {WAIT_SECONDS} s")
    if not said:
        return Outcome("broken", f"the process ended with {os.waitstatus_to_exitcode(status)}")
    return pickle.loads(said)


def _bytes(key: str) -> int:
    """What the kernel says of this process's memory."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def _limited(read, path) -> Outcome:
    """In the child: reads within the limits."""
    from senet_jax.system.errors import UserError

    before, room = _bytes("VmRSS"), _bytes("VmData") + ROOM
    resource.setrlimit(resource.RLIMIT_DATA, (room, room))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            read(path)
        outcome = Outcome("value")
    except UserError as error:
        text = str(error)
        is_line = text.isprintable() and 0 < len(text) <= 500
        outcome = Outcome("refused" if is_line else "broken", text)
    except BaseException:
        outcome = Outcome("broken", traceback.format_exc())
    touched = _bytes("VmHWM") - before
    if touched > MEMORY:
        outcome = Outcome("broken", f"{touched:,} bytes of memory; {outcome.text}")
    if not all(line.isprintable() for line in printed.getvalue().splitlines()):
        outcome = Outcome("broken", f"printed {printed.getvalue()!r}")
    return outcome
