"""From a training to the weights that it made."""

import math
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from senet_jax.config import completed, read
from senet_jax.models.senet import without_descriptor_norm
from senet_jax.system.errors import UserError, shortened
from senet_jax.training.resume import NOTES
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import Setup, make_setup
from senet_jax.training.state import TrainState
from senet_jax.training.stored_steps import BrokenStep, Record, StoredSteps, best_first
from senet_jax.weights import Weights, flatten

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
WEIGHTS = "weights"


def network_variables(state: TrainState) -> dict[str, Any]:
    """The variables of the network that is trained, as NumPy arrays."""
    variables = {"params": state.params["network"], "batch_stats": state.batch_stats}
    return jax.tree.map(np.asarray, variables)


def export(setup: Setup, variables: dict[str, Any], settings: Mapping[str, Any]) -> Weights:
    """A trained network as weights, which say by which settings, and on what, it was trained."""
    folded = jax.tree.map(np.asarray, without_descriptor_norm(variables))
    return Weights(
        architecture=setup.architecture,
        preprocessing=setup.preprocessing,
        tensors=dict(flatten(folded)),
        carried={},
        source={"training": settings, **trained_on(settings)},
    )


def trained_on(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `Weights.source` has to say of the data: of the start's, and of what was seen since."""
    data, start = settings["data_found"], settings["start_found"]
    if "name" not in data:  # Of checkpoints of earlier versions.
        return {}
    seen = f"{data['name']} ({data['images']:,} images of {data['classes']:,} classes)"
    before = start["training_set"]
    return {
        "training_set": f"{before}, then {seen}" if before else seen,
        "training_sets": [*start["training_sets"], data["name"]],
    }


def found_of_start(weights: Weights | None) -> dict[str, Any]:
    """What the settings of a training say of the weights that it starts from, if any."""
    if weights is None:
        return {"sha256": None, "training_set": "", "training_sets": []}
    file = weights.source.get("file")
    unknown = f"what {file} was trained on" if file else ""
    return {
        "sha256": weights.sha256,
        "training_set": weights.training_set or unknown,
        "training_sets": list(weights.training_sets),
    }


def setup_of(settings: Any, where: str | pathlib.Path) -> Setup:
    """What the settings of a training mean that stand in a file.

    Args:
        settings: the config, and what was found at the start.
        where: they stand; for messages.

    Raises:
        UserError: they are not those of a training by this version.
    """
    try:
        told = {key: value for key, value in settings.items() if key not in NOTES}
        told = read(TrainingSettings, completed(TrainingSettings, told))
        found = settings["data_found"]
        classes, steps = found["classes"], found["steps_per_epoch"]
        if type(classes) is not int or classes < 1 or not 0 < steps < math.inf:
            raise TypeError(f"{classes} classes in {steps} steps")
        trained_on(settings)
    except (UserError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where} holds no settings of a training by this version of senet_jax "
            f"({shortened(str(error), 150)}); use the version that trained there, or its weights"
        ) from error
    return make_setup(told, classes, steps)


def load_trained(workdir: pathlib.Path) -> Weights:
    """The weights of a training's best checkpoint, or of its latest if none was evaluated.

    A training may be at work there; nothing is changed. A step that is broken is named on standard
    error, and the next best is taken.

    Raises:
        UserError: there is no checkpoint, none is whole, or they are of another version.
    """
    stored = StoredSteps(workdir / CHECKPOINTS)
    steps, broken = stored.steps(), {}
    if not steps:
        raise UserError(
            f"{workdir} has no checkpoint yet, so there is nothing to export; let the training "
            "reach config.checkpoint.every_steps"
        )
    found = _best_whole(stored, steps, broken)
    if broken and stored.steps() != steps:
        # A training has saved meanwhile; it removes the steps that it does not keep.
        return load_trained(workdir)
    for step, fault in broken.items():
        print(f"warning: {stored.folder}: step {step} is broken: {fault}", file=sys.stderr)
    if found is None:
        raise UserError(
            f"none of the steps {steps} in {stored.folder} is whole; train again in another workdir"
        )
    step, setup, record, state = found
    return export(setup, network_variables(state), record.meta["settings"] | {"step": step})


def _best_whole(
    stored: StoredSteps, steps: list[int], broken: dict[int, BrokenStep]
) -> tuple[int, Setup, Record, TrainState] | None:
    """The best step that can be read; those that cannot are put into `broken`."""
    records = {}
    for step in steps:
        try:
            records[step] = stored.record(step)
        except BrokenStep as error:
            broken[step] = error
    for step in best_first(_comparable_scores(stored, list(records))):
        where = f"step {step} in {stored.folder}"
        setup = setup_of(records[step].meta.get("settings"), where)
        try:
            state = stored.state(step, records[step], setup.abstract_state())
        except BrokenStep as error:
            broken[step] = error
        else:
            return step, setup, records[step], state
    return None


def _comparable_scores(stored: StoredSteps, steps: list[int]) -> dict[int, float | None]:
    """The scores of what was measured as the latest step that has one."""
    found = {step: stored.evaluated(step) for step in steps}
    scored = {step: each for step, each in found.items() if each and each.score is not None}
    measured = scored[max(scored)].score_of if scored else None
    comparable = {step: e.score for step, e in scored.items() if e.score_of == measured}
    return {step: comparable.get(step) for step in steps}
