"""DISK with a matcher, small and random."""

from senet_jax.models.families.disk import FAMILY, DiskSettings
from senet_jax.models.registry import random_variables
from senet_jax.weights import Weights, flatten

SMALL = DiskSettings(
    "small",
    outputs=8,
    down=(2, 3, 4, 4, 4),
    up=(4, 4, 3),
    matcher_width=16,
    matcher_layers=2,
    matcher_heads=2,
)


def small_weights(seed=0, **changes):
    tensors = dict(flatten(random_variables(SMALL, seed)))
    source = {"random": True, "seed": seed}
    fields = {"tensors": tensors, "carried": {}, "source": source, **changes}
    return Weights(SMALL, FAMILY.preprocessing, **fields)
