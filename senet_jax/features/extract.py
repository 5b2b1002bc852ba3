"""The feature engine: a network over a list of photographs, in batches, on all devices.

Photographs are planned into batches of few shapes, read ahead, resized to the scales as the decoded
pixels that they are (not as normalised images), and given to the network, several batches in
flight. One that cannot be read is skipped with its reason, or ends the work.

Source: the authors' public inference code.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.data.sizes import photograph_sizes
from senet_jax.data.transforms import TooLargeImage, UnreadableImage
from senet_jax.features.device_memory import (
    BATCHES_IN_FLIGHT,
    BYTES_READ_PER_PIXEL,
    READ_AHEAD_PART,
    device_costs,
    memory_bytes,
    most_pixels,
    needed_bytes,
)
from senet_jax.features.networks import Part, Value
from senet_jax.features.plan import Batch, Mode, Plan, make_plan
from senet_jax.features.reader import Pyramid, read_pyramid
from senet_jax.features.runner import Describer, Runner
from senet_jax.system.errors import printable
from senet_jax.system.host_memory import host_memory_bytes
from senet_jax.system.progress import Progress
from senet_jax.system.threads import in_order

ReadBatch = tuple[Batch, Sequence[Pyramid | UnreadableImage]]


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A list of photographs for a network, and how it is run over them.

    Attributes:
        photographs: the list.
        sizes: int64[n 2], their heights and widths; 0 for those that are unreadable.
        scales: the sizes at which the network takes each, relative to its own.
        plan: which of them it takes together.
        batches_in_flight: how many such batches there are on each device at a time.
        needed_bytes: what that takes of the memory.
        most_pixels: how many of a photograph the memory suffices for.
        unreadable: row -> why its image could not even be measured, or is too large; such rows are
            not planned.
        label: of the lines of progress.
        skip_unreadable: leave an unreadable image out instead of stopping.
    """

    photographs: Sequence[Photograph]
    sizes: np.ndarray
    scales: Sequence[float]
    plan: Plan
    batches_in_flight: int
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
    runner: Runner,
    photographs: Sequence[Photograph],
    scales: Sequence[float],
    *,
    label: str,
    skip_unreadable: bool,
    by_header: bool = True,
) -> Job:
    """Looks at the sizes of photographs and plans their batches for a network; see `plan_for`."""
    return plan_for(
        runner.mode,
        runner.devices,
        photographs,
        scales,
        label=label,
        skip_unreadable=skip_unreadable,
        by_header=by_header,
        may_transpose=runner.transposes,
    )


def plan_for(
    mode: Mode,
    devices: int,
    photographs: Sequence[Photograph],
    scales: Sequence[float],
    *,
    label: str,
    skip_unreadable: bool,
    by_header: bool = True,
    may_transpose: bool = True,
) -> Job:
    """Looks at the sizes of photographs and plans their batches.

    The sizes are a plan only: a photograph whose pixels turn out to have another one is computed
    by itself.

    Args:
        mode: of the network.
        devices: on how many devices it runs.
        photographs: the list.
        scales: the sizes at which the network takes each, relative to its own.
        label: of the lines of progress.
        skip_unreadable: leave an image that is unreadable, or too large for the memory, out instead
            of stopping.
        by_header: see `photograph_size`.
        may_transpose: see `make_plan`.

    Raises:
        UnreadableImage: an image cannot be read or is too large for the memory, and such images are
            not to be skipped.
        UserError: a box is empty or outside of its image.
    """
    of_photograph = most_photograph_pixels(devices, scales)
    sizes, unreadable = photograph_sizes(
        photographs,
        label=label,
        skip_unreadable=skip_unreadable,
        most_pixels=of_photograph,
        by_header=by_header,
    )
    plan = make_plan(sizes, scales, mode, device_costs(), most_pixels(devices), may_transpose)
    fits = needed_bytes(plan, devices) <= memory_bytes()
    batches_in_flight = BATCHES_IN_FLIGHT if fits else 1
    return Job(
        photographs=photographs,
        sizes=sizes,
        scales=scales,
        plan=plan,
        batches_in_flight=batches_in_flight,
        needed_bytes=needed_bytes(plan, devices, batches_in_flight),
        most_pixels=of_photograph,
        unreadable=unreadable,
        label=label,
        skip_unreadable=skip_unreadable,
    )


