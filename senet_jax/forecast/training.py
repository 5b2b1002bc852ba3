"""What a training takes: steps, memory of each device, and what the devices tell each other."""

import dataclasses
import pathlib
from collections import Counter
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from senet_jax.data import gldv2
from senet_jax.data.loader import TrainingData
from senet_jax.data.prepared import open_prepared
from senet_jax.forecast.lines import Line, in_bytes
from senet_jax.training.collectives import sent_bytes
from senet_jax.training.optimizer import map_with_path
from senet_jax.training.parallel import AXIS, ParallelStep, check_divisible
from senet_jax.training.setup import (
    PREPROCESSING,
    Setup,
    make_augmentation,
    make_grouping,
    make_setup,
)
from senet_jax.training.state import TrainState, is_sharded
from senet_jax.training.step import make_step

# What the parts of a state are called, by the first words of their paths.
_PARTS = {
    "params/network": "network",
    "batch_stats": "network",
    "params/classes": "classifier's share",
    "optimizer": "optimizer",
    "momentum_network": "momentum network",
    "queue": "queue's share",
    "": "scalars",
}


def forecast_training(config: ConfigDict) -> Iterator[Line]:
    """The forecast of a training on all devices that JAX has.

    Each line is given as soon as it is known; the step is compiled for the last ones.

    Raises:
        UserError: the data is not there, or the devices cannot share a batch.
    """
    data = _data(config)
    setup = make_setup(config, data.classes, data.steps_per_epoch)
    state, devices = setup.abstract_state(), jax.device_count()
    check_divisible(config.batch_size, config.accumulate, state)
    yield "images", f"{data.images:,} of {data.classes:,} classes, {data.source}"
    yield "steps", f"{setup.total_steps:,}, {data.steps_per_epoch:,.1f} an epoch"
    yield (
        "batch",
        f"{config.batch_size:,} images of {config.data.side} x {config.data.side}, "
        f"{config.batch_size // devices:,} on each of {devices} devices",
    )
    for name, tree in state.params.items():
        yield f"parameters, {name}", f"{sum(leaf.size for leaf in jax.tree.leaves(tree)):,}"

    parts = state_bytes(state, devices)
    yield "state of a device", in_bytes(sum(parts.values()))
    for part, count in parts.items():
        yield f"  {part}", in_bytes(count)
    program = _compile(config, setup, state)
    yield (
        "besides it in a step",
        f"{in_bytes(program.memory_analysis().temp_size_in_bytes)}, as compiled for CPU",
    )
    sent = sent_bytes(program.as_text(), devices)
    yield "sent by a device in a step", in_bytes(sum(sent.values()))
    for kind, count in sorted(sent.items()):
        yield f"  {kind}", in_bytes(count)
    if config.accumulate > 1:
        yield "", f"what each of the {config.accumulate} parts of a batch sends is counted once"


@dataclasses.dataclass(frozen=True)
class _Data:
    """How much there is to learn from, and who says so."""

    images: int
    classes: int
    steps_per_epoch: float
    source: str


def _data(config: ConfigDict) -> _Data:
    """What is prepared, or else what is known of GLDv2-clean if that is meant."""
    folder, grouping = pathlib.Path(config.data.folder), make_grouping(config)
    if folder.name == gldv2.NAME and not folder.exists() and grouping is None:
        return _Data(
            gldv2.IMAGES,
            gldv2.CLASSES,
            gldv2.IMAGES / config.batch_size,
            f"all that its list names, for {folder} is not there",
        )
    images = open_prepared(folder)
    data = TrainingData(
        images,
        config.batch_size,
        config.seed,
        make_augmentation(config),
        PREPROCESSING,
        grouping=grouping,
    )
    return _Data(len(images), len(images.class_names), data.steps_per_epoch, f"in {folder}")


def state_bytes(state: TrainState, devices: int) -> dict[str, int]:
    """What each part of a state takes on one of several devices, in bytes."""
    counts: Counter[str] = Counter()

    def add(path: str, leaf: jax.ShapeDtypeStruct) -> None:
        part = next(name for start, name in _PARTS.items() if path.startswith(start))
        counts[part] += leaf.size * leaf.dtype.itemsize // (devices if is_sharded(path) else 1)

    map_with_path(add, state)
    return {part: counts[part] for part in _PARTS.values() if counts[part]}


def _compile(config: ConfigDict, setup: Setup, state: TrainState) -> jax.stages.Compiled:
    """The step's program on all devices, from shapes alone."""
    count, side = config.batch_size, config.data.side
    images = jax.ShapeDtypeStruct((count, side, side, 3), jnp.float32)
    batch = {"images": images, "labels": jax.ShapeDtypeStruct((count,), jnp.int32)}
    if setup.step.contrastive_weight:
        batch["positives"] = images
    step = make_step(setup.architecture, setup.make_optimizer(), setup.step, AXIS)
    return ParallelStep(step, state).lower(state, batch).compile()
