"""The job `train`: from a config and a prepared dataset to weights and a report.

In the workdir it leaves `config.json`, `checkpoints/`, `metrics.jsonl`, `tensorboard/`, and at the
end `weights/` and `report.json`. Started again, it goes on where it was.
"""

import contextlib
import importlib.metadata
import json
import math
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import config_dict

from senet_jax import __version__
from senet_jax.config import flat, names
from senet_jax.data.loader import TrainingData
from senet_jax.data.prepared import open_prepared
from senet_jax.data.revisitop import load_dataset
from senet_jax.errors import UserError
from senet_jax.files import sha256_of_file, write_json
from senet_jax.kept import read_kept_json, write_kept_json
from senet_jax.process import PREEMPTED_EXIT_CODE, Preemption, locked_workdir
from senet_jax.retrieval.evaluation import EvaluationReport
from senet_jax.runtime import use_compilation_cache
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.evaluation import Evaluator
from senet_jax.training.export import (
    CHECKPOINTS,
    CONFIG,
    REPORT,
    WEIGHTS,
    export,
    network_variables,
)
from senet_jax.training.metrics import MetricsWriter, console_line
from senet_jax.training.optimizer import learning_rate_schedule
from senet_jax.training.parallel import AXIS, ParallelStep, check_divisible
from senet_jax.training.setup import (
    PREPROCESSING,
    Setup,
    make_augmentation,
    make_grouping,
    make_setup,
)
from senet_jax.training.state import TrainState
from senet_jax.training.step import make_step
from senet_jax.weights import TENSORS, Weights, load_weights, save_weights

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def train(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the job; see the module.

    Raises:
        UserError: a setting, a file or a place to write is not as it has to be, or the loss is
            not finite.
    """
    use_compilation_cache()
    settings = json.loads(config.to_json_best_effort())
    images = open_prepared(config.data.folder)
    data = TrainingData(
        images,
        config.batch_size,
        config.seed,
        make_augmentation(config),
        PREPROCESSING,
        pairs=config.losses.contrastive_weight > 0,
        grouping=make_grouping(config),
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    setup = make_setup(config, len(images.class_names), data.steps_per_epoch)
    evaluated = names(config.evaluation.datasets)
    datasets = [load_dataset(config.evaluation.data_root, name) for name in evaluated]
    trunk = load_weights(config.trunk) if config.trunk else None
    with (
        locked_workdir(workdir),
        Checkpoints(workdir / CHECKPOINTS, config.checkpoint.keep) as checkpoints,
        Preemption() as preemption,
    ):
        settings["data_found"] = {
            "sha256": images.fingerprint,
            "classes": len(images.class_names),
            "steps_per_epoch": data.steps_per_epoch,
        }
        _keep_config(workdir, settings, begun=checkpoints.latest_step() is not None)
        training = _Training(config, setup, data, workdir, checkpoints, preemption)
        if datasets:
            training.evaluator = Evaluator(
                setup.architecture, datasets, tuple(config.evaluation.scales)
            )
        training.begin(trunk)
        training.run()
        if jax.process_index() == 0:
            training.finish(settings)


def _keep_config(workdir: pathlib.Path, settings: Mapping[str, Any], *, begun: bool) -> None:
    """Writes the settings down, or checks that a training with a checkpoint goes on with them."""
    path = workdir / CONFIG
    if begun and path.exists():
        mend = "use another workdir"
        before, now = flat(read_kept_json(path, mend, required=False)), flat(settings)
        for key in (*before, *now):
            if before.get(key) != now.get(key):
                raise UserError(
                    f"{workdir} was begun with config.{key} {before.get(key)!r}, now it is "
                    f"{now.get(key)!r}; use another workdir or the same settings"
                )
    elif jax.process_index() == 0:
        write_kept_json(path, settings)


class _Training:
    """One training: its state, its clock, and what it writes."""

    evaluator: Evaluator | None = None

    def __init__(
        self,
        config: config_dict.ConfigDict,
        setup: Setup,
        data: TrainingData,
        workdir: pathlib.Path,
        checkpoints: Checkpoints,
        preemption: Preemption,
    ):
        self._config, self._setup, self._data = config, setup, data
        self._workdir, self._checkpoints, self._preemption = workdir, checkpoints, preemption
        self._schedule = learning_rate_schedule(setup.optimizer)
        self._reports: dict[str, dict[str, Any]] = {}
        self._step = 0
        self._saved_step: int | None = None
        self._seconds = 0.0

    def begin(self, trunk: Weights | None) -> None:
        """Takes the state from the newest whole checkpoint, or makes the first one."""
        restored = self._checkpoints.restore(self._setup.abstract_state())
        if restored is None:
            state = self._setup.initial_state(trunk)
        else:
            state, meta = restored
            self._step = self._saved_step = int(state.step)
            self._seconds, self._reports = meta["seconds"], meta["reports"]
            if jax.process_index() == 0:
                print(f"going on from step {self._step}", file=sys.stderr)
        check_divisible(self._config.batch_size, self._config.accumulate, state)
        body = make_step(
            self._setup.architecture, self._setup.make_optimizer(), self._setup.step, AXIS
        )
        self._parallel = ParallelStep(body, state)
        self._state = self._parallel.to_devices(state)

    def run(self) -> None:
        """Trains to the last step; leaves with exit code 75 when it is asked to stop."""
        total, config = self._setup.total_steps, self._config
        with self._metrics() as metrics:
            # At the very start, and where the training was told to stop before it.
            if self._is_due(config.evaluation.every_steps) and str(self._step) not in self._reports:
                self._evaluate(metrics)
            window = _Window(self._step)
            batches = self._data.batches(self._step, config.data.workers)
            with contextlib.closing(batches):
                while self._step < total:
                    batch = window.waiting_for(lambda: next(batches))
                    self._state, values = self._parallel(self._state, batch)
                    window.add(values)
                    self._step += 1
                    stop = self._preemption.requested()
                    evaluate = self._is_due(config.evaluation.every_steps) and self.evaluator
                    save = self._is_due(config.checkpoint.every_steps) or evaluate or stop
                    if save or self._is_due(config.log_every_steps):
                        self._log(window, metrics)
                        window = _Window(self._step)
                    if evaluate and not stop:
                        self._evaluate(metrics)
                    if save:
                        self._save()
                        window = _Window(self._step)
                    if stop:
                        self._checkpoints.wait()
                        _say(f"stopped at step {self._step}, its state is saved")
                        sys.exit(PREEMPTED_EXIT_CODE)
            self._checkpoints.wait()

    def _is_due(self, every: int) -> bool:
        return self._step % every == 0 or self._step == self._setup.total_steps

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

    def _log(self, window: "_Window", metrics: MetricsWriter | None) -> None:
        values = window.means()
        if not all(math.isfinite(value) for value in values.values()):
            bad = next(name for name, value in values.items() if not math.isfinite(value))
            raise self._diverged(
                f"{bad} is not finite between the steps {window.first_step} and {self._step}"
            )
        elapsed = window.seconds()
        steps = self._step - window.first_step
        self._seconds += elapsed
        if metrics is None:
            return
        values = {f"train/{name}": value for name, value in values.items()} | {
            "learning_rate": float(self._schedule(self._step - 1)),
            "images_per_second_per_device": steps
            * self._config.batch_size
            / elapsed
            / jax.device_count(),
            "data_wait": window.waited / elapsed,
        }
        metrics.write(self._step, values)
        left = (self._setup.total_steps - self._step) * elapsed / steps
        console_line(self._step, self._setup.total_steps, values, left)

    def _evaluate(self, metrics: MetricsWriter | None) -> None:
        if self.evaluator is None:
            return
        # Every process does it, so that none waits in a collective for an hour.
        reports = self.evaluator.run(network_variables(self._state))
        self._reports[str(self._step)] = {n: report.to_json() for n, report in reports.items()}
        if metrics is None:
            return
        metrics.write(self._step, dict(_evaluation_metrics(reports)))
        for name, report in reports.items():
            means = dict(_evaluation_metrics({name: report}))
            _say(
                f"step {self._step}: {name} mAP x 100: "
                + ", ".join(f"{key.split('/')[2]} {100 * mean:.1f}" for key, mean in means.items())
            )

    def _save(self) -> None:
        if self._saved_step == self._step:
            return
        latest = self._reports.get(str(self._step))
        score = latest and latest[next(iter(latest))]["medium"]["map"]
        state: TrainState = self._parallel.to_host(self._state)
        for path, leaf in jax.tree.leaves_with_path(state):
            if not np.isfinite(leaf).all():
                name = jax.tree_util.keystr(path, simple=True, separator="/")
                raise self._diverged(f"{name} is not finite after step {self._step}")
        meta = {"seconds": self._seconds, "reports": self._reports}
        self._checkpoints.save(self._step, state, meta, score)
        self._saved_step = self._step

    def _diverged(self, what: str) -> UserError:
        saved, rate = self._saved_step, self._config.optimizer.learning_rate
        good = "no step was saved" if saved is None else f"the last good checkpoint is step {saved}"
        return UserError(
            f"{what}; {good}; train in another workdir with a config.optimizer.learning_rate below "
            f"{rate}"
        )

    def finish(self, settings: Mapping[str, Any]) -> None:
        """Writes the weights and the report."""
        folder = self._workdir / WEIGHTS
        save_weights(folder, export(self._setup, network_variables(self._state), settings))
        first, last = self._reports.get("0", {}), self._reports.get(str(self._step), {})
        write_json(
            self._workdir / REPORT,
            last
            | {f"{name}_untrained": report for name, report in first.items()}
            | {
                "run": {
                    "config": settings,
                    "weights_sha256": sha256_of_file(folder / TENSORS),
                    "counts": {"steps": self._step, "classes": self._setup.step.class_count},
                    "skipped": 0,
                    "seconds": {"training": self._seconds},
                    "versions": {"senet_jax": __version__}
                    | {library: importlib.metadata.version(library) for library in LIBRARIES},
                }
            },
        )
        _say(f"wrote {folder} and {self._workdir / REPORT}")


class _Window:
    """The steps since the last line: what they measured, and how long they took."""

    def __init__(self, first_step: int):
        self.first_step = first_step
        self.waited = 0.0
        self._start = time.monotonic()
        self._values: list[dict[str, jax.Array]] = []

    def waiting_for(self, work: Any) -> Any:
        """Does the work and counts its time as waiting."""
        start = time.monotonic()
        result = work()
        self.waited += time.monotonic() - start
        return result

    def add(self, values: dict[str, jax.Array]) -> None:
        """Keeps a step's metrics, which may not be computed yet."""
        self._values.append(values)

    def means(self) -> dict[str, float]:
        """The metrics' means; waits for the last step."""
        fetched = jax.device_get(self._values)
        return {name: float(np.mean([v[name] for v in fetched])) for name in fetched[0]}

    def seconds(self) -> float:
        """The time since the window began."""
        return time.monotonic() - self._start


def _evaluation_metrics(reports: Mapping[str, EvaluationReport]) -> Iterator[tuple[str, float]]:
    for name, report in reports.items():
        for protocol in report.scores:
            means = report.means(protocol)
            if means is not None:
                yield f"eval/{name}/{protocol}/map", means[0]


def _say(line: str) -> None:
    if jax.process_index() == 0:
        print(line, file=sys.stderr, flush=True)
