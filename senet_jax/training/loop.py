"""The job `train`: from a config and a prepared dataset to weights and a report.

In the workdir it leaves `config.json`, `checkpoints/`, `metrics.jsonl`, `tensorboard/`, and at the
end `weights/` and `report.json`. Started again, it resumes from the newest checkpoint.
"""

import contextlib
import json
import math
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import config_dict

from senet_jax.config import names, read
from senet_jax.data.loader import TrainingData
from senet_jax.data.prepared import open_prepared
from senet_jax.data.revisitop import load_dataset
from senet_jax.metrics.saved import REPORT
from senet_jax.system.checksummed import write_sealed_json
from senet_jax.system.errors import UserError
from senet_jax.system.files import sha256_of_file
from senet_jax.system.process import Preemption, interruptible, locked_workdir
from senet_jax.system.progress import format_seconds
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.system.signals import Terminated
from senet_jax.training import resume
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.evaluator import Evaluator
from senet_jax.training.export import (
    CHECKPOINTS,
    CONFIG,
    WEIGHTS,
    export,
    found_of_start,
    network_variables,
)
from senet_jax.training.feed import placed_ahead
from senet_jax.training.final_report import keep_lists, write_final_report
from senet_jax.training.metrics import MetricsWriter, console_line, evaluation_metrics
from senet_jax.training.optimizer import learning_rate_schedule
from senet_jax.training.parallel import AXIS, ParallelStep, check_divisible
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import (
    Setup,
    make_augmentation,
    make_grouping,
    make_setup,
    rate_note,
)
from senet_jax.training.start import Start
from senet_jax.training.state import TrainState
from senet_jax.training.window import Window
from senet_jax.weights import TENSORS, load_weights, save_weights

LINE_SECONDS = 15.0
"""After which time there is a line on the console, however long steps take."""


