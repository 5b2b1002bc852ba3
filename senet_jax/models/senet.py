"""SENet: trunk, self-similarity module, generalised-mean pooling, linear layer."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from senet_jax.models.architecture import Architecture
from senet_jax.models.inference import fold
from senet_jax.models.layers import Array, LayerOptions
from senet_jax.models.pooling import generalised_mean
from senet_jax.models.resnet import Trunk
from senet_jax.models.self_similarity import SelfSimilarityModule
from senet_jax.models.valid_region import WHOLE, ValidRegion

DESCRIPTOR_NORM = "fc_bn"


class SENet(nn.Module):
    """From normalised images to descriptors, which are not yet of unit length.

    Without a self-similarity module it is the paper's baseline.
    """

    architecture: Architecture
    options: LayerOptions

    @nn.compact
    def __call__(
        self, images: Array, region: ValidRegion = WHOLE
    ) -> tuple[Array, dict[str, Array]]:
        """Describes images.

        Args:
            images: float32[b h w 3], in the weights' channel order and normalisation.
            region: what of them is image and not padding, which has to be zero.

        Returns:
            Descriptors, float32[b d], and the maps on the way by name: `stem`, `s1` to `s4`
            float[b h w c], `q`, `self_similarity` float[b h w u v c], `structure`, `fused`,
            `pooled` float32[b c], `descriptor`. What is not used of them costs nothing under jit.
        """
        maps, region = Trunk(self.architecture, self.options, name="trunk")(images, region)
        fused = maps["s4"]
        if self.architecture.self_similarity is not None:
            module = self.options.block(SelfSimilarityModule)(
                self.architecture.self_similarity, self.options, name="ssm"
            )
            fused, named = module(fused, region)
            maps |= named | {"fused": fused}
        pooled = self.pooled(fused, region)
        descriptor = self.options.linear(self.architecture.outputs, name="fc")(pooled)
        if self.options.descriptor_norm:
            options = dataclasses.replace(self.options, dtype=jnp.float32)
            descriptor = options.batch_norm(name=DESCRIPTOR_NORM)(descriptor)
        return descriptor, maps | {"pooled": pooled, "descriptor": descriptor}

    def pooled(self, maps: Array, region: ValidRegion) -> Array:
        """The maps' generalised mean: float[b h w c] -> float32[b c]."""
        return generalised_mean(maps, region=region)


def without_descriptor_norm(variables: dict[str, Any]) -> dict[str, Any]:
    """Folds the batch norm that may follow the last layer into it.

    The network without the option `descriptor_norm` then gives the same descriptors as the one
    with it, with running statistics; other variables come back as they are.
    """
    params, statistics = dict(variables["params"]), dict(variables["batch_stats"])
    if DESCRIPTOR_NORM not in params:
        return variables
    norm, seen = params.pop(DESCRIPTOR_NORM), statistics.pop(DESCRIPTOR_NORM)
    params["fc"] = fold(params["fc"], norm, seen)
    return {"params": params, "batch_stats": statistics}
