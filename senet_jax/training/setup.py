"""From a config to all that a training is made of."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from senet_jax.data.augment import Augmentation
from senet_jax.data.sampling import Grouping
from senet_jax.models.architecture import Architecture
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import (
    build_model,
    find_architecture,
    initial_variables,
    variable_shapes,
)
from senet_jax.training.optimizer import OptimizerOptions, check_expressions, make_optimizer
from senet_jax.training.start import Start, start_from
from senet_jax.training.state import TrainState, create_state
from senet_jax.training.step import StepOptions
from senet_jax.weights import Weights

PREPROCESSING = Preprocessing()


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a config means once it is known how many classes and images there are.

    Attributes:
        architecture: the network.
        total_steps: of the training.
        optimizer: its settings.
        step: the settings of a step.
        queue_length: 0 without L_con.
        seed: of everything random.
    """

    architecture: Architecture
    total_steps: int
    optimizer: OptimizerOptions
    step: StepOptions
    queue_length: int
    seed: int

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimiser."""
        return make_optimizer(self.optimizer)

    def start_from(self, weights: Weights) -> Start:
        """What the network takes of weights; see `start.start_from`."""
        return start_from(
            weights, self.architecture, PREPROCESSING, descriptor_norm=self.step.descriptor_norm
        )

    def initial_variables(self, start: Start | None = None) -> dict[str, Any]:
        """The network's variables before the first step, with what is taken of weights, if any."""
        model = build_model(self.architecture, descriptor_norm=self.step.descriptor_norm)
        variables = initial_variables(model, self.seed)
        return variables if start is None else start.applied(variables)

    def initial_state(self, start: Start | None = None) -> TrainState:
        """The state before the first step, with what is taken of weights, if any."""
        return self._state_of(self.initial_variables(start))

    def abstract_state(self) -> TrainState:
        """The state's structure, with shapes and dtypes in place of arrays.

        Raises:
            UserError: a regular expression of the optimiser's settings finds no parameter.
        """
        shapes = variable_shapes(self.architecture, descriptor_norm=self.step.descriptor_norm)
        return jax.eval_shape(self._state_of, shapes)

    def _state_of(self, variables: dict[str, Any]) -> TrainState:
        state = create_state(
            variables,
            self.make_optimizer(),
            class_count=self.step.class_count if self.step.classification_weight else 0,
            queue_length=self.queue_length,
            width=self.architecture.outputs,
            seed=self.seed,
        )
        check_expressions(self.optimizer, state.params)
        return state


def make_setup(config: Mapping[str, Any], class_count: int, steps_per_epoch: float) -> Setup:
    """Reads a valid training config.

    Args:
        config: of the job `train`.
        class_count: of the data.
        steps_per_epoch: of the data at the config's batch size.
    """
    losses, optimizer = config["losses"], config["optimizer"]
    total_steps = max(1, round(config["epochs"] * steps_per_epoch))
    return Setup(
        architecture=find_architecture(config["model"]),
        total_steps=total_steps,
        optimizer=OptimizerOptions(
            name=optimizer["name"],
            learning_rate=optimizer["learning_rate"],
            total_steps=total_steps,
            warmup_steps=round(optimizer["warmup_epochs"] * steps_per_epoch),
            warmup_start=optimizer["warmup_start"],
            momentum=optimizer["momentum"],
            nesterov=optimizer["nesterov"],
            weight_decay=optimizer["weight_decay"],
            no_weight_decay=tuple(optimizer["no_weight_decay"]),
            rate_multipliers=dict(map(tuple, optimizer["rate_multipliers"])),
        ),
        step=StepOptions(
            classification_weight=losses["classification_weight"],
            contrastive_weight=losses["contrastive_weight"],
            class_count=class_count,
            scale=losses["scale"],
            contrastive_scale=losses["contrastive_scale"],
            margin_radians=losses["margin_radians"],
            contrastive_margin_radians=losses["contrastive_margin_radians"],
            margin_kind=losses["margin_kind"],
            max_positives=losses["max_positives"],
            network_momentum=losses["network_momentum"],
            keys_first=losses["keys_first"],
            keys_batch_norm=losses["keys_batch_norm"],
            sync_batch_norm=config["sync_batch_norm"],
            descriptor_norm=config["descriptor_norm"],
            dtype=jnp.dtype(config["precision"]),
            remat=config["remat"],
            accumulate=config["accumulate"],
            clip_norm=optimizer["clip_norm"],
        ),
        queue_length=losses["queue_length"] if losses["contrastive_weight"] else 0,
        seed=config["seed"],
    )


def rate_note(config: Mapping[str, Any]) -> str | None:
    """What has to be said where a recipe's batch is changed and its learning rate is not."""
    batch, rate = config["batch_size"], config["optimizer"]["learning_rate"]
    recipe_batch, recipe_rate = config["optimizer"]["recipe"]
    if batch == recipe_batch or rate != recipe_rate:
        return None
    return (
        f"config.optimizer.learning_rate {rate:g} is the recipe's, for a batch of {recipe_batch}; "
        f"for config.batch_size {batch} the linear rule gives "
        f"--config.optimizer.learning_rate={rate * batch / recipe_batch:g}"
    )


def make_augmentation(config: Mapping[str, Any]) -> Augmentation:
    """The training's changes of images."""
    data = config["data"]
    return Augmentation(
        side=data["side"],
        area=(data["smallest_area"], 1.0),
        aspect=(1 / data["widest_aspect"], data["widest_aspect"]),
        flip=data["flip"],
        lighting_sigma=data["lighting_sigma"],
    )


def make_grouping(config: Mapping[str, Any]) -> Grouping | None:
    """The groups of classes that stand whole in a batch, if any."""
    classes, views = config["data"]["group_classes"], config["data"]["group_views"]
    return Grouping(classes, views) if classes else None
