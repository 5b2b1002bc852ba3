"""One training, whatever is trained: its steps, its checkpoints, and what it writes."""

import contextlib
import math
import pathlib
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, NoReturn, Protocol

import jax
import numpy as np
from jax.experimental import multihost_utils

from senet_jax.config import completed
from senet_jax.data.loader import Batch
from senet_jax.metrics.saved import REPORT
from senet_jax.system.checksummed import write_sealed_json
from senet_jax.system.distributed import failing_together
from senet_jax.system.errors import UserError
from senet_jax.system.files import sha256_of_file
from senet_jax.system.process import Preemption, interruptible
from senet_jax.system.progress import format_seconds
from senet_jax.system.signals import Terminated
from senet_jax.training import resume
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.evaluator import Evaluator
from senet_jax.training.export import CONFIG, WEIGHTS, network_variables
from senet_jax.training.feed import placed_ahead
from senet_jax.training.final_report import keep_lists, write_final_report
from senet_jax.training.metrics import MetricsWriter, console_line, evaluation_metrics
from senet_jax.training.optimizer import Duration, learning_rate_schedule
from senet_jax.training.parallel import AXIS, ParallelStep, check_divisible
from senet_jax.training.settings import CourseSettings
from senet_jax.training.start import Start
from senet_jax.training.state import TrainState
from senet_jax.training.step import Metrics
from senet_jax.training.window import Window
from senet_jax.weights import TENSORS, Weights, save_weights

LINE_SECONDS = 15.0
"""After which time there is a line on the console, however long steps take."""


class Task(Protocol):
    """What is trained."""

    @property
    def settings(self) -> CourseSettings:
        """Of the training."""
        ...

    @property
    def class_count(self) -> int:
        """Of the data."""
        ...

    @property
    def duration(self) -> Duration:
        """Of the training."""
        ...

    @property
    def accumulate(self) -> int:
        """In how many parts a device goes through its batch."""
        ...

    @property
    def images_per_step(self) -> int:
        """How many images all devices look at in a step."""
        ...

    def make_step(
        self, axis_name: str | None = None
    ) -> Callable[[TrainState, Any], tuple[TrainState, Metrics]]:
        """The function of a step, see `step.make_update`."""
        ...

    def initial_state(self, start: Start | None = None) -> TrainState:
        """The state before the first step, with what is taken of weights, if any."""
        ...

    def abstract_state(self) -> TrainState:
        """The state's structure, with shapes and dtypes in place of arrays."""
        ...


class Batches(Protocol):
    """What is learned from."""

    def batches(self, first_step: int, workers: int) -> Generator[Batch, None, None]:
        """The batches of `first_step` and of all steps after it; the generator has to be closed."""
        ...


