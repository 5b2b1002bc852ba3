"""SENet: trunk, self-similarity module, generalised-mean pooling, linear layer."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from senet_jax.models.architecture import Architecture
from senet_jax.models.inference import fold
from senet_jax.models.layers import Array, LayerOptions
from senet_jax.models.pooling import LearnableGeneralisedMean, generalised_mean
from senet_jax.models.resnet import ResNetClassifier, Trunk
from senet_jax.models.self_similarity import SelfSimilarityModule
from senet_jax.models.valid_region import WHOLE, ValidRegion

DESCRIPTOR_NORM = "fc_bn"


class SENet(nn.Module):
    """From normalised images to descriptors, which are not yet of unit length.

    Without a self-similarity module it is the paper's baseline; with a learnable power besides,
    CVNet-Global.
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
        if self.architecture.head == "gem_learnable":
            pooled = LearnableGeneralisedMean(name="pool")(fused, region)
        else:
            pooled = generalised_mean(fused, region=region)
        descriptor = self.options.linear(self.architecture.outputs, name="fc")(pooled)
        if self.options.descriptor_norm:
            options = dataclasses.replace(self.options, dtype=jnp.float32)
            descriptor = options.batch_norm(name=DESCRIPTOR_NORM)(descriptor)
        return descriptor, maps | {"pooled": pooled, "descriptor": descriptor}


def build_model(architecture: Architecture, **options: Any) -> SENet | ResNetClassifier:
    """The network as a Flax module.

    Args:
        architecture: which one.
        **options: the fields of `LayerOptions`.
    """
    module = SENet if architecture.describes else ResNetClassifier
    return module(architecture, LayerOptions(**options))


def initial_variables(model: nn.Module, seed: int) -> dict[str, Any]:
    """The variables of a network before any training, by the authors' initialisation."""
    # It runs once: on a CPU to compile it well takes longer than to run it badly.
    quick = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
    init = jax.jit(model.init, compiler_options=quick)
    return init(jax.random.key(seed), jnp.zeros((1, 32, 32, 3)))


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


def variable_shapes(architecture: Architecture, **options: Any) -> dict[str, Any]:
    """The tree of `params` and `batch_stats`, with shapes and dtypes in place of arrays.

    Args:
        architecture: the network.
        **options: the fields of `LayerOptions`.
    """
    model = build_model(architecture, **options)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image)
