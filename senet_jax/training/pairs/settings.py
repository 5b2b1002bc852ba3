"""The settings of the job `train_pairs`.

The authors of CVNet released no training code. `second-hand` is known from third parties who read
their paper; `ours` are values that are open there, and were chosen here.
"""

import dataclasses

from senet_jax import config
from senet_jax.config import section, setting
from senet_jax.training.settings import CourseSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairSettings:
    """Which pairs a step looks at, and how much of their maps."""

    hard_negatives: int = setting(
        config.integer(1),
        "how many images of other classes, the nearest by the descriptors of the frozen network, "
        "are hard negatives of an image",
        10,
        source="second-hand",
    )
    hard_share: float = setting(
        config.number(0, 1.0001),
        "the share of hard ones among the negatives at the end; it grows linearly from 0",
        1.0,
        source="ours; that it grows is second-hand",
    )
    hide_probability: float = setting(
        config.number(0, 1.0001),
        "of hiding a part of a map at the end; it grows linearly from 0",
        0.5,
        source="ours; that it grows is second-hand",
    )
    hidden_share: float = setting(
        config.number(0, 1),
        "of the positions of a map that are set to zero where a part of it is hidden",
        0.2,
        source="ours",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairTrainingSettings(CourseSettings):
    """All that a training on pairs is told."""

    job: str = setting(
        config.text, "what is run: train, train_pairs, train_head or evaluate", "train_pairs"
    )
    model: str = setting(config.filled, "name of the network; the weights have to be of it")
    start: str = setting(
        config.path, "weights folder of the trained network whose trunk is looked at, frozen", ""
    )
    batch_size: int = setting(
        config.integer(1), "triples a step, over all devices", 64, source="ours"
    )
    epochs: float = setting(
        config.number(0, above=True),
        "how often each image is the first of a triple",
        10.0,
        source="ours",
    )
    pairs: PairSettings = section(PairSettings)
