"""Checkpoints of a training: written in the background, checked leaf by leaf when they are read.

A step is a folder of Orbax with two items: `state`, the leaves of the state under their paths, and
`meta`, a JSON object with what the caller adds, the step's score, and dtype, shape and checksum of
every leaf. Orbax stores no array without elements, so those are in `meta` alone.
"""

import contextlib
import dataclasses
import errno
import functools
import itertools
import json
import logging
import os
import pathlib
import re
import sys
import textwrap
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from senet_jax.errors import UserError
from senet_jax.training.optimizer import map_with_path
from senet_jax.training.state import TrainState

_ORBAX = pathlib.Path(ocp.__file__).parent


class Checkpoints:
    """The checkpoints in a folder. Several processes share it, and call every method together.

    The latest `keep_latest` steps and the one with the highest score are kept. A save that fails
    leaves the steps before as they were; its error is raised by the next call, as a `UserError`
    where the place is at fault (full, forbidden, gone).

    Args:
        folder: where they are; made if need be.
        keep_latest: how many of the latest steps to keep.

    Raises:
        UserError: the folder cannot be made or read.
    """

    def __init__(self, folder: str | os.PathLike, keep_latest: int = 2):
        self._folder = pathlib.Path(folder).absolute()
        self._kept = _LatestAndBest(keep_latest, scores={})
        self._saving: int | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._manager = _Manager(
                self._folder,
                options=ocp.CheckpointManagerOptions(
                    cleanup_tmp_directories=True,
                    save_root_metadata=False,
                    # Else, where they cannot be made, the writers wait for them for minutes.
                    async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
                    preservation_policy=self._kept,
                ),
            )
        except OSError as error:
            raise UserError(
                f"cannot use {self._folder} for checkpoints: {error.strerror}; "
                "choose a place that can be written"
            ) from error
        for step in self._manager.all_steps():
            # A broken step is named when it is restored; until then it just has no score.
            with contextlib.suppress(_BrokenStep):
                self._kept.scores[step] = self._read_record(step)["score"]

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(
        self, step: int, state: TrainState, meta: dict[str, Any], score: float | None = None
    ) -> None:
        """Begins to save a step; what is in `state` may be changed when this returns.

        Args:
            step: not yet there.
            state: whole NumPy leaves, the same in every process.
            meta: anything JSON can hold.
            score: the higher the better.

        Raises:
            UserError: this save, or the one before it, cannot be written.
        """
        self.wait()
        leaves = {path: np.asarray(leaf) for path, leaf in _named_leaves(state).items()}
        described = {
            path: _description(leaf) | {"crc32": _checksum(path, leaf)}
            for path, leaf in leaves.items()
        }
        record = {"meta": meta, "score": score, "leaves": described}
        record = json.loads(json.dumps(record, allow_nan=False))
        items = ocp.args.Composite(
            state=ocp.args.StandardSave({path: leaf for path, leaf in leaves.items() if leaf.size}),
            meta=ocp.args.JsonSave({"record": record, "crc32": _record_checksum(record)}),
        )
        self._saving = step
        self._kept.scores[step] = score
        with self._place_at_fault():
            self._manager.save(step, args=items, force=True)

    def wait(self) -> None:
        """Waits until the step that is being saved is on the disk.

        Raises:
            UserError: it cannot be written.
        """
        with self._place_at_fault():
            self._manager.wait_until_finished()

    def restore(self, target: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Reads the newest whole step.

        A step that is broken is named on standard error, and the one before it is read. As soon as
        a whole one is found, the broken ones after it are renamed to `STEP.brokenN`.

        Args:
            target: a state of the same tree, whose leaves tell shape and dtype.

        Returns:
            The state, of NumPy leaves, and its meta; None where no step was ever saved.

        Raises:
            UserError: there are steps, but none is whole, or the newest whole one is not a state
                like the target.
        """
        self.wait()
        steps = sorted(self._manager.all_steps(), reverse=True)
        for position, step in enumerate(steps):
            try:
                restored = self._read(step, target)
            except _BrokenStep as error:
                if jax.process_index() == 0:
                    print(
                        f"warning: {self._folder}: step {step} is broken: {error}", file=sys.stderr
                    )
            else:
                self._move_aside(steps[:position])
                return restored
        if steps:
            raise UserError(
                f"none of the steps {sorted(steps)} in {self._folder} is whole; "
                "move them away to begin anew"
            )
        return None

    def restore_step(self, step: int, target: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Reads one step; see `restore`.

        Raises:
            UserError: it is not there, broken, or not a state like the target.
        """
        self.wait()
        if step not in self._manager.all_steps():
            raise UserError(
                f"no step {step} in {self._folder}; there are {sorted(self._manager.all_steps())}"
            )
        try:
            return self._read(step, target)
        except _BrokenStep as error:
            raise UserError(
                f"step {step} in {self._folder} is broken: {error}; use another step"
            ) from error

    def latest_step(self) -> int | None:
        """The newest step that is saved or being saved."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """The step with the highest score, the earliest of equals; None if none has a score."""
        return self._kept.best(self._manager.all_steps())

    def close(self) -> None:
        """Waits for what is being saved, and ends.

        Raises:
            UserError: it cannot be written.
        """
        with self._place_at_fault():
            try:
                self._manager.wait_until_finished()
            finally:
                self._manager.close()

    def _read(self, step: int, target: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Reads a step in all processes; if it is broken for one of them, it is for all."""
        restored, reason = None, None
        try:
            record = self._read_record(step)
            self._check_fit(step, record["leaves"], target)
            restored = self._read_state(step, record["leaves"], target), record["meta"]
        except _BrokenStep as error:
            reason = str(error)
        if not np.all(multihost_utils.process_allgather(np.asarray(reason is None))):
            raise _BrokenStep(reason or "another process cannot read it")
        return restored

    def _read_record(self, step: int) -> dict[str, Any]:
        content = self._read_item(step, meta=ocp.args.JsonRestore())
        try:
            record, expected = content["record"], content["crc32"]
        except (KeyError, TypeError) as error:
            raise _BrokenStep(f"its meta lacks {error}") from error
        if _record_checksum(record) != expected:
            raise _BrokenStep("its meta does not match its checksum")
        return record

    def _read_state(self, step: int, described: dict[str, Any], target: TrainState) -> TrainState:
        leaves = {path: np.empty(leaf["shape"], leaf["dtype"]) for path, leaf in described.items()}
        stored = {path: leaf for path, leaf in leaves.items() if leaf.size}
        leaves |= self._read_item(step, state=ocp.args.StandardRestore(stored))
        for path, leaf in leaves.items():
            if _checksum(path, leaf) != described[path]["crc32"]:
                raise _BrokenStep(f"{path} does not match its checksum")
        return map_with_path(lambda path, _: leaves[path], target)

    def _read_item(self, step: int, **item: ocp.args.CheckpointArgs) -> Any:
        try:
            (value,) = self._manager.restore(step, args=ocp.args.Composite(**item)).values()
        except Exception as error:
            # Whatever is wrong with its files, Orbax and its readers raise of every kind.
            if _errno(error) in (errno.EACCES, errno.EPERM):
                raise UserError(
                    f"cannot read step {step} in {self._folder}: permission denied; "
                    "give yourself the right to read it"
                ) from error
            raise _BrokenStep(textwrap.shorten(f"{type(error).__name__}: {error}", 200)) from error
        return value

    def _check_fit(self, step: int, described: dict[str, Any], target: TrainState) -> None:
        saved = {path: _in_words(leaf) for path, leaf in described.items()}
        wanted = {
            path: _in_words(_description(leaf)) for path, leaf in _named_leaves(target).items()
        }
        for path in (*wanted, *saved):
            if saved.get(path) != wanted.get(path):
                raise UserError(
                    f"the checkpoint of step {step} in {self._folder} has "
                    f"{path} {saved.get(path, 'not at all')}, this config makes it "
                    f"{wanted.get(path, 'not at all')}; go on with the config that it was made "
                    "with, or name another folder"
                )

    def _move_aside(self, steps: Sequence[int]) -> None:
        if not steps:
            return
        if jax.process_index() == 0:
            for step in steps:
                folder = self._folder / str(step)
                asides = (folder.with_name(f"{step}.broken{n}") for n in itertools.count(1))
                folder.rename(next(aside for aside in asides if not aside.exists()))
        multihost_utils.sync_global_devices("broken steps are aside")
        self._manager.reload()

    @contextlib.contextmanager
    def _place_at_fault(self) -> Iterator[None]:
        """Turns errors of the operating system in saving into one line that says what is left."""
        try:
            yield
        except Exception as error:
            self._manager.reload()
            code = _errno(error)
            if code is None:
                raise
            last = self._manager.latest_step()
            good = "no step is saved" if last is None else f"the last good step is {last}"
            raise UserError(
                f"cannot save step {self._saving} in {self._folder}: {os.strerror(code)}; {good}; "
                "mend it and start again to go on from there"
            ) from error


class _BrokenStep(Exception):
    """A step that cannot be read, or whose content is not what was saved."""


class _Manager(ocp.CheckpointManager):
    def reached_preemption(self, step: int) -> bool:
        """No: `Preemption` asks for all.

        Orbax would ask in its own thread about the step that it saves, while the training is
        further; JAX lets the processes agree on the step after the last that was asked about.
        """
        return False


@dataclasses.dataclass
class _LatestAndBest:
    """Which steps Orbax keeps. It could note scores itself, but in files that nothing checks."""

    keep_latest: int
    scores: dict[int, float | None]

    def best(self, steps: Sequence[int]) -> int | None:
        scored = [step for step in steps if self.scores.get(step) is not None]
        return max(scored, key=self.scores.__getitem__, default=None)

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Tells it of steps in ascending order."""
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = {*steps[-self.keep_latest :], self.best(steps)}
        return [step in kept for step in steps]


def _named_leaves(tree: Any) -> dict[str, Any]:
    paths = map_with_path(lambda path, _: path, tree)
    return dict(zip(jax.tree.leaves(paths), jax.tree.leaves(tree), strict=True))


def _description(leaf: Any) -> dict[str, Any]:
    return {"dtype": str(leaf.dtype), "shape": list(leaf.shape)}


def _in_words(description: dict[str, Any]) -> str:
    return description["dtype"] + str(description["shape"])


def _checksum(path: str, leaf: np.ndarray) -> int:
    """CRC-32 of what a leaf is called, what it is, and its bytes."""
    name = zlib.crc32(f"{path} {_in_words(_description(leaf))}".encode())
    return zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8), name)


def _record_checksum(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def _errno(error: Exception) -> int | None:
    """The operating system's number of an error, if it is one; TensorStore has it in its text."""
    if isinstance(error, OSError):
        return error.errno
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return int(code[1]) if code else None


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the log is more than Orbax's second word on an error that it raises.

    The other is of asyncio, on tasks that Orbax gave up when the first of them failed.
    """
    if "exception was never retrieved" in record.getMessage():
        return False
    return record.levelno < logging.ERROR or _ORBAX not in pathlib.Path(record.pathname).parents


def _report_unraisable(report: Callable[[Any], None], unraisable: Any) -> None:
    """Leaves out reads that end when the first that failed has ended Orbax's event loop."""
    if str(unraisable.exc_value) != "Event loop is closed":
        report(unraisable)


# A full disk or a broken file would else be a thousand lines, and the one that counts unseen.
for _name in ("absl", "asyncio"):
    logging.getLogger(_name).addFilter(_is_news)
sys.unraisablehook = functools.partial(_report_unraisable, sys.unraisablehook)
