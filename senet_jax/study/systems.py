"""A study of systems: weights, re-rankings and whitening, evaluated on real photographs."""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Report, Run
from senet_jax.metrics.saved import REPORT, read_report
from senet_jax.report.systems import figure_of
from senet_jax.rerank.methods import METHODS
from senet_jax.study.processes import Command
from senet_jax.study.processes import Run as Work
from senet_jax.study.results import SYSTEMS, Results, RunScores, among, scores_of
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import local_path
from senet_jax.system.spelling import parse_spelled
from senet_jax.weights import is_weights_folder, load_weights, provenance_of

WHITEN = "whiten"
_OUTSIDE = r"(?![^()]*\))"  # Of brackets, in which settings stand.
_SAFE = re.compile(r"[^\w.-]+")


@dataclasses.dataclass(frozen=True)
class System:
    """What is evaluated.

    Attributes:
        text: as the user spells it.
        weights: a folder, or what `convert` takes as a source.
        whiten: whether descriptors are whitened.
        rerank: the methods string, empty for the search alone.
    """

    text: str
    weights: str
    whiten: bool
    rerank: str


def parse_systems(text: str) -> list[System]:
    """Reads `WEIGHTS[+whiten][+METHOD,...]`, several joined by semicolons.

    Raises:
        UserError: there is none, or one says a thing twice.
    """
    parts = [part.strip() for part in re.split(rf";{_OUTSIDE}", text)]
    systems = [_parse(part) for part in parts if part]
    if not systems:
        raise UserError(f"--systems is {shown(text)}; name one system at least")
    if len({system.text for system in systems}) < len(systems):
        raise UserError(f"--systems {shown(text)} names a system twice; name each once")
    return systems


def _parse(text: str) -> System:
    weights, *added = (part.strip() for part in re.split(rf"\+{_OUTSIDE}", text))
    rerank = [part for part in added if part != WHITEN]
    if not weights or len(rerank) > 1 or added.count(WHITEN) > 1 or "" in added:
        raise UserError(
            f"the system {shown(text)} cannot be read; write WEIGHTS, WEIGHTS+{WHITEN}, "
            f"WEIGHTS+METHOD,METHOD or WEIGHTS+{WHITEN}+METHOD"
        )
    methods = parse_spelled(rerank[0], METHODS, "re-ranking method") if rerank else []
    return System(text, weights, WHITEN in added, ",".join(map(str, methods)))


