"""EfficientNet-Lite: inverted residual blocks with ReLU6, and a head that describes.

The head is generalised-mean pooling; before it there may be the self-similarity module, behind it
a linear layer, as SENet has them. It is on the last maps, or on those of an early stage.

Source: Tan and Le, "EfficientNet" (ICML 2019), without squeeze and excitation, as the package
`efficientnet-lite-pytorch` has it. It pads images of all sizes as it pads those of 224x224: each
side of the maps by k - s zeros before a convolution of kernel k and stride s, the odd one on the
right or below. So a stride divides the sides and rounds down.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from senet_jax.models.convolutions import depthwise_conv
from senet_jax.models.families.early_lite import EarlyLiteSettings
from senet_jax.models.families.lite0 import (
    LOCAL_STAGE,
    STAGES,
    STEM_STRIDE,
    EfficientNetLiteSettings,
    maps_after,
)
from senet_jax.models.layers import Array, LayerOptions
from senet_jax.models.pooling import generalised_mean
from senet_jax.models.self_similarity import SelfSimilarityModule
from senet_jax.models.valid_region import WHOLE, ValidRegion

SMALLEST_SIDE = 32
"""Images with smaller sides are filled with zeros up to it: nothing would be left of them."""

# Much larger than PyTorch's, and many channels are never active: their variance is 0.
BATCH_NORM_EPSILON = 1e-3
# Each channel has a kernel of its own.
_depthwise_init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


class ConvNorm(nn.Module):
    """A convolution, without a bias, and a batch norm.

    float[b h w c] -> float[b h//stride w//stride features].

    Attributes:
        features: how many channels it gives.
        options: of all layers.
        kernel: its side.
        stride: along both sides.
        depthwise: whether it convolves each channel alone.
        last_of_block: whether it is the last of a residual block.
    """

    features: int
    options: LayerOptions
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    last_of_block: bool = False

    @nn.compact
    def __call__(self, maps: Array) -> Array:
        before = (self.kernel - self.stride) // 2
        side = (before, self.kernel - self.stride - before)
        form: dict[str, Any] = {}
        if self.depthwise:
            form = {
                "feature_group_count": self.features,
                "kernel_init": _depthwise_init,
            }
            if not self.options.grouped:
                form["conv_general_dilated"] = depthwise_conv
        conv = self.options.conv(
            self.features, self.kernel, self.stride, padding=(side, side), name="conv", **form
        )
        norm = self.options.batch_norm(
            last_of_block=self.last_of_block, epsilon=BATCH_NORM_EPSILON, name="bn"
        )
        return norm(conv(maps))


class InvertedResidual(nn.Module):
    """1x1 to a multiple of the width, depthwise with the stride, 1x1 to the width.

    A ReLU6 follows the first two; where the shape stays, the input is added. float[b h w c] ->
    float[b h//stride w//stride width], and the expanded maps, float[b h w c*expansion].
    """

    width: int
    kernel: int
    stride: int
    expansion: int
    options: LayerOptions

    @nn.compact
    def __call__(self, maps: Array, region: ValidRegion) -> tuple[Array, Array]:
        channels, options = self.expansion * maps.shape[-1], self.options
        expanded = maps
        if self.expansion != 1:
            expanded = nn.relu6(ConvNorm(channels, options, name="expand")(maps))
        expanded = region.zero_outside(expanded)
        depthwise = ConvNorm(
            channels, options, self.kernel, self.stride, depthwise=True, name="depthwise"
        )
        adds = self.stride == 1 and maps.shape[-1] == self.width
        project = ConvNorm(self.width, options, last_of_block=adds, name="project")
        projected = project(nn.relu6(depthwise(expanded)))
        return (projected + maps if adds else projected), expanded


class Trunk(nn.Module):
    """All convolutions, or those of the first stages.

    float[b h w 3] and its region -> maps by name, `stem`, `s1` to `s7` (after each stage), `local`
    (where the local features are) and `head` (the last), and the region of the last.

    Attributes:
        settings: the sizes.
        options: of all layers.
        stages: how many there are; without all of them there is no `head`.
    """

    settings: EfficientNetLiteSettings
    options: LayerOptions
    stages: int = len(STAGES)

    @nn.compact
    def __call__(self, images: Array, region: ValidRegion) -> tuple[dict[str, Array], ValidRegion]:
        sizes, options = self.settings, self.options
        stem = ConvNorm(sizes.stem_width, options, 3, STEM_STRIDE, name="stem")
        maps = nn.relu6(stem(images))
        region = region.whole_strides(STEM_STRIDE)
        named, blocks = {"stem": maps}, 0
        inverted_residual = options.block(InvertedResidual)
        for index, stage in enumerate(STAGES[: self.stages]):
            for block in range(sizes.depths[index]):
                stride = stage.stride if block == 0 else 1
                maps, expanded = inverted_residual(
                    sizes.widths[index],
                    stage.kernel,
                    stride,
                    stage.expansion,
                    options,
                    name=f"block_{blocks}",
                )(maps, region)
                if (index, block) == (LOCAL_STAGE, 0):
                    named["local"] = expanded
                region = region.whole_strides(stride)
                blocks += 1
            named[maps_after(index + 1)] = maps
        if self.stages == len(STAGES):
            named["head"] = nn.relu6(ConvNorm(sizes.outputs, options, name="head")(maps))
        return named, region


class EfficientNetLite(nn.Module):
    """From normalised images to descriptors, which are not yet of unit length."""

    settings: EfficientNetLiteSettings
    options: LayerOptions

    @nn.compact
    def __call__(
        self, images: Array, region: ValidRegion = WHOLE
    ) -> tuple[Array, dict[str, Array]]:
        """Describes images.

        Args:
            images: float32[b h w 3], in the weights' channel order and normalisation; with the
                option `from_maps` what `Trunk` calls `head`.
            region: what of them is image and not padding, which has to be zero.

        Returns:
            Descriptors, float32[b d], and the maps on the way, see `Trunk`, and `descriptor`; of
            the self-similarity module, if it is there, those of `SelfSimilarityModule` and `fused`.
        """
        settings, options = self.settings, self.options
        if options.from_maps:
            maps = {"head": images}
        else:
            images, region = _filled(images, region)
            maps, region = Trunk(settings, options, name="trunk")(images, region)
        return _described(maps["head"], region, settings, options, maps)


class EarlyLite(nn.Module):
    """As `EfficientNetLite`, with the head on the maps of an early stage."""

    settings: EarlyLiteSettings
    options: LayerOptions

    @nn.compact
    def __call__(
        self, images: Array, region: ValidRegion = WHOLE
    ) -> tuple[Array, dict[str, Array]]:
        """Describes images.

        Args:
            images: as `EfficientNetLite` takes them; with the option `from_maps` the maps of the
                last of its stages.
            region: what of them is image and not padding, which has to be zero.

        Returns:
            Descriptors, float32[b d], and the maps on the way: those of the trunk, `neck`, and what
            `EfficientNetLite` adds.
        """
        settings, options = self.settings, self.options
        last = maps_after(settings.stages)
        if options.from_maps:
            maps = {last: images}
        else:
            images, region = _filled(images, region)
            maps, region = Trunk(settings, options, settings.stages, name="trunk")(images, region)
        neck = nn.relu6(ConvNorm(settings.outputs, options, name="neck")(maps[last]))
        return _described(neck, region, settings, options, maps | {"neck": neck})


def _described(
    fused: Array,
    region: ValidRegion,
    settings: EfficientNetLiteSettings,
    options: LayerOptions,
    maps: dict[str, Array],
) -> tuple[Array, dict[str, Array]]:
    """What SENet's head makes of maps, as layers of the module that calls it."""
    if settings.self_similarity is not None:
        module = options.block(SelfSimilarityModule)
        fused, named = module(settings.self_similarity, options, name="ssm")(fused, region)
        maps = maps | named | {"fused": fused}
    descriptor = generalised_mean(fused, region=region)
    if settings.head == "linear":
        descriptor = options.linear(settings.outputs, name="fc")(descriptor)
    return descriptor, maps | {"descriptor": descriptor}


def _filled(images: Array, region: ValidRegion) -> tuple[Array, ValidRegion]:
    """Images whose sides are `SMALLEST_SIDE` at least, by zeros on the right and below."""
    rows, columns = (max(0, SMALLEST_SIDE - side) for side in images.shape[1:3])
    images = jnp.pad(images, ((0, 0), (0, rows), (0, columns), (0, 0)))
    return images, region.at_least(SMALLEST_SIDE)
