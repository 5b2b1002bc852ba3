"""A study of trainings: variants and seeds, each a workdir of the ordinary jobs."""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from senet_jax.command_line import parse_with_config, validate
from senet_jax.config import flat, names, read
from senet_jax.data.synthetic_landmarks import NAME
from senet_jax.forecast.lines import in_bytes
from senet_jax.forecast.training import known_data, state_bytes
from senet_jax.metrics.saved import LISTED, REPORT
from senet_jax.study.evaluations import evaluation, report_at
from senet_jax.study.plan import DATASETS, WORLD
from senet_jax.study.processes import Command, Run, claim
from senet_jax.study.results import TRAININGS, Results, RunScores, is_blind, scores_of
from senet_jax.system.errors import CommandParser, UserError
from senet_jax.system.files import read_json
from senet_jax.system.progress import format_seconds
from senet_jax.training.export import WEIGHTS
from senet_jax.training.metrics import read_metrics
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import make_setup

_RUNS, _RERANKED = "runs", "reranked"
# Where a run was made, and what changes nothing of its result.
_LEFT_OUT = (
    *("start", "data.folder", "data.images", "data.maps", "data.workers", "evaluation.data_root"),
    *("model", "seed"),
)


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """What is trained.

    Attributes:
        workdir: of the study.
        world: the folder of the generated landmarks.
        variants: each with the methods by which its runs are re-ranked.
        seeds: how many trainings of each.
        changes: of the configs, `--config.KEY=VALUE`.

    Raises:
        UserError: there is no such world, or a change is wrong.
    """

    workdir: pathlib.Path
    world: pathlib.Path
    variants: Mapping[str, tuple[str, ...]]
    seeds: int
    changes: tuple[str, ...] = ()

    def __post_init__(self):
        check_world(self.world, WORLD.size)

    def flags(self, variant: str, seed: int) -> list[str]:
        """The config of a run as the command line names it."""
        return [
            f"--config=study:{variant}",
            f"--config.seed={seed}",
            f"--config.data.folder={self.world / NAME}",
            f"--config.evaluation.data_root={self.world}",
            *self.changes,
        ]

    def config(self, variant: str) -> ConfigDict:
        """The checked config of a variant's first run."""
        return config_of(tuple(self.flags(variant, 0)))

    def claim(self) -> None:
        """Marks the workdir as this study's.

        Raises:
            UserError: its runs were made of another world or with other changes of the configs.
        """
        value = {"world": world_of(self.world), "changes": sorted(self.changes)}
        claim(self.workdir, value, "another world")

    def folder(self, variant: str, seed: int) -> pathlib.Path:
        """The workdir of a training."""
        return self.workdir / _RUNS / f"{variant}-{seed}"

    def each(self) -> Iterator[tuple[str, int]]:
        """Variant and seed of every training: one seed of all variants before the next."""
        for seed in range(self.seeds):
            for variant in self.variants:
                yield variant, seed

    def runs(self) -> list[Run]:
        """What is run."""
        return [self._run(variant, seed) for variant, seed in self.each()]

    def steps(self, variant: str) -> int:
        """The steps of a training."""
        return self._cost(variant)[0]

    def _run(self, variant: str, seed: int) -> Run:
        folder = self.folder(variant, seed)
        flags = (*self.flags(variant, seed), f"--workdir={folder}")
        commands = [Command(("main", *flags), lambda: (folder / REPORT).is_file())]
        for method in self.variants[variant]:
            commands.append(self._reranking(variant, folder, method))
        return Run(
            name=f"{variant}, seed {seed}",
            folder=folder,
            commands=tuple(commands),
            size=self.steps(variant),
            done=lambda: _last_step(folder),
        )

    def _reranking(self, variant: str, folder: pathlib.Path, method: str) -> Command:
        settings = read(TrainingSettings, self.config(variant))
        datasets, scales = names(settings.evaluation.datasets), tuple(settings.evaluation.scales)
        described = f"--config.data_root={self.world}", f"--config.scales={scales}"
        workdir, weights = folder / _RERANKED, folder / WEIGHTS
        return evaluation(workdir, settings.model, weights, datasets, described, method)

    def budget(self) -> list[tuple[str, str]]:
        """What the study takes and what of it is done, in lines: what, and its figures."""
        pending = [each for each in self.each() if not self._run(*each).is_done()]
        all_steps = sum(self.steps(variant) for variant, _ in self.each())
        steps = sum(
            max(0, self.steps(variant) - _last_step(self.folder(variant, seed)))
            for variant, seed in pending
        )
        needed = sum(self._cost(variant)[1] for variant, _ in pending)
        free = shutil.disk_usage(_existing(self.workdir)).free
        seconds = [
            report.run.seconds["training"] / self.steps(variant)
            for variant, seed in self.each()
            if (report := report_at(self.folder(variant, seed) / REPORT)) and report.run
        ]
        time = "not known before a run has ended here; the progress tells it after some steps"
        if seconds:
            time = f"about {format_seconds(steps * float(np.mean(seconds)))}, one run at a time"
        lines = [
            ("runs", f"{len(list(self.each()))}, {len(pending)} of them to do"),
            ("steps", f"{all_steps:,}, {steps:,} of them to do"),
            ("time", time),
            ("disk", f"{in_bytes(needed)} at most, {in_bytes(free)} free"),
        ]
        if needed > free:
            raise UserError(
                f"the study takes {in_bytes(needed)} and {self.workdir} has {in_bytes(free)} free; "
                "make room, or give fewer --seeds"
            )
        return lines

    def _cost(self, variant: str) -> tuple[int, int]:
        """The steps of a training, and the bytes that it leaves at most."""
        settings = read(TrainingSettings, self.config(variant))
        steps, state = _steps_and_state(tuple(self.flags(variant, 0)))
        # The newest checkpoints, the best one, the one that is being written, and the weights.
        checkpoints = (settings.checkpoint.keep + 3) * state
        world = world_of(self.world)["world"]
        queries = world["evaluation_families"] * world["siblings"] * world["queries"]
        # Of both evaluations the first items of every list, with their similarities.
        lists = 2 * 2 * 4 * LISTED * queries * len(DATASETS)
        return steps, checkpoints + lists

    def results(self) -> Results:
        """The results of all runs that have ended."""
        runs, settings = [], {}
        for variant, seed in self.each():
            folder = self.folder(variant, seed)
            report = report_at(folder / REPORT)
            if report is None or report.run is None:
                continue
            entries = {name: report.entries[name] for name in DATASETS if name in report.entries}
            again = report_at(folder / _RERANKED / REPORT)
            if again is not None:
                entries |= {n: e for n, e in again.entries.items() if is_blind(n)}
            runs.append(
                RunScores(
                    variant,
                    seed,
                    {name: scores_of(entry) for name, entry in entries.items()},
                    {"model": report.run.config.get("model")},
                )
            )
            settings[variant] = settings_of(report.run.config)
        about = {"world": world_of(self.world), "settings": shared_settings(settings)}
        return Results(TRAININGS, about, tuple(runs))

    def costs(self) -> Mapping[str, Any]:
        """What each run took: seconds of the training, and the versions of the libraries."""
        found = {}
        for variant, seed in self.each():
            report = report_at(self.folder(variant, seed) / REPORT)
            if report is not None and report.run is not None:
                run = report.run
                found[f"{variant}-{seed}"] = dict(run.seconds) | {"versions": dict(run.versions)}
        return found