@dataclasses.dataclass(frozen=True)
class SystemsPlan:
    """What is evaluated on what.

    Attributes:
        workdir: of the study.
        data_root: folder of the datasets.
        datasets: their names, joined by commas.
        systems: what is evaluated.
        changes: of the evaluate job's config, `--config.KEY=VALUE`.
        distractors: with which everything is evaluated as well, empty for none.
    """

    workdir: pathlib.Path
    data_root: pathlib.Path
    datasets: str
    systems: tuple[System, ...]
    changes: tuple[str, ...] = ()
    distractors: str = ""

    @property
    def _databases(self) -> list[str]:
        """What is appended to the databases: nothing, then the distractors."""
        return ["", *[self.distractors] * bool(self.distractors)]

    def conversions(self) -> list[Work]:
        """What makes the weights that are no folder yet."""
        sources = dict.fromkeys(system.weights for system in self.systems)
        return [
            Work(f"convert {source}", self.workdir / "weights", (self._conversion(source),))
            for source in sources
        ]

    def _conversion(self, source: str) -> Command:
        folder = self._folder(source)
        return Command(("convert", source, str(folder)), lambda: is_weights_folder(folder))

    def evaluations(self) -> list[Work]:
        """What evaluates them: a workdir for all systems that share descriptors."""
        shared: dict[tuple[pathlib.Path, str], list[System]] = {}
        for distractors in self._databases:
            for system in sorted(self.systems, key=lambda system: bool(system.rerank)):
                workdir = self._workdir(system, distractors)
                shared.setdefault((workdir, distractors), []).append(system)
        return [
            Work(
                name=" ".join(
                    filter(
                        None,
                        [
                            f"evaluate {systems[0].weights}",
                            f"+{WHITEN}" * systems[0].whiten,
                            f"with {distractors}" * bool(distractors),
                        ],
                    )
                ),
                folder=workdir,
                commands=tuple(self._command(system, distractors) for system in systems),
                size=len(systems),
            )
            for (workdir, distractors), systems in shared.items()
        ]

    def _command(self, system: System, distractors: str) -> Command:
        folder, workdir = self._folder(system.weights), self._workdir(system, distractors)
        flags = [
            f"--config=evaluate:{load_weights(folder).architecture.name}",
            f"--workdir={workdir}",
            f"--config.weights={folder}",
            f"--config.data_root={self.data_root}",
            f"--config.datasets={self.datasets}",
            *[f"--config.{WHITEN}=True"] * system.whiten,
            *[f"--config.rerank={system.rerank}"] * bool(system.rerank),
            *[f"--config.distractors={distractors}"] * bool(distractors),
            *self.changes,
        ]
        # The job itself knows what of it is done, and refuses what was made otherwise.
        return Command(("main", *flags), lambda: False)

    def _folder(self, source: str) -> pathlib.Path:
        """The weights folder of a source."""
        if not re.match(r"\w+:", source) and is_weights_folder(local_path(source)):
            return local_path(source)
        return self.workdir / "weights" / _file_name(source)

    def _workdir(self, system: System, distractors: str) -> pathlib.Path:
        name = _file_name(system.weights) + f"-{WHITEN}" * system.whiten
        name += f"-with-{_file_name(distractors)}" * bool(distractors)
        return self.workdir / "evaluations" / name

    def results(self) -> Results:
        """The scores of every system, and what the paper tells of the same one."""
        runs = []
        for system in self.systems:
            scores, notes = {}, {}
            for distractors in self._databases:
                report = read_report(self._workdir(system, distractors) / REPORT)
                assert report.run is not None
                entries = {name: report.entries[name] for name in _entries_of(system, report)}
                scores |= {
                    among(name, distractors): scores_of(entry) for name, entry in entries.items()
                }
                found = _notes(entries, report.run, distractors)
                for key in ("seconds_per_query", "paper"):
                    found[key] = notes.get(key, {}) | found[key]
                notes = found
            runs.append(RunScores(system.text, 0, scores, notes))
        names = [name.strip() for name in self.datasets.split(",")]
        datasets = [among(name, distractors) for distractors in self._databases for name in names]
        about = {"datasets": datasets, "distractors": self.distractors}
        return Results(SYSTEMS, about, tuple(runs))


def _entries_of(system: System, report: Report) -> list[str]:
    """The entries of a report that are this system's."""
    assert report.run is not None
    added = f"+{system.rerank}:" if system.rerank else ""
    datasets = [name for name in report.run.counts if name in report.entries]
    if not added:
        return datasets
    return [name for name in report.entries if any(name.startswith(d + added) for d in datasets)]


def _notes(entries: Mapping[str, EvaluationReport], run: Run, distractors: str) -> dict[str, Any]:
    """What else is printed of a system: its network, its cost, and the paper's figures."""
    figures, costs = {}, {}
    for name, entry in entries.items():
        figure = figure_of(name, name.partition("+")[0], run)
        if figure is not None:
            figures[among(name, distractors)] = dataclasses.asdict(figure)
        cost = entry.notes.get("cost")
        if isinstance(cost, Mapping):
            costs[among(name, distractors)] = cost.get("seconds_per_query")
    model = str(run.weights.get("model") or run.config.get("model"))
    return {
        "model": model,
        "weights": provenance_of(model, run.weights),
        "random": run.random_weights,
        "weights_sha256": run.weights_sha256,
        "seconds_per_query": costs,
        "paper": figures,
    }


def _file_name(text: str) -> str:
    """A text as the name of a file, told apart by a hash."""
    safe = _SAFE.sub("_", text)[-60:].strip("_.")
    return f"{safe}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"
