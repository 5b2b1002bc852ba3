"""Runs of the ordinary commands, some at once, each a process of its own."""

import collections
import dataclasses
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from senet_jax.system.checksummed import read_sealed_json, write_sealed_json
from senet_jax.system.errors import UserError, printable, shortened
from senet_jax.system.progress import Progress

LOG = "log.txt"
_RECORD = "study.json"
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 60.0
_LONGEST_FAULT = 200

# A process that is killed cannot end what it has begun. So the system is asked to kill this one
# then: by `prctl(PR_SET_PDEATHSIG, SIGKILL)`, which outlives `exec`.
_START = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the study has ended")
os.sched_setaffinity(0, map(int, sys.argv[2].split(",")))
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[3:]])
"""

# Else the first run takes most of a GPU's memory for itself.
_SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of the project, and what it leaves.

    Attributes:
        arguments: its name, such as `main`, and what follows.
        is_done: whether it has ended before, so that it is not run again.
    """

    arguments: tuple[str, ...]
    is_done: Callable[[], bool]


@dataclasses.dataclass(frozen=True)
class Run:
    """Commands one after the other, which go on where they were when they are run again.

    Attributes:
        name: for people; no two runs of a study share it.
        folder: for the log of what they say.
        commands: what is run.
        size: how much work it is, in units of the study.
        done: how much of that is done, while it runs.
    """

    name: str
    folder: pathlib.Path
    commands: tuple[Command, ...]
    size: int = 1
    done: Callable[[], int] = lambda: 0

    def is_done(self) -> bool:
        """Whether all commands have ended."""
        return all(command.is_done() for command in self.commands)


def run_all(
    runs: Sequence[Run], jobs: int, unit: str, ended: Callable[[Run], None]
) -> Mapping[str, str]:
    """Runs what is not done yet, in the order in which it is given.

    A run that fails keeps no other from being run. Where this is interrupted, all that runs is told
    to end, and waited for.

    Args:
        runs: what there is to do.
        jobs: how many at once; each has its share of the processor's cores.
        unit: of the progress.
        ended: called after each run that is done.

    Returns:
        For each run that has failed, by its name, the last line that it said.
    """
    waiting = collections.deque(run for run in runs if not run.is_done())
    faults: dict[str, str] = {}
    progress = _Whole(waiting, unit)
    active: dict[int, _Active] = {}
    try:
        while waiting or active:
            for slot in set(range(jobs)) - active.keys():
                if waiting:
                    active[slot] = _Active(waiting.popleft(), slot, jobs)
            for slot, running in list(active.items()):
                if running.is_running():
                    continue
                del active[slot]
                progress.ended(running.run)
                if running.has_failed:
                    faults[running.run.name] = running.last_line()
                else:
                    ended(running.run)
            progress.look(running.run for running in active.values())
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        _end([running.process for running in active.values() if running.process is not None])
    return faults


def claim(workdir: pathlib.Path, value: Mapping[str, Any]) -> None:
    """Marks a workdir as that of a study.

    Args:
        workdir: of the study.
        value: what the study is made of, as JSON has it.

    Raises:
        UserError: it is the workdir of another study.
    """
    path = workdir / _RECORD
    if not path.exists():
        write_sealed_json(path, value)
        return
    found = read_sealed_json(path, "name another --workdir")
    if found != value:
        others = (key for key in found | dict(value) if found.get(key) != value.get(key))
        raise UserError(
            f"{workdir} holds a study that differs in {' and '.join(map(printable, others))} (see "
            f"{path.name} there); name another --workdir"
        )


def check_faults(faults: Mapping[str, str], runs: Sequence[Run]) -> None:
    """Raises a `UserError` if a run has failed."""
    if not faults:
        return
    name, said = next(iter(faults.items()))
    (folder,) = (run.folder for run in runs if run.name == name)
    raise UserError(
        f"{len(faults)} of {len(runs)} runs failed, {name} for one: {said}; see {folder / LOG}, "
        "and run the same command again"
    )


class _Whole:
    """The progress over all runs."""

    def __init__(self, runs: Sequence[Run] | collections.deque, unit: str):
        self._before = {run.name: run.done() for run in runs}
        total = sum(run.size - self._before[run.name] for run in runs)
        self._progress, self._shown = Progress("study", total, unit), 0
        self._ended = 0

    def ended(self, run: Run) -> None:
        """Counts a run as done."""
        self._ended += run.size - self._before[run.name]

    def look(self, running: Iterator[Run]) -> None:
        """Shows what is done of those that run."""
        done = self._ended + sum(max(0, run.done() - self._before[run.name]) for run in running)
        if done > self._shown:
            self._progress.advance(done - self._shown)
            self._shown = done


class _Active:
    """A run under way.

    Attributes:
        process: of the command that it is at.
        has_failed: whether a command ended with another code than 0.
    """

    def __init__(self, run: Run, slot: int, jobs: int):
        self.run = run
        self._commands = collections.deque(c for c in run.commands if not c.is_done())
        self._cores = _share(slot, jobs)
        self.process: subprocess.Popen | None = None
        self.has_failed = False

    def is_running(self) -> bool:
        """Whether it is at work; begins the next command where one has ended."""
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return True
            self.process = None
            if code:
                self.has_failed = True
                return False
        if not self._commands:
            return False
        self._begin(self._commands.popleft())
        return True

    def _begin(self, command: Command) -> None:
        name, *arguments = command.arguments
        self.run.folder.mkdir(parents=True, exist_ok=True)
        with (self.run.folder / LOG).open("ab") as log:
            start = [sys.executable, "-c", _START, str(os.getpid()), self._cores]
            self.process = subprocess.Popen(
                [*start, f"senet_jax.{name}", *arguments],
                env=_SHARED_GPU | os.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C on a terminal reaches the study alone, which ends its runs.
                process_group=0,
            )

    def last_line(self) -> str:
        """What was said last, for people."""
        try:
            text = (self.run.folder / LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "it said nothing"
        lines = [line for line in text.splitlines() if line.strip()] or ["it said nothing"]
        return shortened(printable(lines[-1]), _LONGEST_FAULT)


def _end(processes: Sequence[subprocess.Popen]) -> None:
    """Tells processes to end, and waits for what they save; kills those that take too long."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + _SECONDS_TO_END
    for process in processes:
        try:
            process.wait(max(0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _share(slot: int, jobs: int) -> str:
    """The cores of one of so many jobs; where there are fewer cores, one that it shares."""
    cores = sorted(os.sched_getaffinity(0))
    return ",".join(map(str, cores[slot::jobs] or [cores[slot % len(cores)]]))