def train(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the job; see the module.

    Raises:
        UserError: a setting, a file or a place to write is not as it has to be, or the loss is
            not finite.
    """
    use_compilation_cache()
    with Preemption() as preemption:
        _train(config, workdir, preemption)


def _train(config: config_dict.ConfigDict, workdir: pathlib.Path, preemption: Preemption) -> None:
    told = read(TrainingSettings, config)
    images = open_prepared(told.data.folder)
    data = TrainingData(
        images,
        told.batch_size,
        told.seed,
        make_augmentation(told.data),
        pairs=any(loss.pairs for loss in told.weighed_losses()),
        grouping=make_grouping(told.data),
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    setup = make_setup(told, len(images.class_names), data.steps_per_epoch)
    evaluated = names(told.evaluation.datasets)
    datasets = [load_dataset(told.evaluation.data_root, name) for name in evaluated]
    weights = load_weights(told.start) if told.start else None
    start = None if weights is None else setup.start_from(weights)
    settings = json.loads(config.to_json_best_effort()) | {
        "data_found": {
            "sha256": images.fingerprint,
            "name": images.name,
            "images": len(images),
            "classes": len(images.class_names),
            "steps_per_epoch": data.steps_per_epoch,
        },
        "start_found": found_of_start(weights),
        "rate_changes": [],
    }
    with (
        locked_workdir(workdir),
        Checkpoints(
            workdir / CHECKPOINTS, told.checkpoint.keep, resume.measured(settings)
        ) as checkpoints,
    ):
        training = _Training(setup, data, workdir, checkpoints, preemption)
        if datasets:
            training.evaluator = Evaluator(setup.architecture, datasets, told.evaluation.scales)
        settings = training.begin(settings, start)
        note = rate_note(told)
        if note is not None:
            _say(note)
        training.run()
        if jax.process_index() == 0:
            training.finish(settings)


class _Training:
    """One training: its state, its clock, and what it writes."""

    evaluator: Evaluator | None = None

    def __init__(
        self,
        setup: Setup,
        data: TrainingData,
        workdir: pathlib.Path,
        checkpoints: Checkpoints,
        preemption: Preemption,
    ):
        self._setup, self._told, self._data = setup, setup.settings, data
        self._workdir, self._checkpoints, self._preemption = workdir, checkpoints, preemption
        self._schedule = learning_rate_schedule(setup.settings.optimizer, setup.duration)
        self._reports: dict[str, dict[str, Any]] = {}
        self._step = 0
        self._saved_step: int | None = None
        self._seconds = 0.0
        self._compiled = False
        self._last_line = -math.inf

    def begin(self, settings: Mapping[str, Any], start: Start | None) -> dict[str, Any]:
        """Takes the state from the newest whole checkpoint, or makes the first one.

        Returns:
            The settings that the training runs with from here on, as its config.json holds them.

        Raises:
            UserError: the checkpoint was made with settings that give another result.
        """
        accepted = dict(settings)

        def accept(meta: Mapping[str, Any]) -> None:
            before, error = meta["settings"], None
            try:
                accepted.update(resume.resumed(before, settings, meta["step"]))
            except UserError as refusal:
                error = UserError(f"{self._workdir}: {refusal}")
            resume.agree(error)

        restored = self._checkpoints.restore(self._setup.abstract_state(), accept)
        if restored is None:
            state = self._setup.initial_state(start)
            if start is not None:
                fresh = "".join(f", {name} fresh" for name in state.params if name != "network")
                _say(f"starting from {settings['start']}: {start}{fresh}")
        else:
            state, meta = restored
            self._step = self._saved_step = int(state.step)
            self._seconds = meta["seconds"]
            before = meta["settings"]
            if resume.measured(before) == resume.measured(settings):
                self._reports = meta["reports"]
            evaluated = self._checkpoints.evaluated(self._step)
            if evaluated is not None:
                self._reports[str(self._step)] = evaluated.reports
            changed = resume.note(before, settings)
            _say(f"resuming from step {self._step}" + f", changed: {changed}" * bool(changed))
        self._settings = accepted
        if jax.process_index() == 0:
            write_sealed_json(self._workdir / CONFIG, accepted)
        check_divisible(self._told.batch_size, self._told.step.accumulate, state)
        self._parallel = ParallelStep(self._setup.make_step(AXIS), state)
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
                while self._step < self._setup.duration.total_steps:
                    self._do_step(window.waiting_for(lambda: next(batches)), window)
                    stop = self._preemption.requested()
                    evaluate = self._is_due(told.evaluation.every_steps) and self.evaluator
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
            _say("compiling the training step")
        self._state, values = self._parallel(self._state, batch)
        if first:
            _say(f"compiling the training step took {format_seconds(time.monotonic() - start)}")
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
        due = self._is_due(self._told.evaluation.every_steps) and self.evaluator is not None
        missing = str(self._step) not in self._reports
        # Process 0 writes down what was evaluated; another may not see its file yet.
        return bool(multihost_utils.broadcast_one_to_all(np.asarray(due and missing)))

    def _is_due(self, every: int) -> bool:
        return self._step % every == 0 or self._step == self._setup.duration.total_steps

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
            values["images_per_second_per_device"] = self._told.batch_size / step_seconds / devices
            values["data_wait"] = waiting
        return values

    def _print_line(self, values: Mapping[str, float], window: Window) -> None:
        self._last_line = time.monotonic()
        rates, left = window.rates(), self._setup.duration.total_steps - self._step
        if jax.process_index() == 0:
            console_line(
                self._step,
                self._setup.duration.total_steps,
                values,
                None if rates is None else left * rates[0],
            )

    def _evaluate(self, metrics: MetricsWriter | None) -> None:
        # A kill in the hours that this may take costs no more than this.
        self._checkpoints.wait()
        assert self.evaluator is not None
        # Every process does it, so that none waits in a collective for an hour.
        reports = self.evaluator.run(
            network_variables(self._state), stopped=self._preemption.requested
        )
        if reports is None:
            self._stop()
        found = {name: report.to_json() for name, report in reports.items()}
        self._reports[str(self._step)] = found
        if jax.process_index() == 0:
            keep_lists(self._workdir, self._step, reports)
        if metrics is not None:
            metrics.write(self._step, dict(evaluation_metrics(reports)))
        if self._saved_step == self._step:
            score = found[next(iter(found))]["medium"]["map"]
            self._checkpoints.note_evaluated(self._step, score, found)
        for name, report in reports.items():
            means = dict(evaluation_metrics({name: report}))
            _say(
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

    def finish(self, settings: Mapping[str, Any]) -> None:
        """Writes the weights and the report."""
        folder = self._workdir / WEIGHTS
        weights = export(self._setup, network_variables(self._state), settings)
        save_weights(folder, weights)
        write_final_report(
            self._workdir,
            settings=settings,
            weights_sha256=sha256_of_file(folder / TENSORS),
            training_set=weights.training_set,
            step=self._step,
            classes=self._setup.class_count,
            seconds=self._seconds,
            reports=self._reports,
        )
        _say(f"wrote {folder} and {self._workdir / REPORT}")


def _say(line: str) -> None:
    if jax.process_index() == 0:
        print(line, file=sys.stderr, flush=True)
