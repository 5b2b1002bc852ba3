"""Few shapes for images of all sizes, so that few programs are compiled and little is padded.

Images are put into groups; at every scale, a group has one shape, and its images are padded to it.
A portrait is transposed, so that it is padded to the shape of a landscape. Sides are first rounded
up to multiples, which makes one group of what is nearly alike; then groups are joined for as long
as that saves more time for compiling than it costs for padding.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from senet_jax.data.transforms import resized_shape

GROUP_MULTIPLE = 64
SHAPE_MULTIPLE = 8
FEW_PROGRAMS = 15
UNLIMITED = 2**40
"""More pixels than memory suffices for or than padding saves; those of a million still add up."""

Mode = Literal["auto", "exact"]
Shape = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class DeviceCosts:
    """What a batch may hold and what a program costs on a kind of device, in pixels it computes.

    Attributes:
        batch_pixels: how many, at the largest scale, the images of a batch have together at most;
            a single image may have more.
        program_pixels: how many pixels of padding one program more has to save.
        further_program_pixels: the same where there are `FEW_PROGRAMS` already.
        compiles_ahead: whether the host's cores have nothing else to do than to compile.
    """

    batch_pixels: int
    program_pixels: int
    further_program_pixels: int
    compiles_ahead: bool = False


# An image of a landmark fills two cores by itself. They compute R50 for three times
# `program_pixels` in the time of compiling it, but a program is kept for later runs.
CPU_COSTS = DeviceCosts(2**18, 500_000, 10_000_000)
# An H200 wants many images together, and computes R50 for 900 million pixels in the time of
# compiling it.
ACCELERATOR_COSTS = DeviceCosts(2**25, 300_000_000, 300_000_000, compiles_ahead=True)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Images that the network takes together.

    Attributes:
        rows: of the list.
        shapes: height and width to which they are padded, for each scale.
        capacity: how many images the program takes; more than there are rows in a last batch.
        transposed: whether the images are transposed before they are padded.
    """

    rows: tuple[int, ...]
    shapes: tuple[Shape, ...]
    capacity: int = 1
    transposed: bool = False

    @property
    def pixels(self) -> int:
        """What the largest of its programs computes, at the size of its input."""
        return self.capacity * max(height * width for height, width in self.shapes)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a network is run over a list of images.

    Attributes:
        batches: in their order; an image that could not be read is in none of them.
        padding: what is computed besides the images, in parts of their own area.
    """

    batches: tuple[Batch, ...]
    padding: float

    @property
    def programs(self) -> set[tuple[int, int, int]]:
        """Capacity, height and width of every program that is compiled."""
        return {(batch.capacity, *shape) for batch in self.batches for shape in batch.shapes}


def make_plan(
    sizes: np.ndarray,
    scales: Sequence[float],
    mode: Mode,
    costs: DeviceCosts,
    most_pixels: int = UNLIMITED,
    may_transpose: bool = True,
) -> Plan:
    """Plans in which shapes, and which of them together, a network takes images.

    Args:
        sizes: int64[n 2], height and width; 0 for images that could not be read.
        scales: at which it takes them.
        mode: `exact` takes every image by itself and at its own shape, `auto` in few shapes.
        costs: of the device; `exact` does not ask.
        most_pixels: how many a batch has at most at the largest scale, unless a single image has
            more: what the memory suffices for.
        may_transpose: whether portraits may share the programs of landscapes.
    """
    if mode == "exact":
        return _exact(sizes, scales)
    return _bucketed(sizes, scales, costs, most_pixels, may_transpose)


def _exact(sizes: np.ndarray, scales: Sequence[float]) -> Plan:
    return Plan(
        tuple(
            Batch((row,), tuple(resized_shape(height, width, scale) for scale in scales))
            for row, (height, width) in enumerate(sizes.tolist())
            if height and width
        ),
        padding=0.0,
    )


def _bucketed(
    sizes: np.ndarray,
    scales: Sequence[float],
    costs: DeviceCosts,
    most_pixels: int,
    may_transpose: bool,
) -> Plan:
    readable = np.flatnonzero(sizes.all(axis=1))
    transposed = (sizes[readable, 0] > sizes[readable, 1]) & may_transpose
    lying = np.where(transposed[:, None], sizes[readable, ::-1], sizes[readable])
    group_of, largest = _groups(lying, scales, costs, most_pixels)
    batches = []
    padded_area = 0
    for group, shapes in enumerate(_shapes(largest, scales).tolist()):
        pixels = min(costs.batch_pixels, most_pixels)
        capacity = max(1, pixels // max(height * width for height, width in shapes))
        halves = [
            readable[(group_of == group) & (transposed == is_transposed)]
            for is_transposed in (False, True)
        ]
        # As full as they can be, and alike in both halves, which then share the programs.
        count = max(map(len, halves))
        capacity = -(-count // -(-count // capacity))
        for is_transposed, rows in enumerate(halves):
            for start in range(0, len(rows), capacity):
                part = tuple(rows[start : start + capacity].tolist())
                batches.append(
                    Batch(part, tuple(map(tuple, shapes)), capacity, bool(is_transposed))
                )
                padded_area += capacity * sum(height * width for height, width in shapes)
    area = sum(int(_resized(lying, scale).prod(axis=1).sum()) for scale in scales)
    return Plan(tuple(batches), padded_area / max(area, 1) - 1 if batches else 0.0)


def _groups(
    sizes: np.ndarray, scales: Sequence[float], costs: DeviceCosts, most_pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """The group of each image, int64[n], and the largest sides in each group, int64[g 2]."""
    rounded = -(-sizes // GROUP_MULTIPLE)
    _, group_of, counts = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    largest = np.zeros((len(counts), 2), np.int64)
    np.maximum.at(largest, group_of, sizes)

    def saved(groups: int) -> int:
        """How many pixels' time it saves to have one group less."""
        few = groups * len(scales) <= FEW_PROGRAMS
        return (costs.program_pixels if few else costs.further_program_pixels) * len(scales)

    def area(sides: np.ndarray) -> np.ndarray:
        """What an image costs, in pixels of all scales; beyond all saving where it may not be."""
        pixels = _shapes(sides, scales).prod(axis=-1)
        return pixels.sum(axis=-1) + (pixels.max(axis=-1) > most_pixels) * UNLIMITED

    joined_of, joined = join_groups(largest, counts, area, saved)
    return joined_of[group_of], joined


