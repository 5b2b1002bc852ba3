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

from senet_jax.data.revisitop import Photograph, read_image
from senet_jax.data.sizes import photograph_sizes
from senet_jax.data.transforms import UnreadableImage, crop, resize
from senet_jax.errors import UserError
from senet_jax.progress import Progress
from senet_jax.retrieval.buckets import Batch, Plan, make_plan
from senet_jax.retrieval.describer import Describer, mean_descriptors
from senet_jax.retrieval.memory import BATCHES_AT_ONCE, economy, memory_bytes, needed_bytes
from senet_jax.threads import in_order

Pyramid = list[np.ndarray] | UnreadableImage
ReadBatch = tuple[Batch, list[Pyramid]]


def read_pyramid(photograph: Photograph, scales: Sequence[float]) -> list[np.ndarray]:
    """Reads a photograph, cuts its box out, and resizes what is left to each scale.

    Raises:
        UnreadableImage: the file is missing or no image.
        UserError: the box is empty or outside of the image.
    """
    image = read_image(photograph.path)
    if photograph.box is not None:
        try:
            image = crop(image, photograph.box)
        except UserError as error:
            raise UserError(f"{photograph.path}: {error}") from error
    return [resize(image, scale) for scale in scales]


@dataclasses.dataclass(frozen=True)
class Job:
    """A list of photographs to describe, and how.

    Attributes:
        photographs: the list.
        scales: the sizes at which each is described, relative to its own.
        plan: which of them are described together.
        at_once: how many such batches are under way on each device.
        needed_bytes: what that takes of the memory.
        unreadable: row -> why its image could not even be measured; such rows are not planned.
        label: of the lines of progress.
        skip_unreadable: give an unreadable image a row of zeros instead of stopping.
    """

    photographs: Sequence[Photograph]
    scales: Sequence[float]
    plan: Plan
    at_once: int
    needed_bytes: int
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
    """Looks at the sizes of photographs and plans how to describe them.

    Args:
        describer: the network that will.
        photographs: what to describe.
        scales: the sizes at which each is described, relative to its own.
        label: of the lines of progress.
        skip_unreadable: give an unreadable image a row of zeros instead of stopping.

    Raises:
        UnreadableImage: an image cannot be read, and such images are not to be skipped.
        UserError: a box is empty or outside of its image, or an image is too large for the memory.
    """
    sizes, unreadable = photograph_sizes(photographs, label=label, skip_unreadable=skip_unreadable)
    plan = make_plan(sizes, scales, describer.mode, economy())
    there = memory_bytes()
    for at_once in range(BATCHES_AT_ONCE, 0, -1):
        needed = needed_bytes(plan, describer.lanes, at_once)
        if needed <= there:
            break
    else:
        largest = sizes.prod(axis=1).argmax()
        height, width = sizes[largest]
        raise UserError(
            f"{photographs[largest].path} of {width}x{height} pixels takes about "
            f"{needed / 2**30:.1f} GiB at scale {max(scales)}, there are {there / 2**30:.1f}; "
            "make it smaller, leave it out, or give smaller scales"
        )
    return Job(photographs, scales, plan, at_once, needed, unreadable, label, skip_unreadable)


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
        UserError: a photograph has another size than when the job was planned.
    """
    together = _together(_with_pyramids(job, batches), describer.lanes)
    yield from in_order(functools.partial(_describe, describer, job), together, job.at_once)


def _with_pyramids(job: Job, batches: Sequence[Batch]) -> Iterator[ReadBatch]:
    """Batches with their images, which are read ahead."""

    def read(row: int) -> Pyramid:
        try:
            return read_pyramid(job.photographs[row], job.scales)
        except UnreadableImage as error:
            return error

    rows = (row for batch in batches for row in batch.rows)
    pyramids = in_order(read, rows, os.cpu_count() or 1)
    for batch in batches:
        yield batch, list(itertools.islice(pyramids, len(batch.rows)))


def _together(batches: Iterator[ReadBatch], lanes: int) -> Iterator[list[ReadBatch]]:
    """Batches of one program, one for each lane."""
    for _, alike in itertools.groupby(batches, key=lambda read: _program(read[0])):
        while together := list(itertools.islice(alike, lanes)):
            yield together


def _program(batch: Batch) -> tuple:
    return batch.capacity, batch.shapes, batch.turned


def _describe(describer: Describer, job: Job, together: Sequence[ReadBatch]) -> Described:
    """What comes of batches of one program, one for each lane."""
    skipped = {}
    for batch, pyramids in together:
        for row, pyramid in zip(batch.rows, pyramids, strict=True):
            if isinstance(pyramid, UnreadableImage):
                if not job.skip_unreadable:
                    raise pyramid
                skipped[row] = str(pyramid)
    first = together[0][0]
    described = np.asarray(
        mean_descriptors(
            [
                describer(*_padded(describer, job, together, scale), turned=first.turned)
                for scale in range(len(job.scales))
            ]
        )
    ).reshape(describer.lanes, first.capacity, -1)
    rows = tuple(row for batch, _ in together for row in batch.rows)
    descriptors = np.concatenate(
        [described[lane, : len(batch.rows)] for lane, (batch, _) in enumerate(together)]
    )
    descriptors[[row in skipped for row in rows]] = 0
    return Described(rows, descriptors, skipped)


def _padded(
    describer: Describer, job: Job, together: Sequence[ReadBatch], scale: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The images of batches at one scale, as a `Describer` takes them.

    Where a batch has fewer images than its program takes, and for lanes that are left over, there
    is a black pixel to describe.
    """
    exact = describer.mode == "exact"
    first = together[0][0]
    shape = first.shapes[scale]
    images = np.zeros((describer.lanes, first.capacity, *shape, 3), np.uint8)
    sizes = np.ones((describer.lanes, first.capacity, 2), np.int32)
    for lane, (batch, pyramids) in enumerate(together):
        for place, (row, pyramid) in enumerate(zip(batch.rows, pyramids, strict=True)):
            if isinstance(pyramid, UnreadableImage):
                continue
            image = pyramid[scale].swapaxes(0, 1) if batch.turned else pyramid[scale]
            height, width = image.shape[:2]
            room = shape[0] - height, shape[1] - width
            if min(room) < 0 or (exact and max(room) > 0):
                raise UserError(
                    f"{job.photographs[row].path} had another size when its head was read; "
                    "is it being changed? Run this again"
                )
            images[lane, place, :height, :width] = image
            sizes[lane, place] = height, width
    images, sizes = (array.reshape(-1, *array.shape[2:]) for array in (images, sizes))
    return images, None if exact else sizes
