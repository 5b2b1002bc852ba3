"""From a config to all that a training is made of."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import optax

from senet_jax.data.augment import Augmentation
from senet_jax.data.sampling import Grouping
from senet_jax.losses.loss import Dimensions, Loss
from senet_jax.models.architecture import Architecture
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import (
    build_model,
    family_of,
    find_architecture,
    initial_variables,
    variable_shapes,
)
from senet_jax.system.errors import UserError
from senet_jax.training.feed import normalised
from senet_jax.training.optimizer import Duration, make_optimizer
from senet_jax.training.settings import (
    CourseSettings,
    DataSettings,
    ImageSettings,
    TrainingSettings,
)
from senet_jax.training.start import Start, start_from
from senet_jax.training.state import TrainState, create_state
from senet_jax.training.step import Batch, Metrics, make_step
from senet_jax.weights import Weights


@dataclasses.dataclass(frozen=True)
class Setup:
    """What settings mean once it is known how many classes and images there are.

    Attributes:
        settings: of the training.
        class_count: of the data.
        duration: of the training.
    """

    settings: TrainingSettings
    class_count: int
    duration: Duration

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return find_architecture(self.settings.model)

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network expects of pixels."""
        return family_of(self.architecture).preprocessing

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What is minimised."""
        return self.settings.weighed_losses()

    @property
    def accumulate(self) -> int:
        """In how many parts a device goes through its batch."""
        return self.settings.step.accumulate

    @property
    def images_per_step(self) -> int:
        """How many images all devices look at in a step."""
        return self.settings.batch_size

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimiser."""
        return make_optimizer(self.settings.optimizer, self.duration)

    def make_step(
        self, axis_name: str | None = None
    ) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
        """The function of a step, of batches as the data has them; see `step.make_step`."""
        step = make_step(
            self.architecture,
            self.make_optimizer(),
            self.losses,
            self.settings.step,
            class_count=self.class_count,
            clip_norm=self.settings.optimizer.clip_norm,
            axis_name=axis_name,
        )
        return lambda state, batch: step(state, normalised(batch, self.preprocessing))

    def start_from(self, weights: Weights) -> Start:
        """What the network takes of weights; see `start.start_from`."""
        return start_from(weights, self.architecture, self.preprocessing, **self._network_options)

    def initial_variables(self, start: Start | None = None) -> dict[str, Any]:
        """The network's variables before the first step, with what is taken of weights, if any."""
        model = build_model(self.architecture, **self._network_options)
        variables = initial_variables(model, self.settings.seed)
        return variables if start is None else start.applied(variables)

    def initial_state(self, start: Start | None = None) -> TrainState:
        """The state before the first step, with what is taken of weights, if any."""
        return self._state_of(self.initial_variables(start))

    def abstract_state(self) -> TrainState:
        """The state's structure, with shapes and dtypes in place of arrays.

        Raises:
            UserError: a regular expression of the optimiser's settings finds no parameter, or the
                network has none.
        """
        shapes = variable_shapes(self.architecture, **self._network_options)
        return jax.eval_shape(self._state_of, shapes)

    @property
    def _network_options(self) -> dict[str, bool]:
        return {"descriptor_norm": self.settings.step.descriptor_norm}

    def _state_of(self, variables: dict[str, Any]) -> TrainState:
        if "params" not in variables:
            raise UserError(
                f"config.model is {self.architecture.name}, which has nothing to learn; choose "
                "another network, such as r50"
            )
        variables = {"batch_stats": {}, **variables}  # Networks without batch norms have none.
        dimensions = Dimensions(self.class_count, self.architecture.outputs, self.settings.seed)
        state = create_state(variables, self.make_optimizer(), self.losses, dimensions)
        self.settings.optimizer.check_found(state.params)
        return state


def make_setup(settings: TrainingSettings, class_count: int, steps_per_epoch: float) -> Setup:
    """What settings mean for some data.

    Args:
        settings: of the training.
        class_count: of the data.
        steps_per_epoch: of the data at the batch size.
    """
    return Setup(
        settings,
        class_count,
        make_duration(settings, steps_per_epoch),
    )


def make_duration(settings: CourseSettings, steps_per_epoch: float) -> Duration:
    """How long a training is for data that make so many steps an epoch."""
    return Duration(
        total_steps=max(1, round(settings.epochs * steps_per_epoch)),
        warmup_steps=round(settings.optimizer.warmup_epochs * steps_per_epoch),
    )


def rate_note(settings: CourseSettings) -> str | None:
    """What has to be said where a recipe's batch is changed and its learning rate is not."""
    batch, rate = settings.batch_size, settings.optimizer.learning_rate
    recipe_batch, recipe_rate = settings.optimizer.recipe
    if batch == recipe_batch or rate != recipe_rate:
        return None
    return (
        f"config.optimizer.learning_rate {rate:g} is the recipe's, for a batch of {recipe_batch}; "
        f"for config.batch_size {batch} the linear rule gives "
        f"--config.optimizer.learning_rate={rate * batch / recipe_batch:g}"
    )


def make_augmentation(data: ImageSettings) -> Augmentation:
    """The training's changes of images."""
    return Augmentation(
        side=data.side,
        area=(data.smallest_area, 1.0),
        aspect=(1 / data.widest_aspect, data.widest_aspect),
        flip=data.flip,
        lighting_sigma=data.lighting_sigma,
        reduced_decoding=data.reduced_decoding,
    )


def make_grouping(data: DataSettings) -> Grouping | None:
    """The groups of classes that stand whole in a batch, if any."""
    return Grouping(data.group_classes, data.group_views) if data.group_classes else None
