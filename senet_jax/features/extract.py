"""Multi-scale descriptors of photographs.

Source: the authors' public inference code. Each scale's descriptor gets unit length, their mean
gets it again; the scales are resizings of the decoded pixels, not of the normalised image.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.data.sizes import check_pixels, photograph_sizes
from senet_jax.data.transforms import TooLargeImage, UnreadableImage, resize
from senet_jax.features.device_memory import (
    BATCHES_AT_ONCE,
    BYTES_READ_PER_PIXEL,
    READ_AHEAD_PART,
    economy,
    memory_bytes,
    most_pixels,
    needed_bytes,
)
from senet_jax.features.plan import Batch, Mode, Plan, make_plan
from senet_jax.features.reader import Pyramid, read_part
from senet_jax.features.runner import Describer, mean_descriptors
from senet_jax.system.errors import printable
from senet_jax.system.host_memory import host_memory_bytes
from senet_jax.system.progress import Progress
from senet_jax.system.threads import in_order

ReadBatch = tuple[Batch, Sequence[Pyramid | UnreadableImage]]


@dataclasses.dataclass(frozen=True)
class Job:
    """A list of photographs to describe, and how.

    Attributes:
        photographs: the list.
        scales: the sizes at which each is described, relative to its own.
        plan: which of them are described together.
        at_once: how many such batches are under way on each device.
        needed_bytes: what that takes of the memory.
        most_pixels: how many of a photograph the memory suffices for.
        unreadable: row -> why its image could not even be measured, or is too large; such rows are
            not planned.
        label: of the lines of progress.
        skip_unreadable: give an unreadable image a row of zeros instead of stopping.
    """

    photographs: Sequence[Photograph]
    scales: Sequence[float]
    plan: Plan
    at_once: int
    needed_bytes: int
    most_pixels: int
    unreadable: Mapping[int, str]
    label: str
    skip_unreadable: bool

    def summary(self) -> str:
        """What the work takes, in one line."""
        count = len(self.photographs) - len(self.unreadable)
        return (
            f"{self.label}: {count:,} images at {len(self.scales)} scales in "
            f"{len(self.plan.programs)} programs, {100 * self.plan.padding:.1f} % of padding, "
            f"up to {self.needed_bytes / 2**30:.1f} GiB"
            + (f"; {len(self.unreadable):,} more are UNREADABLE" if self.unreadable else "")
        )


def plan_job(
    describer: Describer,
    photographs: Sequence[Photograph],
    scales: Sequence[float],
    *,
    label: str,
    skip_unreadable: bool,
) -> Job:
    """Looks at the sizes of photographs and plans how a network describes them; see `plan_for`."""
    return plan_for(
        describer.mode,
        describer.lanes,
        photographs,
        scales,
        label=label,
        skip_unreadable=skip_unreadable,
    )


def plan_for(
    mode: Mode,
    lanes: int,
    photographs: Sequence[Photograph],
    scales: Sequence[float],
    *,
    label: str,
    skip_unreadable: bool,
) -> Job:
    """Looks at the sizes of photographs and plans how to describe them.

    The sizes are a plan only: a photograph whose pixels turn out to have another one is described
    by itself.

    Args:
        mode: of the network that will.
        lanes: on how many devices.
        photographs: what to describe.
        scales: the sizes at which each is described, relative to its own.
        label: of the lines of progress.
        skip_unreadable: give an image that is unreadable, or too large for the memory, a row of
            zeros instead of stopping.

    Raises:
        UnreadableImage: an image cannot be read or is too large for the memory, and such images are
            not to be skipped.
        UserError: a box is empty or outside of its image.
    """
    of_photograph = most_photograph_pixels(lanes, scales)
    sizes, unreadable = photograph_sizes(
        photographs, label=label, skip_unreadable=skip_unreadable, most_pixels=of_photograph
    )
    plan = make_plan(sizes, scales, mode, economy(), most_pixels(lanes))
    fits = needed_bytes(plan, lanes) <= memory_bytes()
    at_once = BATCHES_AT_ONCE if fits else 1
    return Job(
        photographs=photographs,
        scales=scales,
        plan=plan,
        at_once=at_once,
        needed_bytes=needed_bytes(plan, lanes, at_once),
        most_pixels=of_photograph,
        unreadable=unreadable,
        label=label,
        skip_unreadable=skip_unreadable,
    )


def most_photograph_pixels(lanes: int, scales: Sequence[float]) -> int:
    """The most pixels of a photograph that the memory suffices for at each of the scales."""
    return int(most_pixels(lanes) / max(scales) ** 2)


def extract(
    describer: Describer,
    photographs: Sequence[Photograph],
    scales: Sequence[float],
    *,
    label: str,
    skip_unreadable: bool = False,
    after_batch: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Describes photographs in memory; for what and with which errors, see `plan_job`.

    What `after_batch` raises ends it.

    Returns:
        Descriptors, float32[n d] in the order of the list, and why each row that is zero could
        not be read.
    """
    job = plan_job(describer, photographs, scales, label=label, skip_unreadable=skip_unreadable)
    descriptors = np.zeros((len(photographs), describer.width), np.float32)
    skipped = dict(job.unreadable)
    progress = Progress(label, len(photographs), "images")
    progress.advance(len(skipped))
    for described in describe_batches(describer, job, job.plan.batches):
        descriptors[list(described.rows)] = described.descriptors
        skipped |= described.skipped
        progress.advance(len(described.rows))
        after_batch()
    return descriptors, skipped