def check_world(folder: pathlib.Path, size: str, datasets: Iterable[str] = DATASETS) -> None:
    """Raises a `UserError` unless a folder holds these datasets of generated landmarks.

    Args:
        folder: of the world.
        size: of the one that the study's protocol names.
        datasets: their names.
    """
    for dataset in datasets:
        if not (folder / dataset).is_dir():
            raise UserError(
                f"{folder} holds no {dataset}; make it with python -m "
                f"senet_jax.data.prepare synthetic_landmarks --target={folder} --size={size} "
                "--seed=1"
            )


def world_of(folder: pathlib.Path) -> Any:
    """The numbers of generated landmarks, as JSON has them."""
    return read_json(folder / next(iter(DATASETS)) / "world.json")


@functools.cache
def config_of(flags: tuple[str, ...]) -> ConfigDict:
    """The checked config that flags ask for."""
    parser = CommandParser(prog="python -m senet_jax.study", add_help=False)
    _, config = parse_with_config(parser, flags)
    assert config is not None
    validate(config)
    return config


@functools.cache
def _steps_and_state(flags: tuple[str, ...]) -> tuple[int, int]:
    """The steps of a training, and the bytes of its state."""
    settings = read(TrainingSettings, config_of(flags))
    data = known_data(settings)
    setup = make_setup(settings, data.classes, data.steps_per_epoch)
    return setup.duration.total_steps, sum(state_bytes(setup.abstract_state(), 1).values())


def _last_step(folder: pathlib.Path) -> int:
    """The last step that a training has told of, 0 where there is none."""
    try:
        return read_metrics(folder)[-1]["step"]
    except UserError:  # It has not begun, or is writing a line.
        return 0


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run, without where it was made, its network and its seed."""
    return {key: value for key, value in flat(config).items() if key not in _LEFT_OUT}


def shared_settings(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that all variants have, and under a variant's name those of its own."""
    first = next(iter(settings.values()), {})
    shared = {k: v for k, v in first.items() if all(s.get(k) == v for s in settings.values())}
    own = {
        variant: {key: value for key, value in found.items() if key not in shared}
        for variant, found in settings.items()
    }
    return {"all": shared} | {variant: found for variant, found in own.items() if found}


def _existing(folder: pathlib.Path) -> pathlib.Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
