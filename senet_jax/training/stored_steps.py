"""Reads the checkpoints of a training, checked leaf by leaf, and changes nothing in their folder.

A step is a folder of Orbax with two items: `state`, the leaves of the state under their paths, and
`meta`, a JSON object with what the training adds, and dtype, shape and checksum of every leaf.
Orbax stores no array without elements, so those are in `meta` alone. Beside them is what an
evaluation found; see `evaluated`.
"""

import dataclasses
import errno
import functools
import json
import logging
import os
import pathlib
import re
import sys
import textwrap
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from senet_jax.system.errors import UserError
from senet_jax.training.evaluation_record import Evaluated, read_evaluated
from senet_jax.training.former_layout import names_now
from senet_jax.training.optimizer import map_with_path
from senet_jax.training.state import TrainState

_ORBAX = pathlib.Path(ocp.__file__).parent


class BrokenStep(Exception):
    """A step that cannot be read, or whose content is not what was saved."""


@dataclasses.dataclass(frozen=True)
class Record:
    """What a step says of itself.

    Attributes:
        meta: what the training added.
        leaves: path of each leaf of the state -> its dtype, shape and checksum.
    """

    meta: dict[str, Any]
    leaves: Mapping[str, Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """The item `meta`: this, and its checksum."""
        record = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return {"record": record, "crc32": _record_checksum(record)}


class StoredSteps:
    """The steps in a folder of checkpoints; a training may be saving there meanwhile.

    Args:
        folder: where they are; it need not exist.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = pathlib.Path(folder).absolute()
        self._reader = ocp.Checkpointer(ocp.CompositeCheckpointHandler())

    def steps(self) -> list[int]:
        """The steps that are there now, in ascending order; none that is being saved.

        Raises:
            UserError: the folder cannot be read.
        """
        try:
            names = [entry.name for entry in self.folder.iterdir() if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(
                f"cannot read {self.folder}: {error.strerror}; check the path"
            ) from error
        return sorted(int(name) for name in names if re.fullmatch("[0-9]{1,18}", name))

    def record(self, step: int) -> Record:
        """What a step says of itself.

        Raises:
            BrokenStep: it is broken, or there is no such step.
            UserError: it is of another version, or the right to read it is missing.
        """
        content = self._read(step, meta=ocp.args.JsonRestore())
        try:
            record, expected = content["record"], content["crc32"]
        except (KeyError, TypeError) as error:
            raise BrokenStep(f"its meta lacks {error}") from error
        if _record_checksum(record) != expected:
            raise BrokenStep("its meta does not match its checksum")
        if set(record) != {field.name for field in dataclasses.fields(Record)}:
            raise UserError(
                f"step {step} in {self.folder} was saved by another version of senet_jax; resume "
                "with that version, or train in another workdir"
            )
        return Record(**record)

    def evaluated(self, step: int) -> Evaluated | None:
        """How good a step is, if it was evaluated."""
        return read_evaluated(self.folder / str(step))

    def state(self, step: int, record: Record, target: TrainState) -> TrainState:
        """The state at a step, of NumPy leaves.

        Args:
            step: one of `steps`.
            record: of that step.
            target: a state of the same tree, whose leaves tell shape and dtype.

        Raises:
            BrokenStep: it is broken, or not there any more.
            UserError: it is not a state like the target, or the right to read it is missing.
        """
        stored_names = names_now(record.leaves)
        self._check_fit(step, {n: record.leaves[s] for n, s in stored_names.items()}, target)
        leaves = {
            path: np.empty(leaf["shape"], leaf["dtype"]) for path, leaf in record.leaves.items()
        }
        stored = {path: leaf for path, leaf in leaves.items() if leaf.size}
        leaves |= self._read(step, state=ocp.args.StandardRestore(stored))
        for path, leaf in leaves.items():
            if checksum(path, leaf) != record.leaves[path]["crc32"]:
                raise BrokenStep(f"{path} does not match its checksum")
        return map_with_path(lambda path, _: leaves[stored_names[path]], target)

    def _read(self, step: int, **item: ocp.args.CheckpointArgs) -> Any:
        try:
            read = self._reader.restore(self.folder / str(step), args=ocp.args.Composite(**item))
            (value,) = read.values()
        except Exception as error:
            # Whatever is wrong with its files, Orbax and its readers raise of every kind.
            if errno_of(error) in (errno.EACCES, errno.EPERM):
                raise UserError(
                    f"cannot read step {step} in {self.folder}: permission denied; "
                    "give yourself the right to read it"
                ) from error
            raise BrokenStep(textwrap.shorten(f"{type(error).__name__}: {error}", 200)) from error
        return value

    def _check_fit(
        self, step: int, leaves: Mapping[str, Mapping[str, Any]], target: TrainState
    ) -> None:
        saved = {path: _in_words(leaf) for path, leaf in leaves.items()}
        wanted = {path: _in_words(description(leaf)) for path, leaf in named_leaves(target).items()}
        for path in (*wanted, *saved):
            if saved.get(path) != wanted.get(path):
                raise UserError(
                    f"the checkpoint of step {step} in {self.folder} has "
                    f"{path} {saved.get(path, 'not at all')}, this config makes it "
                    f"{wanted.get(path, 'not at all')}; resume with the config that it was made "
                    "with, or name another folder"
                )


def best_first(scores: Mapping[int, float | None]) -> list[int]:
    """Steps by their scores, the earlier of equals first; then those without one, latest first."""
    scored = sorted((-score, step) for step, score in scores.items() if score is not None)
    unscored = [step for step in sorted(scores, reverse=True) if scores[step] is None]
    return [step for _, step in scored] + unscored


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths."""
    paths = map_with_path(lambda path, _: path, tree)
    return dict(zip(jax.tree.leaves(paths), jax.tree.leaves(tree), strict=True))


def description(leaf: Any) -> dict[str, Any]:
    """A leaf's dtype and shape, as JSON."""
    return {"dtype": str(leaf.dtype), "shape": list(leaf.shape)}


def checksum(path: str, leaf: np.ndarray) -> int:
    """CRC-32 of what a leaf is called, what it is, and its bytes."""
    name = zlib.crc32(f"{path} {_in_words(description(leaf))}".encode())
    return zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8), name)


def errno_of(error: Exception) -> int | None:
    """The operating system's number of an error, if it is one; TensorStore has it in its text."""
    if isinstance(error, OSError):
        return error.errno
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return int(code[1]) if code else None


def _in_words(described: Mapping[str, Any]) -> str:
    return described["dtype"] + str(described["shape"])


def _record_checksum(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


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
