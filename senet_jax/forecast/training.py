"""What a training takes: steps, memory of each device, and what the devices tell each other."""

import dataclasses
import pathlib
import time
from collections import Counter
from collections.abc import Iterator

import cv2
import jax
from ml_collections import ConfigDict

from senet_jax.config import read
from senet_jax.data import gldv2
from senet_jax.data.loader import TrainingData, spec_of_examples
from senet_jax.data.prepared import open_prepared
from senet_jax.forecast.lines import Line, in_bytes
from senet_jax.training.collectives import collectives, sent_bytes
from senet_jax.training.optimizer import map_with_path
from senet_jax.training.parallel import AXIS, ParallelStep, check_divisible
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import (
    Setup,
    make_augmentation,
    make_grouping,
    make_setup,
)
from senet_jax.training.state import TrainState

_TIMED_AT_ONCE, _TIMED_SECONDS = 8, 1.0


def forecast_training(config: ConfigDict) -> Iterator[Line]:
    """The forecast of a training on all devices that JAX has.

    Each line is given as soon as it is known; the step is compiled for the last ones.

    Raises:
        UserError: the data is not there, or the devices cannot share a batch.
    """
    settings = read(TrainingSettings, config)
    data = known_data(settings)
    setup = make_setup(settings, data.classes, data.steps_per_epoch)
    state, devices = setup.abstract_state(), jax.device_count()
    check_divisible(settings.batch_size, settings.step.accumulate, state)
    yield "images", f"{data.images:,} of {data.classes:,} classes, {data.source}"
    yield "steps", f"{setup.duration.total_steps:,}, {data.steps_per_epoch:,.1f} an epoch"
    yield (
        "batch",
        f"{settings.batch_size:,} images of {settings.data.side} x {settings.data.side}, "
        f"{settings.batch_size // devices:,} on each of {devices} devices",
    )
    if data.images_are_there:
        images_a_second = _images_a_second(settings)
        batch = settings.batch_size * (1 + any(loss.pairs for loss in setup.losses))
        cores = batch / images_a_second
        yield "feed", f"{images_a_second:,.0f} images/s of a core, measured here"
        yield (
            "  cores that leave no wait",
            f"{cores:,.2f} where the devices take 1 s for a step, {10 * cores:,.2f} where 0.1 s",
        )
    for name, tree in state.params.items():
        yield f"parameters, {name}", f"{sum(leaf.size for leaf in jax.tree.leaves(tree)):,}"

    parts = state_bytes(state, devices)
    yield "state of a device", in_bytes(sum(parts.values()))
    for part, count in parts.items():
        yield f"  {part}", in_bytes(count)
    lowered = _lower(setup, state)
    program = lowered.compile()
    memory, hlo = program.memory_analysis(), program.as_text()
    assert memory is not None and hlo is not None  # XLA tells both for CPUs.
    yield (
        "besides it in a step",
        f"{in_bytes(memory.temp_size_in_bytes)}, as compiled for CPU",
    )
    sent = sent_bytes(collectives(hlo, devices))
    yield "sent by a device in a step", in_bytes(sum(sent.values()))
    for kind, count in sorted(sent.items()):
        yield f"  {kind}", in_bytes(count)
    if settings.step.sync_batch_norm:
        count, sums = _batch_norms_send(setup, state, lowered)
        yield "  of it for batch norms", f"{in_bytes(count)}, in {sums:,} sums"
    parts = settings.step.accumulate
    if parts > 1:
        yield "", f"what each of the {parts} parts of a batch sends is counted once"


@dataclasses.dataclass(frozen=True)
class KnownData:
    """How much there is to learn from, and who says so."""

    images: int
    classes: int
    steps_per_epoch: float
    source: str
    images_are_there: bool


def known_data(settings: TrainingSettings) -> KnownData:
    """What is prepared, or else what is known of GLDv2-clean if that is meant.

    Raises:
        UserError: nothing is prepared there.
    """
    folder, grouping = pathlib.Path(settings.data.folder), make_grouping(settings.data)
    if folder.name == gldv2.NAME and not folder.exists() and grouping is None:
        return KnownData(
            gldv2.IMAGES,
            gldv2.CLASSES,
            gldv2.IMAGES / settings.batch_size,
            f"all that its list names, for {folder} is not there",
            images_are_there=False,
        )
    images = open_prepared(folder)
    data = TrainingData(
        images,
        settings.batch_size,
        settings.seed,
        make_augmentation(settings.data),
        grouping=grouping,
    )
    return KnownData(
        len(images),
        len(images.class_names),
        data.steps_per_epoch,
        f"in {folder}",
        images_are_there=True,
    )


def _images_a_second(settings: TrainingSettings) -> float:
    """How many training images a second of a core's time makes, of some that are shuffled."""
    images = open_prepared(settings.data.folder)
    data = TrainingData(images, _TIMED_AT_ONCE, settings.seed, make_augmentation(settings.data))
    cv2.setNumThreads(1)  # As in the workers.
    seconds, count = 0.0, 0
    while seconds < _TIMED_SECONDS:
        start = time.thread_time()
        data.batch(count)
        seconds += time.thread_time() - start
        count += 1
    return count * _TIMED_AT_ONCE / seconds


def state_bytes(state: TrainState, devices: int) -> dict[str, int]:
    """What each part of a state takes on one of several devices, in bytes."""
    counts: Counter[str] = Counter()

    def add(path: str, leaf: jax.ShapeDtypeStruct) -> None:
        shares = devices if state.is_by_rows(path) else 1
        counts[_part(path)] += leaf.size * leaf.dtype.itemsize // shares

    map_with_path(add, state)
    return dict(counts)


def _part(path: str) -> str:
    """What part of a state a leaf belongs to."""
    names = path.split("/")
    match names:
        case ["params", "network", *_] | ["batch_stats", *_]:
            return "network"
        case ["losses", loss, name, *_]:
            return f"{loss} loss, {name.replace('_', ' ')}"
    return names[1] if names[0] == "params" else names[0]


def _batch_norms_send(
    setup: Setup, state: TrainState, lowered: jax.stages.Lowered
) -> tuple[int, int]:
    """What statistics over all devices take: bytes that a device sends, and how many sums.

    It is how much less there is in the step without them. Before a program is compiled, when no
    sums are joined yet.
    """
    step = dataclasses.replace(setup.settings.step, sync_batch_norm=False)
    settings = dataclasses.replace(setup.settings, step=step)
    alone = _lower(dataclasses.replace(setup, settings=settings), state)
    both = [collectives(program.as_text("hlo"), jax.device_count()) for program in (lowered, alone)]
    sent, sent_alone = (sum(collective.sent_bytes for collective in found) for found in both)
    return sent - sent_alone, len(both[0]) - len(both[1])


def _lower(setup: Setup, state: TrainState) -> jax.stages.Lowered:
    """The step's program on all devices, from shapes alone."""
    count, side = setup.settings.batch_size, setup.settings.data.side
    spec = spec_of_examples(side, any(loss.pairs for loss in setup.losses))
    batch = {
        name: jax.ShapeDtypeStruct((count, *shape), dtype) for name, (shape, dtype) in spec.items()
    }
    return ParallelStep(setup.make_step(AXIS), state).lower(state, batch)
