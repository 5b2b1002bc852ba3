"""SENet: trunk, self-similarity module, generalised-mean pooling, linear layer."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from senet_jax.models.architecture import Architecture
from senet_jax.models.layers import Array, LayerOptions, linear_init
from senet_jax.models.pooling import LearnableGeneralisedMean, generalised_mean
from senet_jax.models.resnet import ResNetClassifier, Trunk
from senet_jax.models.self_similarity import SelfSimilarityModule


class SENet(nn.Module):
    """From normalised images to descriptors, which are not yet of unit length.

    Without a self-similarity module it is the paper's baseline; with a learnable power besides,
    CVNet-Global.
    """

    architecture: Architecture
    options: LayerOptions

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, dict[str, Array]]:
        """Describes images.

        Args:
            images: float32[b h w 3], in the weights' channel order and normalisation.

        Returns:
            Descriptors, float32[b d], and the maps on the way by name: `stem`, `s1` to `s4`
            float[b h w c], `q`, `self_similarity` float[b h w u v c], `structure`, `fused`,
            `pooled` float32[b c], `descriptor`. What is not used of them costs nothing under jit.
        """
        maps = Trunk(self.architecture, self.options, name="trunk")(images)
        fused = maps["s4"]
        if self.architecture.self_similarity is not None:
            module = self.options.block(SelfSimilarityModule)(
                self.architecture.self_similarity, self.options, name="ssm"
            )
            fused, named = module(fused)
            maps |= named | {"fused": fused}
        if self.architecture.head == "gem_learnable":
            pooled = LearnableGeneralisedMean(name="pool")(fused)
        else:
            pooled = generalised_mean(fused)
        descriptor = nn.Dense(self.architecture.outputs, kernel_init=linear_init, name="fc")(pooled)
        if self.options.descriptor_norm:
            descriptor = self.options.batch_norm(name="fc_bn")(descriptor)
        return descriptor, maps | {"pooled": pooled, "descriptor": descriptor}


def build_model(architecture: Architecture, **options: Any) -> SENet | ResNetClassifier:
    """The network as a Flax module.

    Args:
        architecture: which one.
        **options: the fields of `LayerOptions`.
    """
    module = SENet if architecture.describes else ResNetClassifier
    return module(architecture, LayerOptions(**options))


def variable_shapes(architecture: Architecture) -> dict[str, Any]:
    """The tree of `params` and `batch_stats`, with shapes and dtypes in place of arrays."""
    model = build_model(architecture)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image)