class Course:
    """The course of a training: its state, its clock, and what it writes."""

    def __init__(
        self,
        task: Task,
        data: Batches,
        workdir: pathlib.Path,
        checkpoints: Checkpoints,
        preemption: Preemption,
    ):
        self._task, self._told, self._data = task, task.settings, data
        self._workdir, self._checkpoints, self._preemption = workdir, checkpoints, preemption
        self._schedule = learning_rate_schedule(task.settings.optimizer, task.duration)
        self._reports: dict[str, dict[str, Any]] = {}
        self._step = 0
        self._saved_step: int | None = None
        self._seconds = 0.0
        self._compiled = False
        self._last_line = -math.inf
        self._evaluator: Evaluator | None = None
        self._evaluate_every = 1

    def evaluate_by(self, evaluator: Evaluator, every_steps: int) -> None:
        """Evaluates the network before the first step, so often on the way, and at the end."""
        self._evaluator, self._evaluate_every = evaluator, every_steps

    def begin(self, settings: Mapping[str, Any], start: Start | None) -> dict[str, Any]:
        """Takes the state from the newest whole checkpoint, or makes the first one.

        Returns:
            The settings that the training runs with from here on, as its config.json holds them.

        Raises:
            UserError: the checkpoint was made with settings that give another result.
        """
        accepted, before = dict(settings), {}

        def accept(meta: Mapping[str, Any]) -> None:
            with failing_together():
                try:
                    before.update(completed(type(self._told), meta["settings"]))
                    accepted.update(resume.resumed(before, settings, meta["step"]))
                except UserError as refusal:
                    raise UserError(f"{self._workdir}: {refusal}") from None

        restored = self._checkpoints.restore(self._task.abstract_state(), accept)
        if restored is None:
            state = self._task.initial_state(start)
            if start is not None:
                fresh = "".join(f", {name} fresh" for name in state.params if name != "network")
                say(f"starting from {settings['start']}: {start}{fresh}")
        else:
            state, meta = restored
            self._step = self._saved_step = int(state.step)
            self._seconds = meta["seconds"]
            if resume.measured(before) == resume.measured(settings):
                self._reports = meta["reports"]
            evaluated = self._checkpoints.evaluated(self._step)
            if evaluated is not None:
                self._reports[str(self._step)] = evaluated.reports
            changed = resume.note(before, settings)
            say(f"resuming from step {self._step}" + f", changed: {changed}" * bool(changed))
        self._settings = accepted
        if jax.process_index() == 0:
            write_sealed_json(self._workdir / CONFIG, accepted)
        check_divisible(self._told.batch_size, self._task.accumulate, state)
        self._parallel = ParallelStep(self._task.make_step(AXIS), state)
        self._state = self._parallel.to_devices(state)
        return accepted

    def run(self) -> None:
        """Trains to the last step.

        To be asked to stop is heard between steps and between the batches of an evaluation: the
        state is saved, and the process ends with exit code 75, or 130 after Ctrl-C.
        """
        told = self._told
        with interruptible(self._what_is_saved), self._metrics() as metrics:
            if self._preemption.requested():
                self._stop()
            if self._is_to_be_evaluated_first():
                self._evaluate(metrics)
            window = Window(self._step)
            with (
                contextlib.closing(self._data.batches(self._step, told.data.workers)) as made,
                contextlib.closing(placed_ahead(made, self._parallel.place)) as batches,
            ):
                while self._step < self._task.duration.total_steps:
                    self._do_step(window.waiting_for(lambda: next(batches)), window)
                    stop = self._preemption.requested()
                    evaluate = self._is_to_be_evaluated()
                    save = self._is_due(told.checkpoint.every_steps) or evaluate or stop
                    log = self._is_due(told.log_every_steps) or save
                    if log:
                        self._log(window, metrics)
                    elif time.monotonic() - self._last_line > LINE_SECONDS:
                        self._print_line(self._values_of(window), window)
                    if save:
                        self._save()
                    if stop:
                        self._stop()
                    if evaluate:
                        self._evaluate(metrics)
                    if log:
                        # The time of saving and evaluating is no part of the rate.
                        window = Window(self._step)
            self._checkpoints.wait()

    def _do_step(self, batch: Any, window: Window) -> None:
        start, first = time.monotonic(), not self._compiled
        if first:
            say("compiling the training step")
        self._state, values = self._parallel(self._state, batch)
        if first:
            say(f"compiling the training step took {format_seconds(time.monotonic() - start)}")
        self._step += 1
        window.add(values)
        if first:
            self._compiled = True
            self._seconds += window.leave_out()

    def _stop(self) -> NoReturn:
        self._save()
        self._checkpoints.wait()
        kind = KeyboardInterrupt if self._preemption.interrupted else Terminated
        raise kind(self._what_is_saved())

    def _what_is_saved(self) -> str:
        if self._saved_step is None:
            return "no step is saved yet; the same command begins again"
        return (
            f"step {self._saved_step} is saved in {self._workdir}; the same command resumes from "
            "there"
        )

    def _is_to_be_evaluated_first(self) -> bool:
        """Whether the step that the training begins at, or resumes from, was not evaluated yet."""
        due = self._is_to_be_evaluated()
        missing = str(self._step) not in self._reports
        # Process 0 writes down what was evaluated; another may not see its file yet.
        return bool(multihost_utils.broadcast_one_to_all(np.asarray(due and missing)))

    def _is_to_be_evaluated(self) -> bool:
        return self._evaluator is not None and self._is_due(self._evaluate_every)

    def _is_due(self, every: int) -> bool:
        return self._step % every == 0 or self._step == self._task.duration.total_steps

    @contextlib.contextmanager
    def _metrics(self) -> Iterator[MetricsWriter | None]:
        if jax.process_index() != 0:
            yield None
            return
        writer = MetricsWriter(self._workdir, -1 if self._saved_step is None else self._step)
        try:
            yield writer
        finally:
            writer.close()

    def _log(self, window: Window, metrics: MetricsWriter | None) -> None:
        values = self._values_of(window)
        for name, value in values.items():
            if not math.isfinite(value):
                raise self._diverged(
                    f"{name.removeprefix('train/')} is not finite between the steps "
                    f"{window.first_step} and {self._step}"
                )
        self._seconds += window.seconds()
        if metrics is not None:
            metrics.write(self._step, values)
        self._print_line(values, window)

    def _values_of(self, window: Window) -> dict[str, float]:
        """The metrics of the steps in a window; rates are there if a step is in its time."""
        values = {f"train/{name}": value for name, value in window.means().items()}
        values["learning_rate"] = np.asarray(self._schedule(self._step - 1)).item()
        rates = window.rates()
        if rates is not None:
            step_seconds, waiting = rates
            devices = jax.device_count()
            values["images_per_second_per_device"] = (
                self._task.images_per_step / step_seconds / devices
            )
            values["data_wait"] = waiting
        return values

    def _print_line(self, values: Mapping[str, float], window: Window) -> None:
        self._last_line = time.monotonic()
        rates, left = window.rates(), self._task.duration.total_steps - self._step
        if jax.process_index() == 0:
            console_line(
                self._step,
                self._task.duration.total_steps,
                values,
                None if rates is None else left * rates[0],
            )

    def _evaluate(self, metrics: MetricsWriter | None) -> None:
        # A kill in the hours that this may take costs no more than this.
        self._checkpoints.wait()
        assert self._evaluator is not None
        reports = self._evaluator.run(self.variables(), stopped=self._preemption.requested)
        if reports is None:
            self._stop()
        found = {name: report.to_json() for name, report in reports.items()}
        self._reports[str(self._step)] = found
        with failing_together():
            if metrics is not None:  # In process 0.
                keep_lists(self._workdir, self._step, reports)
                metrics.write(self._step, dict(evaluation_metrics(reports)))
        if self._saved_step == self._step:
            score = found[next(iter(found))]["medium"]["map"]
            self._checkpoints.note_evaluated(self._step, score, found)
        for name, report in reports.items():
            means = dict(evaluation_metrics({name: report}))
            say(
                f"step {self._step}: {name} mAP x 100: "
                + ", ".join(f"{key.split('/')[2]} {100 * mean:.1f}" for key, mean in means.items())
            )

    def _save(self) -> None:
        if self._saved_step == self._step:
            return
        state: TrainState = self._parallel.to_host(self._state)
        for path, leaf in jax.tree.leaves_with_path(state):
            if not np.isfinite(leaf).all():
                name = jax.tree_util.keystr(path, simple=True, separator="/")
                raise self._diverged(f"{name} is not finite after step {self._step}")
        meta = {
            "step": self._step,
            "seconds": self._seconds,
            "reports": self._reports,
            "settings": self._settings,
        }
        self._checkpoints.save(self._step, state, meta)
        self._saved_step = self._step

    def _diverged(self, what: str) -> UserError:
        saved, rate = self._saved_step, self._told.optimizer.learning_rate
        good = "no step was saved" if saved is None else f"the last good checkpoint is step {saved}"
        return UserError(
            f"{what}; {good}; train in another workdir with a config.optimizer.learning_rate below "
            f"{rate}"
        )

    def variables(self) -> dict[str, Any]:
        """Of what is trained, as NumPy arrays."""
        return network_variables(self._state)

    def finish(self, settings: Mapping[str, Any], weights: Weights) -> None:
        """Writes the weights and the report."""
        folder = self._workdir / WEIGHTS
        save_weights(folder, weights)
        write_final_report(
            self._workdir,
            settings=settings,
            weights_sha256=sha256_of_file(folder / TENSORS),
            training_set=weights.training_set,
            step=self._step,
            classes=self._task.class_count,
            seconds=self._seconds,
            reports=self._reports,
        )
        say(f"wrote {folder} and {self._workdir / REPORT}")


def say(line: str) -> None:
    """Says a line, in one of the processes."""
    if jax.process_index() == 0:
        print(line, file=sys.stderr, flush=True)
