"""From a training to the weights that it made."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from senet_jax.errors import UserError
from senet_jax.kept import read_kept_json
from senet_jax.models.senet import without_descriptor_norm
from senet_jax.training.setup import PREPROCESSING, Setup, make_setup
from senet_jax.training.state import TrainState
from senet_jax.weights import Weights, flatten

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
WEIGHTS = "weights"
REPORT = "report.json"


def network_variables(state: TrainState) -> dict[str, Any]:
    """The variables of the network that is trained, as NumPy arrays."""
    variables = {"params": state.params["network"], "batch_stats": state.batch_stats}
    return jax.tree.map(np.asarray, variables)


def export(setup: Setup, variables: dict[str, Any], settings: Mapping[str, Any]) -> Weights:
    """A trained network as weights, which say by which settings it was trained."""
    folded = jax.tree.map(np.asarray, without_descriptor_norm(variables))
    return Weights(
        architecture=setup.architecture,
        preprocessing=PREPROCESSING,
        tensors=dict(flatten(folded)),
        carried={},
        source={"training": settings},
    )


def setup_of(settings: Mapping[str, Any]) -> Setup:
    """What the settings in a workdir mean."""
    data = settings["data_found"]
    return make_setup(settings, data["classes"], data["steps_per_epoch"])


def load_trained(workdir: pathlib.Path) -> Weights:
    """The weights of a training's best checkpoint, or of its latest if none was evaluated.

    Raises:
        UserError: there is no checkpoint, or it is broken.
    """
    from senet_jax.training.checkpoint import Checkpoints  # Orbax takes a second to import.

    settings = read_kept_json(workdir / CONFIG, "train again", required=False)
    setup = setup_of(settings)
    with Checkpoints(workdir / CHECKPOINTS) as checkpoints:
        best, latest = checkpoints.best_step(), checkpoints.latest_step()
        step = latest if best is None else best
        if step is None:
            raise UserError(f"{workdir} has no checkpoint yet; train on")
        state, _ = checkpoints.restore_step(step, setup.abstract_state())
    return export(setup, network_variables(state), settings | {"step": step})