@dataclasses.dataclass(frozen=True, eq=False)
class Described:
    """What came of some batches.

    Attributes:
        rows: of the list.
        descriptors: float32[k d], a row for each; zeros for an image that could not be read.
        skipped: row of the list -> why its image could not be read.
    """

    rows: tuple[int, ...]
    descriptors: np.ndarray
    skipped: dict[int, str]


def describe_batches(
    describer: Describer, job: Job, batches: Sequence[Batch]
) -> Iterator[Described]:
    """Describes batches in their order, several at once, reading images ahead.

    Raises:
        UnreadableImage: an image cannot be read, and such images are not to be skipped.
    """
    together = _together(_with_pyramids(job, batches), describer.lanes)
    yield from in_order(functools.partial(_describe, describer, job), together, job.at_once)


def _with_pyramids(job: Job, batches: Sequence[Batch]) -> Iterator[ReadBatch]:
    """Batches with their images, which are read ahead."""

    def read(row: int) -> Pyramid | UnreadableImage:
        photograph = job.photographs[row]
        try:
            part = read_part(photograph)
            size = part.shape[:2]
            check_pixels(photograph, *size, job.most_pixels)
            return Pyramid(size, [resize(part, scale) for scale in job.scales])
        except UnreadableImage as error:
            return error

    rows = (row for batch in batches for row in batch.rows)
    pyramids = in_order(read, rows, _reading_threads(batches))
    for batch in batches:
        yield batch, list(itertools.islice(pyramids, len(batch.rows)))


def _reading_threads(batches: Sequence[Batch]) -> int:
    """How many images are read ahead at once: as many as there are cores, fewer of large ones."""
    largest = max((height * width for b in batches for height, width in b.shapes), default=1)
    fitting = host_memory_bytes() // (READ_AHEAD_PART * BYTES_READ_PER_PIXEL * largest)
    return max(1, min(os.cpu_count() or 1, fitting))


def _together(batches: Iterator[ReadBatch], lanes: int) -> Iterator[list[ReadBatch]]:
    """Batches of one program, one for each lane."""
    for _, alike in itertools.groupby(batches, key=lambda read: _program(read[0])):
        while together := list(itertools.islice(alike, lanes)):
            yield together


def _program(batch: Batch) -> tuple:
    return batch.capacity, batch.shapes, batch.turned


