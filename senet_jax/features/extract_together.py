"""Photographs described in memory by all processes together, each of them its share of the batches.

All go by one plan, the first process's, and each takes every n-th of its batches. So an image is
described in the batch in which a single process would describe it, and has the same descriptor.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence

import jax
import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.features.extract import Job, extract_batches, plan_job
from senet_jax.features.plan import Batch, Plan
from senet_jax.features.runner import Describer
from senet_jax.features.store import check_finite
from senet_jax.system.distributed import agree, exchanged, failing_together
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress


def extract_together(
    describer: Describer,
    photographs: Sequence[Photograph],
    scales: Sequence[float],
    *,
    label: str,
    stopped: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """Describes photographs; all processes call it together.

    Args:
        describer: the network.
        photographs: the list.
        scales: the sizes at which each is described, relative to its own.
        label: of the lines of progress, which count the process's own share.
        stopped: whether to stop, with the same answer in all processes if all of them ask equally
            often; asked between the batches.

    Returns:
        Descriptors, float32[n d] in the order of the list, the same in every process; None in all
        of them where they were stopped.

    Raises:
        UserError: in all processes, where one of them cannot read an image or a box is wrong, or
            a descriptor is not finite.
    """
    job = _planned_together(describer, photographs, scales, label)
    count, index = jax.process_count(), jax.process_index()
    shares = [job.plan.batches[start::count] for start in range(count)]
    rows = [[row for batch in share for row in batch.rows] for share in shares]
    descriptors = np.zeros((len(photographs), describer.width), np.float32)
    progress = Progress(label, len(rows[index]), "images")
    own, error = extract_batches(describer, job, shares[index]), None
    # No share is longer than the first. Who is done sooner, or has failed, asks as often as the
    # others do, and then waits for them.
    for _ in shares[0]:
        try:
            extracted = next(own, None)
        except UserError as caught:
            extracted, error = None, caught
        if extracted is not None:
            descriptors[list(extracted.rows)] = extracted.descriptors(describer.width)
            progress.advance(len(extracted.rows))
        if stopped():
            return None
    agree(error)
    found = exchanged(descriptors[rows[index]].tobytes())
    for of_process, values in zip(rows, found, strict=True):
        descriptors[of_process] = np.frombuffer(values, np.float32).reshape(-1, describer.width)
    check_finite(descriptors, range(len(descriptors)))
    return descriptors


def _planned_together(
    describer: Describer, photographs: Sequence[Photograph], scales: Sequence[float], label: str
) -> Job:
    """The job with the first process's plan: another's memory might suffice for other batches."""
    with failing_together():
        job = plan_job(describer, photographs, scales, label=label, skip_unreadable=False)
    [first, *_] = exchanged(json.dumps(dataclasses.asdict(job.plan)).encode())
    plan = json.loads(first)
    batches = [
        Batch(tuple(rows), tuple(map(tuple, shapes)), capacity, transposed)
        for rows, shapes, capacity, transposed in (batch.values() for batch in plan["batches"])
    ]
    return dataclasses.replace(job, plan=Plan(tuple(batches), plan["padding"]))
