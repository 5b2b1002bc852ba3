"""The settings of the job `train_head`: the head of a network on the maps of a trunk that stays."""

import dataclasses

from senet_jax import config
from senet_jax.config import chosen, section, setting
from senet_jax.losses.loss import Loss
from senet_jax.losses.registry import chosen as chosen_losses
from senet_jax.system.errors import UserError
from senet_jax.training.optimizer import OptimizerSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class MapSettings:
    """The photographs, and the views of them whose maps are kept."""

    images: str = setting(
        config.path,
        "folder of photographs, a folder for each class, or a prepared dataset",
        "datasets/photos_train",
    )
    maps: str = setting(
        config.path, "folder for the trunk's maps of them, which trainings share", "runs/maps"
    )
    side: int = setting(config.integer(32), "of the square views, in pixels", 256)
    views: int = setting(
        config.integer(1),
        "of a photograph: itself, then random crops, mirrored by chance, in a changed light",
        3,
    )
    smallest_area: float = setting(
        config.number(0, 1.0001, above=True), "the smallest share of a photograph in a crop", 0.5
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadSettings(config.Job):
    """All that the training of a head is told."""

    job: str = setting(
        config.text, "what is run: train, train_pairs, train_head or evaluate", "train_head"
    )
    model: str = setting(config.filled, "name of the network, such as lite0_channel_wise")
    start: str = setting(config.path, "weights folder of the trunk", "weights/lite0")
    seed: int = setting(config.integer(0), "of the head, and of the order of the photographs", 0)
    data: MapSettings = section(MapSettings)
    held_out: str = setting(
        config.text,
        "the classes that are not trained on but validated on, by commas; empty: none, and the "
        "last step's head is kept",
        "",
    )
    batch_size: int = setting(config.integer(2), "views a step", 16)
    steps: int = setting(config.integer(1), "of the training", 20)
    warmup_steps: int = setting(config.integer(0), "over which the learning rate grows", 3)
    validate_every_steps: int = setting(
        config.integer(1),
        "steps between two validations; the best step's head is kept",
        10,
    )
    optimizer: OptimizerSettings = section(OptimizerSettings)
    losses: tuple[Loss, ...] = chosen(chosen_losses)

    def weighed_losses(self) -> tuple[Loss, ...]:
        """The losses whose weight is not 0."""
        return tuple(loss for loss in self.losses if loss.weight)

    def check(self) -> None:
        """Checks what no value alone can tell.

        Raises:
            UserError: settings that do not go together.
        """
        super().check()
        self.optimizer.check()
        if not self.weighed_losses():
            raise UserError(
                "config.losses has to hold a loss with a weight above 0; give "
                "config.losses.classification_weight"
            )
        for loss in self.weighed_losses():
            loss.check(self.batch_size)
        if self.warmup_steps >= self.steps:
            raise UserError(
                f"config.warmup_steps is {self.warmup_steps}, config.steps {self.steps}; warm up "
                "over a part of the training"
            )
