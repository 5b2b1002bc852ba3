"""The ResNet trunk: bottleneck blocks with the stride on the 3x3 convolution.

Source: the authors' public inference code, whose trunk is that of the pycls model zoo. Modules
have its names, so that a parameter's path here and its key there differ only in their ends.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

from senet_jax.models.architecture import Architecture
from senet_jax.models.convolutions import winograd_same_conv
from senet_jax.models.layers import Array, LayerOptions
from senet_jax.models.valid_region import WHOLE, ValidRegion

BEFORE_RELU = "before_relu"


class Stem(nn.Module):
    """7x7 convolution with stride 2, batch norm, ReLU, 3x3 max-pool with stride 2.

    float[b h w 3] -> float[b ceil(h/4) ceil(w/4) width].
    """

    width: int
    options: LayerOptions

    @nn.compact
    def __call__(self, images: Array, region: ValidRegion) -> Array:
        maps = self.options.conv(self.width, 7, 2, name="conv")(images)
        maps = nn.relu(self.options.batch_norm(name="bn")(maps))
        maps = region.strided(2).zero_outside(maps)
        border: Any = ((1, 1), (1, 1))  # Flax's annotation knows texts alone.
        return nn.max_pool(maps, (3, 3), (2, 2), border)


class BottleneckTransform(nn.Module):
    """1x1 to a quarter of the width, 3x3 with the stride, 1x1 to the width, each with a norm."""

    width: int
    stride: int
    options: LayerOptions

    @nn.compact
    def __call__(self, maps: Array, region: ValidRegion) -> Array:
        conv, batch_norm = self.options.conv, self.options.batch_norm
        maps = nn.relu(batch_norm(name="a_bn")(conv(self.width // 4, 1, name="a")(maps)))
        is_fast = self.options.fast_blocks and self.stride == 1
        form = {"conv_general_dilated": winograd_same_conv} if is_fast else {}
        maps = region.zero_outside(maps)
        maps = conv(self.width // 4, 3, self.stride, name="b", **form)(maps)
        maps = nn.relu(batch_norm(name="b_bn")(maps))
        return batch_norm(last_of_block=True, name="c_bn")(conv(self.width, 1, name="c")(maps))


class ResidualBlock(nn.Module):
    """`relu(shortcut(x) + f(x))`; the shortcut is a 1x1 convolution where the shape changes.

    The sum is kept as the intermediate `before_relu` where intermediates are asked for.
    """

    width: int
    stride: int
    options: LayerOptions

    @nn.compact
    def __call__(self, maps: Array, region: ValidRegion) -> Array:
        transform = BottleneckTransform(self.width, self.stride, self.options, name="f")
        transformed = transform(maps, region)
        if maps.shape[-1] != self.width or self.stride != 1:
            maps = self.options.conv(self.width, 1, self.stride, name="proj")(maps)
            maps = self.options.batch_norm(name="bn")(maps)
        maps = maps + transformed
        self.sow("intermediates", BEFORE_RELU, maps)
        return nn.relu(maps)


class Stage(nn.Module):
    """`depth` residual blocks; the first has the stride."""

    depth: int
    width: int
    stride: int
    options: LayerOptions

    @nn.compact
    def __call__(self, maps: Array, region: ValidRegion) -> Array:
        separate = self.options.separate_blocks
        residual_block = self.options.block(nn.jit(ResidualBlock) if separate else ResidualBlock)
        for block in range(self.depth):
            stride = self.stride if block == 0 else 1
            named = residual_block(self.width, stride, self.options, name=f"b{block + 1}")
            maps = named(maps, region)
            if separate:
                # Or else XLA has the sum of a block, on CPUs, add up anew what all blocks before
                # it have added, and keeps all of that.
                marked: Any = set_xla_metadata(maps, inlineable="false")
                maps = marked
            region = region.strided(stride)
        return maps


class Trunk(nn.Module):
    """Stem and four stages.

    float[b h w 3] and its region -> the maps after each, under `stem`, `s1`, `s2`, `s3`, `s4`, and
    the region of the last.
    """

    architecture: Architecture
    options: LayerOptions

    @nn.compact
    def __call__(self, images: Array, region: ValidRegion) -> tuple[dict[str, Array], ValidRegion]:
        sizes = self.architecture
        maps = Stem(sizes.stem_width, self.options, name="stem")(images, region)
        region = region.strided(4)
        stages = {"stem": maps}
        for index, (depth, width, stride) in enumerate(
            zip(sizes.depths, sizes.stage_widths, sizes.stage_strides, strict=True), start=1
        ):
            maps = Stage(depth, width, stride, self.options, name=f"s{index}")(maps, region)
            region = region.strided(stride)
            stages[f"s{index}"] = maps
        return stages, region


class ResNetClassifier(nn.Module):
    """The trunk as ImageNet classifiers use it: average pooling and one linear layer.

    It is here so that a trunk's file loses nothing when it is converted. Where that has no linear
    layer (the head `average`), the pooled features are the output.
    """

    architecture: Architecture
    options: LayerOptions

    @nn.compact
    def __call__(
        self, images: Array, region: ValidRegion = WHOLE
    ) -> tuple[Array, dict[str, Array]]:
        """float[b h w 3] -> float32[b classes] and the named maps on the way."""
        stages, region = Trunk(self.architecture, self.options, name="trunk")(images, region)
        pooled = region.mean(stages["s4"].astype(jnp.float32))
        if self.architecture.head == "average":
            return pooled, {**stages, "pooled": pooled, "descriptor": pooled}
        logits = self.options.linear(self.architecture.outputs, name="fc")(pooled)
        return logits, {**stages, "pooled": pooled, "descriptor": logits}
