"""A study of heads on a trunk that stays: trained and evaluated on real photographs."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from senet_jax.metrics.run_report import Run as ReportedRun
from senet_jax.metrics.saved import REPORT, read_report
from senet_jax.study.plan import HEAD_COMPARISONS, PHOTOGRAPHS, TRUNK_ALONE
from senet_jax.study.processes import Command, Run, claim
from senet_jax.study.results import HEADS, Results, RunScores, scores_of
from senet_jax.study.trainings import settings_of, shared_settings
from senet_jax.system.errors import UserError
from senet_jax.training.export import WEIGHTS
from senet_jax.weights import is_weights_folder

TRUNK = "lite0"
SOURCE = f"pretrained:{TRUNK}"
_EVALUATION = "evaluation"
_LONG_SIDE, _SCALES = 256, (1.0,)
VARIANTS = tuple(
    dict.fromkeys(row.variant for each in HEAD_COMPARISONS.values() for row in each.rows)
)
"""The trunk alone, and the heads in the order in which they are trained."""


@dataclasses.dataclass(frozen=True)
class HeadsPlan:
    """What is trained.

    Attributes:
        workdir: of the study.
        data_root: the folder of the datasets that are evaluated.
        images: the folder of the photographs that are trained on, a folder for each landmark.
        seeds: how many trainings of each variant.
        changes: of the trainings' configs, `--config.KEY=VALUE`.
        variants: of `VARIANTS`, which are made.

    Raises:
        UserError: a folder is not there.
    """

    workdir: pathlib.Path
    data_root: pathlib.Path
    images: pathlib.Path
    seeds: int
    changes: tuple[str, ...] = ()
    variants: tuple[str, ...] = VARIANTS

    def __post_init__(self):
        for folder in (self.images, *(self.data_root / name for name in PHOTOGRAPHS.datasets)):
            if not folder.is_dir():
                raise UserError(f"there is no folder {folder}; check --data_root and --train")

    def claim(self) -> None:
        """Marks the workdir as this study's.

        Raises:
            UserError: its runs were made of other photographs or with other changes of the configs.
        """
        value = {"photographs": self._photographs(), "changes": sorted(self.changes)}
        claim(self.workdir, value, "other photographs")

    def each(self) -> Iterator[tuple[str, int]]:
        """Variant and seed of every run: the trunk alone, then one seed of all heads after another.

        The tables come in their order, so that what a study has not got to are the last ones.
        """
        yield TRUNK_ALONE, 0
        done: set[tuple[str, int]] = set()
        for comparison in HEAD_COMPARISONS.values():
            wanted = [row.variant for row in comparison.rows if row.variant in self.variants]
            for seed in range(self.seeds):
                for variant in wanted:
                    if variant != TRUNK_ALONE and (variant, seed) not in done:
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
            name, weights = f"{TRUNK}_{variant}", folder / WEIGHTS
            flags = (
                f"--config=photographs:{variant}",
                f"--workdir={folder}",
                f"--config.seed={seed}",
                f"--config.start={trunk}",
                f"--config.data.images={self.images}",
                f"--config.data.maps={self.workdir / 'maps'}",
                *self.changes,
            )
            first = Command(("main", *flags), lambda: (folder / REPORT).is_file())
        evaluated = folder / _EVALUATION
        second = (
            f"--config=evaluate:{name}",
            f"--workdir={evaluated}",
            f"--config.weights={weights}",
            f"--config.data_root={self.data_root}",
            f"--config.datasets={','.join(PHOTOGRAPHS.datasets)}",
            f"--config.long_side={_LONG_SIDE}",
            f"--config.scales={_SCALES}",
        )
        return Run(
            name=f"{variant}, seed {seed}",
            folder=folder,
            commands=(first, Command(("main", *second), lambda: (evaluated / REPORT).is_file())),
        )

    def results(self) -> Results:
        """The results of all runs that have ended; those of the trunk alone stand for each seed."""
        runs, settings = [], {}
        for variant, seed in self.each():
            folder = self.folder(variant, seed)
            if not (folder / _EVALUATION / REPORT).is_file():
                continue
            report = read_report(folder / _EVALUATION / REPORT)
            entries = {name: scores_of(report.entries[name]) for name in PHOTOGRAPHS.datasets}
            if variant == TRUNK_ALONE:
                runs += [RunScores(variant, each, entries) for each in range(self.seeds)]
                continue
            trained = read_report(folder / REPORT)
            assert trained.run is not None
            runs.append(RunScores(variant, seed, entries, _notes(trained.run)))
            settings[variant] = settings_of(trained.run.config)
        about = {"photographs": self._photographs(), "settings": shared_settings(settings)}
        return Results(HEADS, about, tuple(runs))

    def _photographs(self) -> Mapping[str, int]:
        """How many there are of each landmark."""
        folders = sorted(path for path in self.images.iterdir() if path.is_dir())
        return {path.name: sum(1 for _ in path.iterdir()) for path in folders}


def _notes(run: ReportedRun) -> dict[str, Any]:
    """Which step's head was kept."""
    return {"model": run.config.get("model"), "step": run.counts.get("steps")}
