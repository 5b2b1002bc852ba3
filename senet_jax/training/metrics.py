"""What a training tells: lines of JSON, TensorBoard files, and a line on the console."""

import json
import math
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any, cast

from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.system.checksummed import sealed, unsealed
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.files import atomic_write, parse_json
from senet_jax.system.progress import format_seconds

FILE = "metrics.jsonl"


class MetricsWriter:
    """Writes metrics of steps into a workdir.

    Lines of steps after `last_step` are dropped first: the training that wrote them was stopped
    before their state was saved, and they will be written again.

    Args:
        workdir: where.
        last_step: the step that the training resumes from; -1 where it begins anew.
    """

    def __init__(self, workdir: pathlib.Path, last_step: int):
        path = workdir / FILE
        kept = []
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            for number, line in enumerate(lines, 1):
                try:
                    if _line(line)["step"] <= last_step:
                        kept.append(line)
                except ValueError:
                    # The last one may have been cut short when the process was killed.
                    if number < len(lines):
                        print(f"warning: line {number} of {path} is broken", file=sys.stderr)
        with atomic_write(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._lines = path.open("a", encoding="utf-8")
        self._board = _summary_writer()(str(workdir / "tensorboard"), purge_step=last_step + 1)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes metrics, by name, of a step."""
        # JSON has no other numbers.
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self._lines.write(json.dumps(sealed({"step": step, **finite})) + "\n")
        self._lines.flush()
        for name, value in metrics.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Writes what is not written yet."""
        self._lines.close()
        self._board.close()


def _summary_writer() -> type:
    """The writer of TensorBoard files, without PyTorch, which it would import if it is installed.

    That takes seconds, and is for tensors alone.
    """
    modules = cast(dict[str, Any], sys.modules)
    is_free = "torch" not in modules
    if is_free:
        modules["torch"] = None
    try:
        from tensorboardX import SummaryWriter
    finally:
        if is_free:
            del modules["torch"]
    return SummaryWriter


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """The lines that a training wrote: `step` and the metrics of that step by name, in order.

    Raises:
        UserError: there are none, or one is broken.
    """
    path = workdir / FILE
    try:
        lines = list(map(_line, path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise UserError(
            f"{path} holds a broken line: {reason(error)}; resume the training"
        ) from error
    if not lines:
        raise UserError(f"{path} holds no line yet; resume the training")
    return lines


def evaluation_metrics(reports: Mapping[str, EvaluationReport]) -> Iterator[tuple[str, float]]:
    """The mAP under every protocol that scores a query, by its name among the metrics."""
    for name, report in reports.items():
        for protocol in report.scores:
            if report.query_count(protocol):
                yield f"eval/{name}/{protocol}/map", report.means(protocol)[0]


def _line(text: str) -> dict[str, Any]:
    line = unsealed(parse_json(text), required=False)
    is_line = type(line.get("step")) is int
    if not is_line or not all(type(value) in (int, float) for value in line.values()):
        raise ValueError(f"{shown(line)} is not of a step's metrics")
    return line


def console_line(
    step: int, total_steps: int, metrics: Mapping[str, float], seconds_left: float | None
) -> None:
    """Prints how far the training is: step, losses, rates, and the time that it will take yet.

    Before a step has been timed, there are neither rates nor a time.
    """
    parts = [f"step {step}/{total_steps} ({100 * step / total_steps:.1f} %)"]
    parts += [
        f"{name.removeprefix('train/').replace('_', ' ')} {value:.4f}"
        for name, value in metrics.items()
        if name.startswith("train/loss")
    ]
    parts.append(f"learning rate {metrics['learning_rate']:.2e}")
    if seconds_left is not None:
        parts += [
            f"{metrics['images_per_second_per_device']:.3g} images/s per device",
            f"{100 * metrics['data_wait']:.0f} % waiting for data",
            f"ETA {format_seconds(seconds_left)}",
        ]
    print(", ".join(parts), file=sys.stderr, flush=True)
