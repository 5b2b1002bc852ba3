"""What an evaluation takes: images, programs and descriptors."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from senet_jax.config import names
from senet_jax.data.revisitop import Photograph, load_dataset, load_distractors
from senet_jax.features.extract import plan_for
from senet_jax.features.networks import GlobalNetwork
from senet_jax.forecast.lines import Line, in_bytes
from senet_jax.models.registry import family_of, find_architecture, variable_shapes
from senet_jax.search.storage import quantise


def forecast_evaluation(config: ConfigDict) -> Iterator[Line]:
    """The forecast of an evaluation; the headers of its photographs are read for it.

    Raises:
        UserError: a dataset is not there.
    """
    architecture = find_architecture(config.model)
    lists: dict[str, tuple[Sequence[Photograph], str]] = {}
    for name in names(config.datasets):
        dataset = load_dataset(config.data_root, name)
        queries = dataset.queries if config.crop_queries else dataset.whole_queries
        lists[f"{name}, queries"] = queries, "float32"
        lists[f"{name}, database"] = dataset.images, config.storage
    if config.distractors:
        distractors = load_distractors(config.data_root, config.distractors).images
        lists[config.distractors] = distractors, config.storage

    network = GlobalNetwork(architecture, family_of(architecture).preprocessing, config.mode)
    programs: set[tuple[int, int, int]] = set()
    needed = 0
    for name, (photographs, storage) in lists.items():
        job = plan_for(
            network.mode,
            jax.local_device_count(),
            photographs,
            config.scales,
            label=name,
            skip_unreadable=True,
            may_transpose=network.transposes,
        )
        programs |= job.plan.programs
        needed = max(needed, job.needed_bytes)
        row = quantise(np.zeros((1, architecture.outputs), np.float32), storage)
        size = in_bytes(len(photographs) * row.nbytes)
        yield (
            name,
            f"{len(photographs):,} images, {len(job.unreadable):,} unreadable; descriptors of "
            f"{size}; {100 * job.plan.padding:.1f} % of padding",
        )
    total = sum(len(photographs) for photographs, _ in lists.values())
    yield "images in all", f"{total:,}, each at {len(config.scales)} scales"
    yield "programs", f"{len(programs):,}"
    yield "memory of the batches in flight", f"about {in_bytes(needed)}"
    variables = variable_shapes(architecture)
    yield "parameters", f"{_size(variables['params']):,}"
    yield "weights on the device", in_bytes(4 * _size(variables))


def _size(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