def most_photograph_pixels(devices: int, scales: Sequence[float]) -> int:
    """The most pixels of a photograph that the memory suffices for at each of the scales."""
    return int(most_pixels(devices) / max(scales) ** 2)


def extract(
    describer: Describer,
    photographs: Sequence[Photograph],
    scales: Sequence[float],
    *,
    label: str,
    skip_unreadable: bool = False,
) -> tuple[np.ndarray, dict[int, str]]:
    """Describes photographs in memory; for what and with which errors, see `plan_for`.

    Returns:
        Descriptors, float32[n d] in the order of the list, and why each row that is zero could
        not be read.
    """
    job = plan_job(describer, photographs, scales, label=label, skip_unreadable=skip_unreadable)
    descriptors = np.zeros((len(photographs), describer.width), np.float32)
    skipped = dict(job.unreadable)
    progress = Progress(label, len(photographs), "images")
    progress.advance(len(skipped))
    for extracted in extract_batches(describer, job, job.plan.batches):
        descriptors[list(extracted.rows)] = extracted.descriptors(describer.width)
        skipped |= extracted.skipped
        progress.advance(len(extracted.rows))
    return descriptors, skipped


@dataclasses.dataclass(frozen=True, eq=False)
class Extracted:
    """What came of some batches.

    Attributes:
        rows: of the list.
        values: what the network gives of each, None for an image that could not be read.
        skipped: row of the list -> why its image could not be read.
    """

    rows: tuple[int, ...]
    values: tuple[Value | None, ...]
    skipped: Mapping[int, str]

    def descriptors(self, width: int) -> np.ndarray:
        """Of a network that gives them: float32[k d], zeros for what could not be read."""
        nothing = np.zeros(width, np.float32)
        return np.stack([value["descriptor"] if value else nothing for value in self.values])


def extract_batches(runner: Runner, job: Job, batches: Sequence[Batch]) -> Iterator[Extracted]:
    """What a network gives of batches, in their order.

    Raises:
        UnreadableImage: an image cannot be read, and such images are not to be skipped.
    """
    together = _together(_with_pyramids(job, batches), runner.devices)
    extracted = in_order(functools.partial(_extract, runner, job), together, job.batches_in_flight)
    if runner.mode == "exact" or not device_costs().compiles_ahead:
        yield from extracted
        return
    programs = [
        (runner.devices * batch.capacity, *shape) for batch in batches for shape in batch.shapes
    ]
    with runner.compiling_ahead(dict.fromkeys(programs)):
        yield from extracted


def _with_pyramids(job: Job, batches: Sequence[Batch]) -> Iterator[ReadBatch]:
    """Batches with their images, which are read ahead."""

    def read(row: int) -> Pyramid | UnreadableImage:
        try:
            return read_pyramid(job.photographs[row], job.scales, job.most_pixels)
        except UnreadableImage as error:
            return error

    rows = (row for batch in batches for row in batch.rows)
    pyramids = in_order(read, rows, _reading_threads(batches))
    for batch in batches:
        yield batch, list(itertools.islice(pyramids, len(batch.rows)))


def _reading_threads(batches: Sequence[Batch]) -> int:
    """How many images are read ahead at once: as many as it has cores, fewer of large ones."""
    largest = max((height * width for b in batches for height, width in b.shapes), default=1)
    fitting = host_memory_bytes() // (READ_AHEAD_PART * BYTES_READ_PER_PIXEL * largest)
    return max(1, min(len(os.sched_getaffinity(0)), fitting))


def _together(batches: Iterator[ReadBatch], devices: int) -> Iterator[list[ReadBatch]]:
    """Batches of one program, one for each device."""
    for _, alike in itertools.groupby(batches, key=lambda read: _program(read[0])):
        while together := list(itertools.islice(alike, devices)):
            yield together


def _program(batch: Batch) -> tuple:
    return batch.capacity, batch.shapes, batch.transposed


