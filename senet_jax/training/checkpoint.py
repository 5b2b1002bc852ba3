"""Checkpoints of a training: written in the background, and restored; see `stored_steps`."""

import contextlib
import dataclasses
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from senet_jax.system.distributed import failing_together
from senet_jax.system.errors import UserError
from senet_jax.training.evaluation_record import Evaluated, write_evaluated
from senet_jax.training.state import TrainState
from senet_jax.training.stored_steps import (
    BrokenStep,
    Record,
    StoredSteps,
    best_first,
    checksum,
    description,
    errno_of,
    named_leaves,
)


class Checkpoints:
    """The checkpoints in the folder of a training, which alone may open them so.

    Whoever only reads takes `StoredSteps`: this removes what a save before has left half-done.
    Several processes share the folder, and call every method together.

    The latest `keep_latest` steps and the one with the highest score are kept. A save that fails
    leaves the steps before as they were; its error is raised by the next call, as a `UserError`
    where the place is at fault (full, forbidden, gone).

    Args:
        folder: where they are; made if need be.
        keep_latest: how many of the latest steps to keep.
        score_of: what the scores are measured on; those of steps that were measured on something
            else do not count.

    Raises:
        UserError: the folder cannot be made or read.
    """

    def __init__(self, folder: str | os.PathLike, keep_latest: int = 2, score_of: str = ""):
        self._stored = StoredSteps(folder)
        self._folder = self._stored.folder
        self._kept = _LatestAndBest(keep_latest, scores={})
        self._score_of = score_of
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
        for step in self._stored.steps():
            evaluated = self.evaluated(step)
            self._kept.scores[step] = evaluated and evaluated.score

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, step: int, state: TrainState, meta: dict[str, Any]) -> None:
        """Begins to save a step; what is in `state` may be changed when this returns.

        Args:
            step: not yet there.
            state: whole NumPy leaves, the same in every process.
            meta: anything JSON can hold.

        Raises:
            UserError: this save, or the one before it, cannot be written.
        """
        self.wait()
        leaves = {path: np.asarray(leaf) for path, leaf in named_leaves(state).items()}
        described = {
            path: description(leaf) | {"crc32": checksum(path, leaf)}
            for path, leaf in leaves.items()
        }
        record = Record(meta, described)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave({path: leaf for path, leaf in leaves.items() if leaf.size}),
            meta=ocp.args.JsonSave(record.to_json()),
        )
        self._saving = step
        with self._place_at_fault():
            self._manager.save(step, args=items, force=True)

    def note_evaluated(self, step: int, score: float | None, reports: dict[str, Any]) -> None:
        """Writes down how good a step is, which is saved.

        Args:
            step: the step.
            score: the higher the better.
            reports: anything JSON can hold.

        Raises:
            UserError: it, or the step itself, cannot be written.
        """
        self.wait()
        self._kept.scores[step] = score
        with failing_together():
            if jax.process_index() == 0:
                evaluated = Evaluated(score, self._score_of, reports)
                write_evaluated(self._folder / str(step), evaluated)

    def evaluated(self, step: int) -> Evaluated | None:
        """How good a step is, if it was evaluated on what scores are measured on now."""
        evaluated = self._stored.evaluated(step)
        return evaluated if evaluated and evaluated.score_of == self._score_of else None

    def wait(self) -> None:
        """Waits until the step that is being saved is on the disk.

        Raises:
            UserError: it cannot be written.
        """
        with self._place_at_fault():
            self._manager.wait_until_finished()

    def restore(
        self, target: TrainState, accept: Callable[[dict[str, Any]], None] = lambda meta: None
    ) -> tuple[TrainState, dict[str, Any]] | None:
        """Reads the newest whole step.

        A step that is broken is named on standard error, and the one before it is read. As soon as
        a whole one is found, the broken ones after it are renamed to `STEP.brokenN`.

        Args:
            target: a state of the same tree, whose leaves tell shape and dtype.
            accept: is given the meta of a step before its state is read, and may raise.

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
                record = _whole_for_all(lambda step=step: self._stored.record(step))
                accept(record.meta)
                state = _whole_for_all(
                    lambda step=step, record=record: self._stored.state(step, record, target)
                )
            except BrokenStep as error:
                if jax.process_index() == 0:
                    print(
                        f"warning: {self._folder}: step {step} is broken: {error}", file=sys.stderr
                    )
            else:
                self._move_aside(steps[:position])
                return state, record.meta
        if steps:
            raise UserError(
                f"none of the steps {sorted(steps)} in {self._folder} is whole; "
                "move them away to begin anew"
            )
        return None

    def latest_step(self) -> int | None:
        """The newest step that is saved or being saved."""
        return self._manager.latest_step()

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
            code = errno_of(error)
            if code is None:
                raise
            last = self._manager.latest_step()
            good = "no step is saved" if last is None else f"the last good step is {last}"
            raise UserError(
                f"cannot save step {self._saving} in {self._folder}: {os.strerror(code)}; {good}; "
                "mend it and start again to resume from there"
            ) from error


def _whole_for_all(read: Callable[[], Any]) -> Any:
    """What is read, in all processes; if it is broken for one of them, it is for all."""
    value, reason = None, None
    try:
        value = read()
    except BrokenStep as error:
        reason = str(error)
    if not np.all(multihost_utils.process_allgather(np.asarray(reason is None))):
        raise BrokenStep(reason or "another process cannot read it")
    return value


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

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Tells it of steps in ascending order."""
        steps = [checkpoint.step for checkpoint in checkpoints]
        scores = {step: self.scores.get(step) for step in steps}
        # Where none has a score, the first of them is the latest.
        kept = {*steps[-self.keep_latest :], *best_first(scores)[:1]}
        return [step in kept for step in steps]
