"""The settings of trainings: of any, and of the job `train`, whose default values are the recipe.

The authors never released training code. Where each value is from: `code` is their public
inference code, `parent` the public training code that theirs derives from (github
feymanpriv/DELG), `second-hand` what is known of CVNet-Global from third parties, `open` not known.
Where SENet's own values differ from CVNet's is not known either. `--help` shows the sources.
"""

import dataclasses
from typing import Literal

from senet_jax import config
from senet_jax.config import chosen, inlined, section, setting
from senet_jax.features.scales import SCALES
from senet_jax.losses.loss import Loss
from senet_jax.losses.registry import LOSSES
from senet_jax.losses.registry import chosen as chosen_losses
from senet_jax.system.errors import UserError, shown
from senet_jax.training.optimizer import CourseOptimizerSettings

RATES = tuple(
    f"optimizer.{name}"
    for name in ("learning_rate", "rate_multipliers", "warmup_epochs", "warmup_start")
)
"""What `allow_changes` may name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSettings:
    """How a step computes the gradient."""

    precision: Literal["float32", "bfloat16"] = setting(
        config.one_of("float32", "bfloat16"),
        "of the network's arithmetic; bfloat16 is for accelerators",
        "float32",
    )
    batch_norm: Literal["batch", "running"] = setting(
        config.one_of("batch", "running"),
        "normalise activations by their batch's statistics, or by the running averages, which then "
        "stay as they are",
        "batch",
        source="parent",
    )
    sync_batch_norm: bool = setting(
        config.yes_or_no, "take batch statistics over all devices", True, source="open"
    )
    descriptor_norm: bool = setting(
        config.yes_or_no, "a batch norm after the last layer, folded into it at the end", False
    )
    remat: bool = setting(
        config.yes_or_no,
        "compute activations of residual blocks twice instead of keeping them: less memory",
        False,
    )
    accumulate: int = setting(
        config.integer(1),
        "in how many parts a device goes through its batch: less memory; batch statistics are "
        "those of a part",
        1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """The training images and their changes."""

    folder: str = setting(
        config.path,
        "prepared dataset, made by python -m senet_jax.data.prepare",
        "datasets/gldv2_clean",
    )
    side: int = setting(
        config.integer(1),
        "side of the square training images, in pixels",
        512,
        source="second-hand",
    )
    smallest_area: float = setting(
        config.number(0, 1.0001, above=True),
        "the smallest share of an image that a random crop has",
        0.08,
        source="parent",
    )
    widest_aspect: float = setting(
        config.number(1),
        "the largest ratio of a random crop's longer to its shorter side",
        4 / 3,
        source="parent",
    )
    flip: bool = setting(
        config.yes_or_no, "mirror every second image, by chance", True, source="parent"
    )
    lighting_sigma: float = setting(
        config.number(0),
        "standard deviation of the random change of colours (PCA lighting); 0: none",
        0.1,
        source="parent",
    )
    reduced_decoding: bool = setting(
        config.yes_or_no,
        "decode a JPEG at an eighth, a quarter or a half of its sides where a crop is that much "
        "larger than `side`: faster, other pixels",
        False,
    )
    workers: int = setting(
        config.integer(0), "processes that read images; 0: the training's own threads", 8
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings(ImageSettings):
    """How the training images and their changes make batches."""

    group_classes: int = setting(
        config.integer(0),
        "classes in a row whose images stand together in a batch (look-alikes); 0: no groups",
        0,
    )
    group_views: int = setting(
        config.integer(0), "images of each class in such a group; 0: no groups", 0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """The evaluations while a training runs."""

    data_root: str = setting(
        config.path_or_nothing, "folder of the datasets that are evaluated", "datasets"
    )
    datasets: str = setting(
        config.text,
        "names of datasets, separated by commas; empty: no evaluation while training",
        "",
    )
    every_steps: int = setting(config.integer(1), "steps between two evaluations", 10_000)
    scales: tuple[float, ...] = setting(
        config.scales,
        "the sizes at which an image is described, relative to its own",
        SCALES,
        source="code",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """When a training is saved, and how much is kept."""

    every_steps: int = setting(config.integer(1), "steps between two checkpoints", 1_000)
    keep: int = setting(config.integer(1), "how many of the newest are kept, beside the best", 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CourseSettings(config.Job):
    """What a training of any kind is told: what it learns from, and how long."""

    job: str = setting(
        config.text, "what is run: train, train_pairs, train_head or evaluate", "train"
    )
    model: str = setting(config.filled, "name of the network")
    seed: int = setting(
        config.integer(0), "of the initialisation, the order of the images and their changes", 0
    )
    start: str = setting(
        config.path_or_nothing,
        "weights folder that the training starts from: of the whole network, or of an ImageNet "
        "trunk of its depth; empty: the authors' initialisation",
        "",
    )
    allow_changes: str = setting(
        config.text,
        "rates that may be others when a training is resumed, separated by commas, such as "
        "optimizer.learning_rate; empty: none",
        "",
    )
    batch_size: int = setting(
        config.integer(1), "images a step, over all devices", 144, source="second-hand"
    )
    epochs: float = setting(
        config.number(0, above=True),
        "how often the data is gone through",
        25.0,
        source="second-hand",
    )
    log_every_steps: int = setting(config.integer(1), "steps between two lines of metrics", 50)
    data: ImageSettings = section(ImageSettings)
    optimizer: CourseOptimizerSettings = section(CourseOptimizerSettings)
    checkpoint: CheckpointSettings = section(CheckpointSettings)

    def check(self) -> None:
        """Checks what no value alone can tell.

        Raises:
            UserError: settings that do not go together.
        """
        super().check()
        for name in config.names(self.allow_changes):
            if name not in RATES:
                raise UserError(
                    f"config.allow_changes names {shown(name)}; only a rate may change in a "
                    f"training that is resumed: {', '.join(RATES)}"
                )
        self.optimizer.check()
        if self.optimizer.warmup_epochs >= self.epochs:
            raise UserError(
                f"config.optimizer.warmup_epochs is {self.optimizer.warmup_epochs}, "
                f"config.epochs {self.epochs}; warm up over a part of the training"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings(CourseSettings):
    """All that a training of a network is told."""

    step: StepSettings = inlined(StepSettings)
    data: DataSettings = section(DataSettings)
    losses: tuple[Loss, ...] = chosen(chosen_losses)
    evaluation: WatchSettings = section(WatchSettings)

    def weighed_losses(self) -> tuple[Loss, ...]:
        """The losses whose weight is not 0."""
        return tuple(loss for loss in self.losses if loss.weight)

    def check(self) -> None:
        """Checks what no value alone can tell.

        Raises:
            UserError: settings that do not go together.
        """
        super().check()
        if not self.losses:
            raise UserError(
                "config.losses holds no loss; set config.losses.NAME_weight and the loss's other "
                f"keys, with a NAME of {', '.join(LOSSES)}"
            )
        if not self.weighed_losses():
            weights = [f"config.losses.{loss.name}_weight" for loss in self.losses]
            are = "are" if len(weights) > 1 else "is"
            raise UserError(f"{' and '.join(weights)} {are} 0; one loss is needed")
        if bool(self.data.group_classes) != bool(self.data.group_views):
            raise UserError(
                f"config.data.group_classes is {self.data.group_classes} and "
                f"config.data.group_views {self.data.group_views}; give both or none"
            )
        for loss in self.weighed_losses():
            loss.check(self.batch_size)