def _describe(describer: Describer, job: Job, together: Sequence[ReadBatch]) -> Described:
    """What comes of batches of one program, one for each lane.

    A photograph whose pixels have another size than was planned is described after the others, in a
    batch of its own.
    """
    rows = tuple(row for batch, _ in together for row in batch.rows)
    descriptors = dict.fromkeys(rows, np.zeros(describer.width, np.float32))
    skipped: dict[int, str] = {}
    alone: list[tuple[int, Pyramid]] = []

    def skip(row: int, error: UnreadableImage) -> None:
        if not job.skip_unreadable:
            raise error
        skipped[row] = str(error)

    lanes: list[list[Pyramid | None]] = []
    for batch, pyramids in together:
        fitting: list[Pyramid | None] = [None] * len(batch.rows)
        for place, (row, pyramid) in enumerate(zip(batch.rows, pyramids, strict=True)):
            if isinstance(pyramid, UnreadableImage):
                skip(row, pyramid)
            elif _fits(batch, pyramid, describer.mode):
                fitting[place] = pyramid
            else:
                alone.append((row, pyramid))
        lanes.append(fitting)
    if any(map(any, lanes)):
        described = _descriptors(describer, together[0][0], lanes)
        for lane, (batch, _) in enumerate(together):
            for place, row in enumerate(batch.rows):
                if lanes[lane][place]:
                    descriptors[row] = described[lane, place]
    for row, pyramid in alone:
        try:
            batch = _batch_alone(describer, job, row, pyramid)
        except UnreadableImage as error:
            skip(row, error)
        else:
            descriptors[row] = _descriptors(describer, batch, [[pyramid]])[0, 0]
    return Described(rows, np.stack([descriptors[row] for row in rows]), skipped)


def _fits(batch: Batch, pyramid: Pyramid, mode: Mode) -> bool:
    """Whether an image fits into its batch: at every scale, without padding in mode `exact`."""
    for level, shape in zip(pyramid.levels, batch.shapes, strict=True):
        size = level.shape[1::-1] if batch.turned else level.shape[:2]
        if size != shape and (mode == "exact" or size[0] > shape[0] or size[1] > shape[1]):
            return False
    return True


def _batch_alone(describer: Describer, job: Job, row: int, pyramid: Pyramid) -> Batch:
    """A batch for an image that does not fit into the one that was planned.

    Raises:
        TooLargeImage: beside other batches that are under way there is no memory for it.
    """
    size = np.array([pyramid.size])
    [batch] = make_plan(size, job.scales, describer.mode, economy()).batches
    # As many of the kind may be under way.
    plan = Plan((*job.plan.batches, *[batch] * job.at_once), padding=0.0)
    if needed_bytes(plan, describer.lanes, job.at_once) > max(job.needed_bytes, memory_bytes()):
        height, width = pyramid.size
        raise TooLargeImage(
            f"{printable(str(job.photographs[row].path))} has {width}x{height} pixels and not what "
            "its header says; for these the memory does not suffice beside the others; save it anew"
        )
    return batch


def _descriptors(
    describer: Describer, batch: Batch, lanes: Sequence[Sequence[Pyramid | None]]
) -> np.ndarray:
    """What the network makes of images in the shapes of a batch: float32[l b d] for l lanes.

    Where a batch has fewer images than its program takes, and for lanes that are left over, there
    is a black pixel to describe.
    """
    scales = []
    for scale, shape in enumerate(batch.shapes):
        images = np.zeros((describer.lanes, batch.capacity, *shape, 3), np.uint8)
        sizes = np.ones((describer.lanes, batch.capacity, 2), np.int32)
        for lane, pyramids in enumerate(lanes):
            for place, pyramid in enumerate(pyramids):
                if pyramid:
                    image = pyramid.levels[scale]
                    image = image.swapaxes(0, 1) if batch.turned else image
                    height, width = sizes[lane, place] = image.shape[:2]
                    images[lane, place, :height, :width] = image
        images, sizes = (array.reshape(-1, *array.shape[2:]) for array in (images, sizes))
        regions = None if describer.mode == "exact" else sizes
        scales.append(describer(images, regions, turned=batch.turned))
    described = np.asarray(mean_descriptors(scales))
    return described.reshape(describer.lanes, batch.capacity, -1)
