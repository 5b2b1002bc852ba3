"""Generalised-mean pooling."""

import flax.linen as nn
import jax.numpy as jnp

from senet_jax.models.layers import Array
from senet_jax.models.valid_region import WHOLE, ValidRegion

EPSILON = 1e-6
POWER = 3.0


def generalised_mean(
    maps: Array, power: Array | float = POWER, region: ValidRegion = WHOLE
) -> Array:
    """`mean(max(x, 1e-6)^power)^(1/power)` over all positions of a region.

    Source: the authors' public code. float[b h w c] -> float32[b c].
    """
    powered = jnp.maximum(maps.astype(jnp.float32), EPSILON) ** power
    return region.mean(powered) ** (1 / power)


class LearnableGeneralisedMean(nn.Module):
    """`generalised_mean` whose power is a parameter `p`, float32[1], as CVNet-Global has it."""

    @nn.compact
    def __call__(self, maps: Array, region: ValidRegion = WHOLE) -> Array:
        power = self.param("p", nn.initializers.constant(POWER), (1,))
        return generalised_mean(maps, power, region)
