"""What a training on pairs takes: steps, and the disk for the maps that it looks at."""

import dataclasses
import math
from collections.abc import Iterator

import jax
from ml_collections import ConfigDict

from senet_jax.config import read
from senet_jax.data.prepared import open_prepared
from senet_jax.forecast.lines import Line, in_bytes
from senet_jax.models.cvnet import reranker_shapes
from senet_jax.models.registry import find_architecture
from senet_jax.training.pairs.settings import PairTrainingSettings
from senet_jax.training.setup import make_duration

_FLOAT32 = 4
# Parameters, and the optimiser's two moments of each.
_COPIES_IN_STATE = 3


@dataclasses.dataclass(frozen=True)
class KnownPairs:
    """How much there is to learn from, and what it takes.

    Attributes:
        images: that are prepared.
        classes: of them.
        steps: of the training, where every class has two images.
        map_bytes: of the maps and descriptors that are kept on disk.
        state_bytes: of a checkpoint at most.
    """

    images: int
    classes: int
    steps: int
    map_bytes: int
    state_bytes: int


def known_pairs(settings: PairTrainingSettings) -> KnownPairs:
    """What is prepared, and what a training takes of it; the weights need not be there yet.

    Raises:
        UserError: nothing is prepared there.
    """
    images, architecture = open_prepared(settings.data.folder), find_architecture(settings.model)
    positions = math.ceil(settings.data.side / architecture.stride(3)) ** 2
    kept = positions * architecture.stage_widths[2] + architecture.outputs
    parameters = sum(leaf.size for leaf in jax.tree.leaves(reranker_shapes(architecture)))
    return KnownPairs(
        images=len(images),
        classes=len(images.class_names),
        steps=make_duration(settings, len(images) / settings.batch_size).total_steps,
        map_bytes=_FLOAT32 * kept * len(images),
        state_bytes=_FLOAT32 * _COPIES_IN_STATE * parameters,
    )


def forecast_pairs(config: ConfigDict) -> Iterator[Line]:
    """The forecast of a training on pairs.

    Raises:
        UserError: the data is not there.
    """
    settings = read(PairTrainingSettings, config)
    known = known_pairs(settings)
    where = f"in {settings.data.folder}"
    yield "images", f"{known.images:,} of {known.classes:,} classes, {where}"
    yield "steps", f"{known.steps:,}, of {settings.batch_size:,} triples each"
    yield "maps that are kept on disk", in_bytes(known.map_bytes)
    yield "a checkpoint, at most", in_bytes(known.state_bytes)
