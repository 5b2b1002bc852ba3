"""A study of trainings: variants and seeds, each a workdir of the ordinary jobs."""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from senet_jax.config import names, read
from senet_jax.data.revisitop import load_distractors
from senet_jax.data.synthetic_landmarks import NAME
from senet_jax.forecast.lines import in_bytes
from senet_jax.metrics.saved import LISTED, REPORT
from senet_jax.study.comparisons import entries_of
from senet_jax.study.evaluations import evaluation, report_at
from senet_jax.study.plan import AMONG_DISTRACTORS, COMPARISONS, DATASETS, RERANKER, WORLD
from senet_jax.study.processes import Command, Run, claim
from senet_jax.study.results import TRAININGS, Results, RunScores, among, scores_of
from senet_jax.study.training import (
    Training,
    config_of,
    descriptor_bytes,
    network_training,
    reranker_training,
    settings_of,
    shared_settings,
)
from senet_jax.system.errors import UserError
from senet_jax.system.files import read_json
from senet_jax.system.progress import format_seconds
from senet_jax.training.export import WEIGHTS
from senet_jax.training.settings import TrainingSettings

_RUNS, _RERANKER = "runs", "reranker"
_CHANGE, _CHANGE_OF_RERANKER = "--config.", "--config.reranker."
_SHOWN = entries_of(COMPARISONS.values())


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """What is trained.

    Attributes:
        workdir: of the study.
        world: the folder of the generated landmarks.
        variants: each with the methods by which its runs are re-ranked.
        seeds: how many trainings of each.
        changes: of the configs, `--config.KEY=VALUE`; of the re-rankers' `--config.reranker.KEY`.
        distractors: a set in the world with which everything is evaluated as well, empty for none.

    Raises:
        UserError: there is no such world or set, or a change is wrong.
    """

    workdir: pathlib.Path
    world: pathlib.Path
    variants: Mapping[str, tuple[str, ...]]
    seeds: int
    changes: tuple[str, ...] = ()
    distractors: str = ""

    def __post_init__(self):
        check_world(self.world, WORLD.size)
        if self.distractors in DATASETS:
            raise UserError(
                f"--distractors is {self.distractors}, which is evaluated itself; name a set that "
                "data.prepare synthetic_distractors has made"
            )
        if self.distractors:
            load_distractors(self.world, self.distractors)

    @functools.cached_property
    def _images_of_distractors(self) -> int:
        if not self.distractors:
            return 0
        return len(load_distractors(self.world, self.distractors).images)

    def flags(self, variant: str, seed: int) -> tuple[str, ...]:
        """The config of a network as the command line names it."""
        return (
            f"--config=study:{variant}",
            f"--config.seed={seed}",
            f"--config.data.folder={self.world / NAME}",
            f"--config.evaluation.data_root={self.world}",
            *(each for each in self.changes if not each.startswith(_CHANGE_OF_RERANKER)),
        )

    def _flags_of_reranker(self, variant: str, seed: int) -> tuple[str, ...]:
        """The config of the re-ranker of a network."""
        return (
            "--config=demo_reranker",
            f"--config.seed={seed}",
            f"--config.model={self.config(variant).model}",
            f"--config.start={self.folder(variant, seed) / WEIGHTS}",
            f"--config.data.folder={self.world / NAME}",
            *(
                each.replace(_CHANGE_OF_RERANKER, _CHANGE)
                for each in self.changes
                if each.startswith(_CHANGE_OF_RERANKER)
            ),
        )

    def config(self, variant: str) -> ConfigDict:
        """The checked config of a variant's first network."""
        return config_of(self.flags(variant, 0))

    def claim(self) -> None:
        """Marks the workdir as this study's.

        Raises:
            UserError: its runs were made of another world or with other changes of the configs.
        """
        claim(self.workdir, {"world": world_of(self.world), "changes": sorted(self.changes)})

    def folder(self, variant: str, seed: int) -> pathlib.Path:
        """The workdir of a network's training; what else is made of the network is in it."""
        return self.workdir / _RUNS / f"{variant}-{seed}"

    def each(self) -> Iterator[tuple[str, int]]:
        """Variant and seed of every run: one seed of all variants before the next."""
        for seed in range(self.seeds):
            for variant in self.variants:
                yield variant, seed

    def trainings(self, variant: str, seed: int) -> tuple[Training, ...]:
        """The network of a run, and its re-ranker where one is trained."""
        folder = self.folder(variant, seed)
        network = network_training(folder, self.flags(variant, seed))
        if RERANKER not in self.variants[variant]:
            return (network,)
        flags = self._flags_of_reranker(variant, seed)
        return network, reranker_training(folder / _RERANKER, flags)

    def runs(self) -> list[Run]:
        """What is run."""
        return [self._run(variant, seed) for variant, seed in self.each()]

    def _run(self, variant: str, seed: int) -> Run:
        folder, trainings = self.folder(variant, seed), self.trainings(variant, seed)
        methods = self.variants[variant]
        evaluations = [self._evaluation(variant, folder, method) for method in methods]
        if self.distractors:
            evaluations += [
                self._evaluation(variant, folder, method, self.distractors)
                for method in ("", *methods)
            ]
        return Run(
            name=f"{variant}, seed {seed}",
            folder=folder,
            commands=(*(training.command for training in trainings), *evaluations),
            size=sum(training.steps for training in trainings),
            done=lambda: sum(training.last_step() for training in trainings),
        )

    def _evaluation(
        self, variant: str, folder: pathlib.Path, method: str, distractors: str = ""
    ) -> Command:
        settings = read(TrainingSettings, self.config(variant))
        datasets, scales = names(settings.evaluation.datasets), tuple(settings.evaluation.scales)
        flags = [f"--config.data_root={self.world}", f"--config.scales={scales}"]
        if distractors:
            datasets = AMONG_DISTRACTORS
            flags.append(f"--config.distractors={distractors}")
        if method == RERANKER:
            flags.append(f"--config.cvnet_weights={folder / _RERANKER / WEIGHTS}")
        workdir, weights = folder / _evaluated_in(distractors), folder / WEIGHTS
        return evaluation(workdir, settings.model, weights, datasets, flags, method)

    def budget(self) -> list[tuple[str, str]]:
        """What the study takes and what of it is done, in lines: what, and its figures."""
        pending = {each for each in self.each() if not self._run(*each).is_done()}
        trainings = {each: self.trainings(*each) for each in self.each()}
        every = [training for each in trainings.values() for training in each]
        left = [training for each in pending for training in trainings[each]]
        steps_left: dict[str, int] = dict.fromkeys((training.kind for training in left), 0)
        for training in left:
            steps_left[training.kind] += max(0, training.steps - training.last_step())
        needed = sum(training.disk for training in left) + self._lists() * len(pending)
        described = (descriptor_bytes(self.flags(*each)) for each in pending)
        needed += self._images_of_distractors * sum(described)
        free = shutil.disk_usage(_existing(self.workdir)).free
        time = "not known before a run has ended here; the progress tells it after some steps"
        seconds = _seconds_a_step(every)
        if steps_left.keys() <= seconds.keys():
            whole = sum(count * seconds[kind] for kind, count in steps_left.items())
            time = f"about {format_seconds(whole)}, one run at a time, besides evaluations"
        lines = [
            ("runs", f"{len(trainings)}, {len(pending)} of them to do"),
            (
                "steps",
                f"{sum(t.steps for t in every):,}, {sum(steps_left.values()):,} of them to do",
            ),
            ("time", time),
            ("disk", f"{in_bytes(needed)} at most, {in_bytes(free)} free"),
        ]
        if needed > free:
            raise UserError(
                f"the study takes {in_bytes(needed)} and {self.workdir} has {in_bytes(free)} free; "
                "make room, or give fewer --seeds"
            )
        return lines

    def _lists(self) -> int:
        """The bytes of the first items of every list, with their similarities, of a run at most."""
        world = world_of(self.world)["world"]
        queries = world["evaluation_families"] * world["siblings"] * world["queries"]
        # Before and after the training.
        lists = 2 * len(DATASETS) + len(AMONG_DISTRACTORS) * bool(self.distractors)
        return 2 * 4 * LISTED * queries * lists

    def results(self) -> Results:
        """The results of all runs that have ended."""
        runs, settings, of_rerankers = [], {}, {}
        for variant, seed in self.each():
            network, *reranker = self.trainings(variant, seed)
            trained = network.reported()
            if trained is None:
                continue
            shown = {}
            for part, distractors in self._evaluated:
                report = report_at(network.folder / part / REPORT)
                entries = {} if report is None else report.entries
                for name in _SHOWN:
                    if name in entries:
                        shown[among(name, distractors)] = scores_of(entries[name])
            notes = {"model": trained.config.get("model")}
            runs.append(RunScores(variant, seed, shown, notes))
            settings[variant] = settings_of(trained.config)
            for told in (each.reported() for each in reranker):
                if told is not None:
                    of_rerankers[variant] = settings_of(told.config)
        about = {"world": world_of(self.world), "settings": shared_settings(settings)}
        if self.distractors:
            about["distractors"] = {self.distractors: self._images_of_distractors}
        if of_rerankers:
            about["rerankers"] = shared_settings(of_rerankers)
        return Results(TRAININGS, about, tuple(runs))

    @property
    def _evaluated(self) -> tuple[tuple[str, str], ...]:
        """By the folders in a run's that hold a report: with what distractors it was made."""
        found = ("", ""), (_evaluated_in(""), "")
        if not self.distractors:
            return found
        return *found, (_evaluated_in(self.distractors), self.distractors)

    def costs(self) -> Mapping[str, Any]:
        """What each training took: its seconds, and the versions of the libraries."""
        return {
            str(training.folder.relative_to(self.workdir / _RUNS)): dict(run.seconds)
            | {"versions": dict(run.versions)}
            for each in self.each()
            for training in self.trainings(*each)
            if (run := training.reported()) is not None
        }


def _evaluated_in(distractors: str) -> str:
    """The folder, in a run's, of evaluations with distractors or of re-rankings without."""
    return f"with-{distractors}" if distractors else "reranked"


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


def _seconds_a_step(trainings: Iterable[Training]) -> dict[str, float]:
    """For each kind of training of which one has ended here, their mean."""
    found: dict[str, list[float]] = {}
    for training in trainings:
        run = training.reported()
        if run is not None:
            found.setdefault(training.kind, []).append(run.seconds["training"] / training.steps)
    return {kind: sum(each) / len(each) for kind, each in found.items()}


def _existing(folder: pathlib.Path) -> pathlib.Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
