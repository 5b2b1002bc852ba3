"""What an evaluation takes: images, programs and descriptors."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from senet_jax.config import names
from senet_jax.data.revisitop import Photograph, load_dataset, load_distractors
from senet_jax.data.transforms import UnreadableImage
from senet_jax.forecast.lines import Line, in_bytes
from senet_jax.models.architecture import find_architecture
from senet_jax.models.senet import variable_shapes
from senet_jax.retrieval.buckets import padded_to_bucket
from senet_jax.retrieval.extract import read_pyramid

SAMPLE = 32
"""Of how many photographs of each list the shapes are looked at."""


def forecast_evaluation(config: ConfigDict) -> Iterator[Line]:
    """The forecast of an evaluation; a sample of its photographs is read for it.

    Raises:
        UserError: a dataset is not there.
    """
    architecture = find_architecture(config.model)
    lists: dict[str, Sequence[Photograph]] = {}
    for name in names(config.datasets):
        dataset = load_dataset(config.data_root, name)
        lists |= {f"{name}, queries": dataset.queries, f"{name}, database": dataset.images}
    if config.distractors:
        lists[config.distractors] = load_distractors(config.data_root, config.distractors).images

    shapes: set[tuple[int, ...]] = set()
    looked_at = 0
    for name, photographs in lists.items():
        size = len(photographs) * architecture.outputs * 4
        yield name, f"{len(photographs):,} images, descriptors of {in_bytes(size)}"
        sample = photographs[:: math.ceil(len(photographs) / SAMPLE)]
        looked_at += len(sample)
        shapes |= _shapes(sample, config.scales, config.mode)
    total = sum(map(len, lists.values()))
    yield "images in all", f"{total:,}, each at {len(config.scales)} scales"
    yield "programs", f"{len(shapes)} or more: so many shapes have {looked_at:,} of the images"
    variables = variable_shapes(architecture)
    yield "parameters", f"{_size(variables['params']):,}"
    yield "weights on the device", in_bytes(4 * _size(variables))


def _size(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _shapes(
    photographs: Sequence[Photograph], scales: Sequence[float], mode: str
) -> set[tuple[int, ...]]:
    """The shapes that the network gets; those of unreadable photographs are left out."""
    shapes = set()
    for photograph in photographs:
        try:
            pyramid = read_pyramid(photograph, scales)
        except UnreadableImage:
            continue
        for image in pyramid:
            shapes.add((padded_to_bucket(image[None])[0] if mode == "auto" else image).shape)
    return shapes
