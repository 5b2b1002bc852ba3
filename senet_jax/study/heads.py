"""Studies of heads on a trunk that stays: of real photographs, or of generated landmarks."""

import abc
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from senet_jax.data.synthetic_landmarks import NAME
from senet_jax.metrics.run_report import Run as ReportedRun
from senet_jax.metrics.saved import REPORT, read_report
from senet_jax.study import plan
from senet_jax.study.evaluations import evaluation, files_of, scores_in, tuned, tuning
from senet_jax.study.plan import DATASETS, TRUNK_ALONE, TUNED
from senet_jax.study.processes import Command, Run, claim
from senet_jax.study.results import HEADS, LANDMARK_HEADS, Results, RunScores, Scores, entry_of
from senet_jax.study.training import config_of, settings_of, shared_settings
from senet_jax.study.trainings import check_world, world_of
from senet_jax.system.errors import UserError
from senet_jax.training.export import WEIGHTS
from senet_jax.weights import is_weights_folder

TRUNK = "lite0"
SOURCE = f"pretrained:{TRUNK}"
_EVALUATION, _VALIDATION = "evaluation", "validation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadsPlan(abc.ABC):
    """What is trained.

    Attributes:
        workdir: of the study.
        seeds: how many trainings of each variant.
        changes: of the trainings' configs, `--config.KEY=VALUE`.
        variants: which are made.
    """

    kind: ClassVar[str]
    comparisons: ClassVar[Mapping[str, plan.Comparison]]
    place: ClassVar[plan.Place]

    workdir: pathlib.Path
    seeds: int
    changes: tuple[str, ...] = ()
    variants: tuple[str, ...]

    @property
    @abc.abstractmethod
    def images(self) -> pathlib.Path:
        """What is trained on."""

    @property
    @abc.abstractmethod
    def datasets_in(self) -> pathlib.Path:
        """The folder of the datasets in which variants are compared."""

    @property
    @abc.abstractmethod
    def evaluations(self) -> Mapping[str, tuple[plan.Place, tuple[str, ...]]]:
        """By the folder in a run's: what is evaluated, where it is and how it is described.

        The last two are flags.
        """

    @property
    @abc.abstractmethod
    def about(self) -> tuple[str, Any]:
        """What is trained on, as JSON has it, and its name."""

    def claim(self) -> None:
        """Marks the workdir as this study's.

        Raises:
            UserError: its runs were made of other images or with other changes of the configs.
        """
        name, value = self.about
        claim(self.workdir, {name: value, "changes": sorted(self.changes)})

    def each(self) -> Iterator[tuple[str, int]]:
        """Variant and seed of every run: the trunk alone, then one seed of all heads after another.

        The tables come in their order, so that what a study has not got to are the last ones. The
        trunk alone is evaluated where a table has it.
        """
        yield TRUNK_ALONE, 0
        done: set[tuple[str, int]] = set()
        for comparison in self.comparisons.values():
            variants = dict.fromkeys(row.variant for row in comparison.rows)
            wanted = [each for each in variants if each in self.variants]
            for seed in range(self.seeds):
                for variant in wanted:
                    if (variant, seed) not in done:
                        done.add((variant, seed))
                        yield variant, seed

    def folder(self, variant: str, seed: int) -> pathlib.Path:
        """The workdir of a run."""
        return self.workdir / "runs" / (variant if variant == TRUNK_ALONE else f"{variant}-{seed}")

    def runs(self) -> list[Run]:
        """What is run. The first makes the trunk's weights, the second its maps, for all others."""
        return [self._run(variant, seed) for variant, seed in self.each()]

    def _run(self, variant: str, seed: int) -> Run:
        folder, trunk = self.folder(variant, seed), self.workdir / WEIGHTS / TRUNK
        if variant == TRUNK_ALONE:
            name, weights = TRUNK, trunk
            first = Command(("convert", SOURCE, str(trunk)), lambda: is_weights_folder(trunk))
        else:
            flags = (
                f"--config={pathlib.Path(self.place.config).stem}:{variant}",
                f"--config.seed={seed}",
                f"--config.start={trunk}",
                f"--config.data.images={self.images}",
                f"--config.data.maps={self.workdir / 'maps'}",
                *self.changes,
            )
            name, weights = str(config_of(flags).model), folder / WEIGHTS
            training = ("main", *flags, f"--workdir={folder}")
            first = Command(training, lambda: (folder / REPORT).is_file())
        commands = [first]
        commands += [
            evaluation(folder / part, name, weights, list(place.datasets), flags)
            for part, (place, flags) in self.evaluations.items()
            if variant in plan.variants_of(self._tables_of(place))
        ]
        for method in self._methods.get(variant, ()):
            commands += self._reranking(folder, name, weights, method)
        return Run(f"{variant}, seed {seed}", folder, tuple(commands))

    def _tables_of(self, place: plan.Place) -> Iterator[plan.Comparison]:
        return (table for table in self.comparisons.values() if table.place == place)

    @property
    def _methods(self) -> Mapping[str, tuple[str, ...]]:
        """By what the lists of each variant are re-ranked."""
        return plan.variants_of(self._tables_of(self.place))

    def _reranking(
        self, folder: pathlib.Path, name: str, weights: pathlib.Path, method: str
    ) -> list[Command]:
        """What re-ranks the lists of a run by a method."""
        place, flags = self.evaluations[_EVALUATION]
        workdir, datasets = folder / _EVALUATION, list(place.datasets)
        if method != TUNED:
            return [evaluation(workdir, name, weights, datasets, flags, method)]
        chosen_by = folder / _VALIDATION
        on = files_of(self.datasets_in, place.validation, chosen_by)
        tunings = [
            tuning(on, files_of(self.datasets_in, each, workdir), _tuned_in(folder, each))
            for each in datasets
        ]
        return [evaluation(chosen_by, name, weights, [place.validation], flags), *tunings]

    def results(self) -> Results:
        """The results of all runs that have ended; those of the trunk alone stand for each seed."""
        runs, settings = [], {}
        for variant, seed in self.each():
            folder = self.folder(variant, seed)
            entries, notes = self._found(variant, folder)
            if not entries:
                continue
            if variant == TRUNK_ALONE:
                runs += [RunScores(variant, each, entries) for each in range(self.seeds)]
                continue
            trained = read_report(folder / REPORT)
            assert trained.run is not None
            runs.append(RunScores(variant, seed, entries, _notes(trained.run) | notes))
            settings[variant] = settings_of(trained.run.config)
        about = dict([self.about]) | {"settings": shared_settings(settings)}
        return Results(self.kind, about, tuple(runs))

    def _found(
        self, variant: str, folder: pathlib.Path
    ) -> tuple[dict[str, Scores], dict[str, Any]]:
        """The scores of a run so far, and which settings were chosen for it."""
        entries: dict[str, Scores] = {}
        for part, (place, _) in self.evaluations.items():
            entries |= scores_in(folder / part, place.datasets)
        notes = {}
        for method in self._methods.get(variant, ()):
            names = {each: entry_of(each, method) for each in self.place.datasets}
            if method != TUNED:
                entries |= scores_in(folder / _EVALUATION, names.values())
                continue
            for dataset, entry in names.items():
                file = _tuned_in(folder, dataset)
                if file.is_file():
                    notes[TUNED], entries[entry] = tuned(file)
        return entries, notes


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotographHeads(HeadsPlan):
    """Heads that are trained and evaluated on real photographs.

    Attributes:
        data_root: the folder of the datasets that are evaluated.
        photographs: the folder of those that are trained on, a folder for each landmark.

    Raises:
        UserError: a folder is not there.
    """

    kind = HEADS
    comparisons = plan.HEAD_COMPARISONS
    place = plan.PHOTOGRAPHS

    data_root: pathlib.Path
    photographs: pathlib.Path

    def __post_init__(self):
        if not self.photographs.is_dir():
            raise UserError(f"there is no folder {self.photographs}; check --data_root and --train")
        _check_photographs(self.data_root)

    @property
    def images(self) -> pathlib.Path:
        """See `HeadsPlan`."""
        return self.photographs

    @property
    def evaluations(self) -> Mapping[str, tuple[plan.Place, tuple[str, ...]]]:
        """See `HeadsPlan`."""
        return {_EVALUATION: (self.place, _photographs_in(self.data_root))}

    @property
    def datasets_in(self) -> pathlib.Path:
        """See `HeadsPlan`."""
        return self.data_root

    @property
    def about(self) -> tuple[str, Any]:
        """How many photographs there are of each landmark."""
        folders = sorted(path for path in self.images.iterdir() if path.is_dir())
        return "photographs", {path.name: sum(1 for _ in path.iterdir()) for path in folders}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LandmarkHeads(HeadsPlan):
    """Heads that are trained and evaluated on generated landmarks.

    Attributes:
        world: their folder.
        data_root: the folder of the photographs on which they are evaluated as well, if on any.

    Raises:
        UserError: there is no such world, or a folder of photographs is not there.
    """

    kind = LANDMARK_HEADS
    comparisons = plan.LANDMARK_COMPARISONS
    place = plan.LANDMARKS

    world: pathlib.Path
    data_root: pathlib.Path | None = None

    def __post_init__(self):
        check_world(self.world, self.place.size, (*DATASETS, self.place.validation))
        if self.data_root is not None:
            _check_photographs(self.data_root)

    @property
    def images(self) -> pathlib.Path:
        """See `HeadsPlan`."""
        return self.world / NAME

    @property
    def evaluations(self) -> Mapping[str, tuple[plan.Place, tuple[str, ...]]]:
        """See `HeadsPlan`."""
        found: dict[str, tuple[plan.Place, tuple[str, ...]]] = {}
        found[_EVALUATION] = self.place, _described(self.world)
        if self.data_root is not None:
            found["transfer"] = plan.TRANSFER, _photographs_in(self.data_root)
        return found

    @property
    def datasets_in(self) -> pathlib.Path:
        """See `HeadsPlan`."""
        return self.world

    @property
    def about(self) -> tuple[str, Any]:
        """The world's numbers."""
        return "world", world_of(self.world)


def _described(data_root: pathlib.Path) -> tuple[str, ...]:
    """The flags of an evaluation."""
    return f"--config.data_root={data_root}", "--config.scales=(1.0,)"


def _photographs_in(data_root: pathlib.Path) -> tuple[str, ...]:
    """The flags of an evaluation on photographs."""
    return *_described(data_root), "--config.long_side=256"


def _check_photographs(data_root: pathlib.Path) -> None:
    for name in plan.PHOTOGRAPHS.datasets:
        if not (data_root / name).is_dir():
            raise UserError(f"there is no folder {data_root / name}; check --data_root")


def _tuned_in(folder: pathlib.Path, dataset: str) -> pathlib.Path:
    """The file of query expansion on a dataset, with the settings that were chosen for a run."""
    return folder / "tuned" / f"{dataset}.json"


def _notes(run: ReportedRun) -> dict[str, Any]:
    """Which step's head was kept."""
    return {"model": run.config.get("model"), "step": run.counts.get("steps")}
