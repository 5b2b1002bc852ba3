"""A training of a study: an ordinary job in its workdir, and what it takes."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from senet_jax.command_line import parse_with_config, validate
from senet_jax.config import flat, read
from senet_jax.forecast.pairs import known_pairs
from senet_jax.forecast.training import known_data, state_bytes
from senet_jax.metrics.run_report import Run as ReportedRun
from senet_jax.metrics.saved import REPORT
from senet_jax.study.evaluations import report_at
from senet_jax.study.processes import Command
from senet_jax.system.errors import CommandParser, UserError
from senet_jax.training.metrics import read_metrics
from senet_jax.training.pairs.settings import PairTrainingSettings
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import Setup, make_setup

# Where a run was made, and what changes nothing of its result.
_LEFT_OUT = (
    *("start", "data.folder", "data.images", "data.maps", "data.workers", "evaluation.data_root"),
    *("model", "seed"),
)


@dataclasses.dataclass(frozen=True)
class Training:
    """A training and where it is made.

    Attributes:
        kind: of what is trained; trainings of a kind take about as long a step.
        folder: its workdir.
        flags: its config as the command line names it.
        steps: how many it takes.
        disk: the bytes that it leaves at most, without its evaluations.
    """

    kind: str
    folder: pathlib.Path
    flags: tuple[str, ...]
    steps: int
    disk: int

    @property
    def command(self) -> Command:
        """What makes it."""
        arguments = ("main", *self.flags, f"--workdir={self.folder}")
        return Command(arguments, (self.folder / REPORT).is_file)

    def last_step(self) -> int:
        """The last step that it has told of, 0 where there is none."""
        try:
            return read_metrics(self.folder)[-1]["step"]
        except UserError:  # It has not begun, or is writing a line.
            return 0

    def reported(self) -> ReportedRun | None:
        """What it tells of itself, None before it has ended."""
        report = report_at(self.folder / REPORT)
        return None if report is None else report.run


def network_training(folder: pathlib.Path, flags: tuple[str, ...]) -> Training:
    """The training of a network, from its config as the command line names it."""
    return Training("networks", folder, flags, *_taken_by_network(_of_any_seed(flags)))


def reranker_training(folder: pathlib.Path, flags: tuple[str, ...]) -> Training:
    """The training of a re-ranker, alike."""
    return Training("re-rankers", folder, flags, *_taken_by_reranker(_of_any_seed(flags)))


def _of_any_seed(flags: tuple[str, ...]) -> tuple[str, ...]:
    """What trainings have in common that take the same."""
    return tuple(f for f in flags if not f.startswith(("--config.seed=", "--config.start=")))


@functools.cache
def _taken_by_network(flags: tuple[str, ...]) -> tuple[int, int]:
    """Steps and bytes."""
    setup = _setup_of(flags)
    state = sum(state_bytes(setup.abstract_state(), 1).values())
    return setup.duration.total_steps, _checkpoints(setup.settings.checkpoint.keep) * state


def descriptor_bytes(flags: tuple[str, ...]) -> int:
    """What a picture takes once it is described by a network, from the network's config."""
    return 4 * _setup_of(_of_any_seed(flags)).architecture.outputs


@functools.cache
def _setup_of(flags: tuple[str, ...]) -> Setup:
    settings = read(TrainingSettings, config_of(flags))
    data = known_data(settings)
    return make_setup(settings, data.classes, data.steps_per_epoch)


@functools.cache
def _taken_by_reranker(flags: tuple[str, ...]) -> tuple[int, int]:
    """Steps and bytes."""
    settings = read(PairTrainingSettings, config_of(flags))
    known = known_pairs(settings)
    checkpoints = _checkpoints(settings.checkpoint.keep) * known.state_bytes
    return known.steps, known.map_bytes + checkpoints


def _checkpoints(kept: int) -> int:
    """How many there are at most: the newest, the best, the one being written, and the weights."""
    return kept + 3


@functools.cache
def config_of(flags: tuple[str, ...]) -> ConfigDict:
    """The checked config that flags ask for."""
    parser = CommandParser(prog="python -m senet_jax.study", add_help=False)
    _, config = parse_with_config(parser, flags)
    assert config is not None
    validate(config)
    return config


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
