"""What an evaluation takes: images, programs and descriptors."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from senet_jax.features.extract import plan_for
from senet_jax.features.networks import GlobalNetwork
from senet_jax.forecast.lines import Line, in_bytes
from senet_jax.jobs.evaluation_plan import EvaluationPlan
from senet_jax.models.registry import family_of, find_architecture, variable_shapes
from senet_jax.search.storage import quantise


def forecast_evaluation(config: ConfigDict) -> Iterator[Line]:
    """The forecast of an evaluation; the headers of its photographs are read for it.

    Raises:
        UserError: a dataset is not there.
    """
    architecture = find_architecture(config.model)
    network = GlobalNetwork(architecture, family_of(architecture).preprocessing, config.mode)
    plan = EvaluationPlan.from_config(config)
    distractors = None if plan.distractors is None else plan.distractors.name
    programs: set[tuple[int, int, int]] = set()
    needed = 0
    for planned in plan.lists:
        part = {"query": ", queries", "database": ", database"}[planned.part]
        name = planned.name + part * (planned.name != distractors)
        photographs = planned.photographs
        job = plan_for(
            plan.mode,
            jax.local_device_count(),
            photographs,
            plan.scales,
            label=name,
            skip_unreadable=True,
            may_transpose=network.transposes,
        )
        programs |= job.plan.programs
        needed = max(needed, job.needed_bytes)
        row = quantise(np.zeros((1, architecture.outputs), np.float32), planned.storage)
        size = in_bytes(len(photographs) * row.nbytes)
        yield (
            name,
            f"{len(photographs):,} images, {len(job.unreadable):,} unreadable; descriptors of "
            f"{size}; {100 * job.plan.padding:.1f} % of padding",
        )
    total = sum(len(planned.photographs) for planned in plan.lists)
    yield "images in all", f"{total:,}, each at {len(plan.scales)} scales"
    yield "programs", f"{len(programs):,}"
    yield "memory of the batches in flight", f"about {in_bytes(needed)}"
    variables = variable_shapes(architecture)
    yield "parameters", f"{_size(variables['params']):,}"
    yield "weights on the device", in_bytes(4 * _size(variables))


def _size(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