def join_groups(
    largest: np.ndarray,
    counts: np.ndarray,
    area: Callable[[np.ndarray], np.ndarray],
    saved: Callable[[int], int],
) -> tuple[np.ndarray, np.ndarray]:
    """Joins groups of rectangles, two at a time, for as long as that saves more than it costs.

    Args:
        largest: int64[g k], the largest sides in each group.
        counts: int64[g], how many are in it.
        area: what each costs in a group with such largest sides, int64[... k] -> int64[...].
        saved: what it saves to have one group less than so many.

    Returns:
        Into which group each went, int64[g], and the largest sides in those, int64[h k].
    """
    largest, counts = largest.copy(), counts.copy()
    joined_of = np.arange(len(counts))
    never = np.iinfo(np.int64).max

    def more(one: int) -> np.ndarray:
        """How much more it takes to join a group with each of the others: int64[g]."""
        sides, count = np.maximum(largest, largest[one]), counts + counts[one]
        apart = counts * area(largest)
        costs = count * area(sides) - apart - apart[one]
        costs[counts == 0] = costs[one] = never
        return costs

    costs = np.array([more(one) for one in range(len(counts))])
    while costs.size and costs.min() <= saved(int(np.count_nonzero(counts))):
        kept, gone = map(int, np.unravel_index(costs.argmin(), costs.shape))
        largest[kept] = np.maximum(largest[kept], largest[gone])
        counts[kept], counts[gone] = counts[kept] + counts[gone], 0
        joined_of[joined_of == gone] = kept
        costs[gone] = costs[:, gone] = never
        costs[kept] = costs[:, kept] = more(kept)
    _, joined_of = np.unique(joined_of, return_inverse=True)
    return joined_of, largest[counts > 0]


def _resized(sizes: np.ndarray, scale: float) -> np.ndarray:
    """`resized_shape` of many: int64[... 2] -> int64[... 2]."""
    return np.maximum(np.rint(sizes * scale).astype(np.int64), 1)


def _shapes(largest: np.ndarray, scales: Sequence[float]) -> np.ndarray:
    """The shapes of groups at each scale: int64[... 2] -> int64[... s 2]."""
    resized = np.stack([_resized(largest, scale) for scale in scales], axis=-2)
    return -(-resized // SHAPE_MULTIPLE) * SHAPE_MULTIPLE