def _extract(runner: Runner, job: Job, together: Sequence[ReadBatch]) -> Extracted:
    """What comes of batches of one program, one for each device.

    A photograph whose pixels have another size than was planned comes after the others, in a batch
    of its own.
    """
    rows = tuple(row for batch, _ in together for row in batch.rows)
    values: dict[int, Value | None] = dict.fromkeys(rows)
    skipped: dict[int, str] = {}
    alone: list[tuple[int, Pyramid]] = []

    def skip(row: int, error: UnreadableImage) -> None:
        if not job.skip_unreadable:
            raise error
        skipped[row] = str(error)

    of_devices: list[list[Pyramid | None]] = []
    for batch, pyramids in together:
        fitting: list[Pyramid | None] = [None] * len(batch.rows)
        for place, (row, pyramid) in enumerate(zip(batch.rows, pyramids, strict=True)):
            if isinstance(pyramid, UnreadableImage):
                skip(row, pyramid)
            elif _fits(batch, pyramid, runner.mode):
                fitting[place] = pyramid
            else:
                alone.append((row, pyramid))
        of_devices.append(fitting)
    if any(map(any, of_devices)):
        found = _values(runner, together[0][0], of_devices)
        for (batch, _), of_device in zip(together, found, strict=False):
            values |= zip(batch.rows, of_device, strict=False)
    for row, pyramid in alone:
        try:
            batch = _batch_alone(runner, job, row, pyramid)
        except UnreadableImage as error:
            skip(row, error)
        else:
            values[row] = _values(runner, batch, [[pyramid]])[0][0]
    return Extracted(rows, tuple(values[row] for row in rows), skipped)


def _fits(batch: Batch, pyramid: Pyramid, mode: Mode) -> bool:
    """Whether an image fits into its batch: at every scale, without padding in mode `exact`."""
    for level, shape in zip(pyramid.levels, batch.shapes, strict=True):
        size = level.shape[1::-1] if batch.transposed else level.shape[:2]
        if size != shape and (mode == "exact" or size[0] > shape[0] or size[1] > shape[1]):
            return False
    return True


def _batch_alone(runner: Runner, job: Job, row: int, pyramid: Pyramid) -> Batch:
    """A batch for an image that does not fit into the one that was planned.

    Raises:
        TooLargeImage: beside other batches in flight there is no memory for it.
    """
    size = np.array([pyramid.size])
    options = {"may_transpose": runner.transposes}
    [batch] = make_plan(size, job.scales, runner.mode, device_costs(), **options).batches
    # As many of the kind may be in flight.
    plan = Plan((*job.plan.batches, *[batch] * job.batches_in_flight), padding=0.0)
    needed = needed_bytes(plan, runner.devices, job.batches_in_flight)
    if needed > max(job.needed_bytes, memory_bytes()):
        height, width = pyramid.size
        raise TooLargeImage(
            f"{printable(str(job.photographs[row].path))} has {width}x{height} pixels and not what "
            "its header says; for these the memory does not suffice beside the others; save it anew"
        )
    return batch


def _values(
    runner: Runner, batch: Batch, of_devices: Sequence[Sequence[Pyramid | None]]
) -> list[list[Value | None]]:
    """What the network gives of images in the shapes of a batch, by device and place.

    Where a batch has fewer images than its program takes, and for devices that are left over, there
    is a black pixel to compute.
    """
    total = runner.devices * batch.capacity
    pyramids: list[Pyramid | None] = []
    for of_device in of_devices:
        pyramids += [*of_device, *[None] * (batch.capacity - len(of_device))]
    pyramids += [None] * (total - len(pyramids))
    scales, sizes_of_scales = [], []
    for scale, shape in enumerate(batch.shapes):
        images = np.zeros((total, *shape, 3), np.uint8)
        sizes = np.ones((total, 2), np.int32)
        for index, pyramid in enumerate(pyramids):
            if pyramid:
                image = pyramid.levels[scale]
                image = image.swapaxes(0, 1) if batch.transposed else image
                height, width = sizes[index] = image.shape[:2]
                images[index, :height, :width] = image
        regions = None if runner.mode == "exact" else sizes
        scales.append(runner(images, regions, transposed=batch.transposed))
        sizes_of_scales.append([tuple(size) for size in sizes.tolist()])
    parts = [
        pyramid and Part(tuple(sizes), batch.transposed, pyramid.corner, pyramid.step)
        for pyramid, *sizes in zip(pyramids, *sizes_of_scales, strict=True)
    ]
    values = runner.values(scales, parts)
    return [values[start : start + batch.capacity] for start in range(0, total, batch.capacity)]
