"""Plans for photographs that come one by one, each of another size.

`make_plan` finds the best shapes for a list that is known; for a single box that is the shape of
the box, and every further box waits for programs to be compiled. Here there are few shapes for all
images there may be: sides are steps of a ladder, each sqrt(2) of the one before. Padding costs half
of an image's area on average, and 21 programs do for sides up to 1,024 at the scales of an
evaluation, which are steps of that ladder too.
"""

import dataclasses
import math

import numpy as np

from senet_jax.data.transforms import resized_shape
from senet_jax.features.device_memory import needed_bytes
from senet_jax.features.extract import Job
from senet_jax.features.plan import SHAPE_MULTIPLE, Batch, Plan
from senet_jax.features.runner import Runner

_SMALLEST = 256


def in_few_shapes(job: Job, runner: Runner) -> Job:
    """The same work with each photograph by itself, in few shapes; not for the mode `exact`.

    Args:
        job: see `plan_job`.
        runner: the network that it is for.
    """
    readable = np.flatnonzero(job.sizes.all(axis=1)).tolist()
    batches = tuple(_batch(row, job, runner.transposes) for row in readable)
    plan = Plan(batches, padding=0.0)
    needed = needed_bytes(plan, runner.devices, job.batches_in_flight)
    return dataclasses.replace(job, plan=plan, needed_bytes=needed)


def _batch(row: int, job: Job, may_transpose: bool) -> Batch:
    height, width = job.sizes[row].tolist()
    transposed = may_transpose and height > width
    shapes = []
    for scale in job.scales:
        rows, columns = map(step, resized_shape(height, width, scale))
        shapes.append((columns, rows) if transposed else (rows, columns))
    return Batch((row,), tuple(shapes), transposed=transposed)


def step(side: int) -> int:
    """The lowest step of the ladder that is not below a side: 256, 368, 512, 728, 1024, ..."""
    at, count = _SMALLEST, 0
    while at < side:
        count += 1
        exact = math.isqrt(_SMALLEST**2 << count)  # Of 362.04 it is 362: a scaled side is rounded.
        at = -(-exact // SHAPE_MULTIPLE) * SHAPE_MULTIPLE
    return at
