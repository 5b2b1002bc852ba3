"""DISK: keypoints and their descriptors, by a U-Net that scores every pixel and describes it.

Descriptors are computed where there are keypoints and nowhere else: that takes a fifth of the time.

Source: Tyszkiewicz, Fua and Trulls, "DISK: learning local features with policy gradient" (NeurIPS
2020); the details are those of the implementation in Kornia.
"""

import functools
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.models.families.disk import DiskSettings
from senet_jax.models.family import MATCHER
from senet_jax.models.layers import conv_init, l2_normalise
from senet_jax.models.lightglue import LightGlue, parameter_shapes
from senet_jax.models.valid_region import WHOLE, ValidRegion, positions_inside

Array = jax.Array

KERNEL = 5
REACH = KERNEL // 2
"""Of a convolution to either side; of the window in which a keypoint is the largest, too."""
_EPSILON = 1e-5


class PixelKeypoints(flax.struct.PyTreeNode):
    """Keypoints of a batch of images, those with the highest scores first.

    Attributes:
        positions: int32[b n 2], row and column.
        scores: float32[b n]; -inf where an image has no more keypoints.
        descriptors: float32[b n d], of unit length.
    """

    positions: Array
    scores: Array
    descriptors: Array


class NormGate(nn.Module):
    """Instance norm and a PReLU: float32[b h w c] -> the same, with zeros outside of the region."""

    @nn.compact
    def __call__(self, maps: Array, region: ValidRegion) -> Array:
        slope = self.param("scale", nn.initializers.constant(0.25), (maps.shape[-1],))
        centred = region.zero_outside(maps - region.mean(maps)[:, None, None])
        variance = region.mean(centred * centred)[:, None, None]
        normed = centred * jax.lax.rsqrt(variance + _EPSILON)
        return jnp.where(normed < 0, slope * normed, normed)


class GatedConv(nn.Module):
    """A `NormGate` and a convolution: float32[b h w c] -> float32[b h w width]."""

    width: int

    @nn.compact
    def __call__(self, maps: Array, region: ValidRegion) -> Array:
        gated = NormGate(name="gate")(maps, region)
        conv = nn.Conv(self.width, (KERNEL, KERNEL), kernel_init=conv_init, name="conv")
        return conv(gated)


class KeypointHead(nn.Module):
    """The last `GatedConv`, of a score and a descriptor, see `Disk`."""

    width: int
    keypoints: int

    @nn.compact
    def __call__(self, maps: Array, inside: ValidRegion, image: ValidRegion) -> PixelKeypoints:
        gated = NormGate(name="gate")(maps, inside)
        channels = maps.shape[-1]
        kernel = self.param(
            "kernel", conv_init, (KERNEL, KERNEL, channels, self.width + 1), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (self.width + 1,), jnp.float32)
        heat = jax.lax.conv_general_dilated(
            gated, kernel[..., -1:], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        positions, scores = strongest_maxima(heat[..., 0] + bias[-1], image, self.keypoints)
        padded = jnp.pad(gated, ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0)))
        patches = jax.vmap(jax.vmap(_patch, (None, 0)))(padded, positions)
        flat = patches.reshape(*patches.shape[:2], -1)
        described = flat @ kernel[..., :-1].reshape(flat.shape[-1], -1) + bias[:-1]
        return PixelKeypoints(positions, scores, l2_normalise(described))


def _patch(maps: Array, position: Array) -> Array:
    """float32[h w c] and int32[2], its upper left corner -> float32[5 5 c]."""
    sizes = KERNEL, KERNEL, maps.shape[-1]
    return jax.lax.dynamic_slice(maps, (position[0], position[1], 0), sizes)


def strongest_maxima(heat: Array, image: ValidRegion, count: int) -> tuple[Array, Array]:
    """The highest of the positive local maxima, the highest first, among equals by row and column.

    A maximum is above all others in its window of 5x5, which has to be in the image.

    Args:
        heat: float32[b h w].
        image: which part of it counts.
        count: how many at most.

    Returns:
        int32[b n 2], row and column, and float32[b n], -inf where there are no more.
    """
    batch, height, width = heat.shape
    sizes = jnp.array([[height, width]]) if image.sizes is None else image.sizes
    far_enough = positions_inside(sizes - REACH, height, width)
    far_enough &= (jnp.arange(height) >= REACH)[:, None] & (jnp.arange(width) >= REACH)
    beside = [_shifted(heat, 2, offset) for offset in (-2, -1, 1, 2)]
    in_row = functools.reduce(jnp.maximum, beside)
    rows = jnp.maximum(in_row, heat)
    others = functools.reduce(jnp.maximum, (_shifted(rows, 1, o) for o in (-2, -1, 1, 2)), in_row)
    scores = jnp.where(far_enough & (heat > others) & (heat > 0), heat, -jnp.inf)
    best, places = jax.lax.top_k(scores.reshape(batch, -1), min(count, height * width))
    return jnp.stack([places // width, places % width], axis=-1), best


def _shifted(maps: Array, axis: int, offset: int) -> Array:
    """What stands `offset` further along an axis; -inf where nothing does: float32[b h w]."""
    edges = [(0, 0)] * maps.ndim
    edges[axis] = (max(0, -offset), max(0, offset))
    padded = jnp.pad(maps, edges, constant_values=-jnp.inf)
    start = max(0, offset)
    return jax.lax.slice_in_dim(padded, start, start + maps.shape[axis], axis=axis)


def halved(maps: Array) -> Array:
    """Means over 2x2: float32[b h w c] -> float32[b h/2 w/2 c]."""
    return nn.avg_pool(maps, (2, 2), (2, 2))


def doubled(maps: Array, region: ValidRegion) -> Array:
    """Bilinear, twice the size, the region's edge going on: float32[b h w c] -> float32[b 2h 2w c].

    Args:
        maps: those to be enlarged.
        region: what of them is valid.
    """
    for axis in (1, 2):
        count = maps.shape[axis]
        places = jnp.arange(count).reshape([-1 if a == axis else 1 for a in range(4)])
        last = count - 1
        if region.sizes is not None:
            last = (region.sizes[:, axis - 1] - 1).reshape(-1, 1, 1, 1)
        edges = [(0, 0)] * 4
        edges[axis] = (1, 1)
        around = jnp.pad(maps, edges, mode="edge")
        before = jax.lax.slice_in_dim(around, 0, count, axis=axis)
        after = jax.lax.slice_in_dim(around, 2, count + 2, axis=axis)
        after = jnp.where(places == last, maps, after)
        both = jnp.stack([0.25 * before + 0.75 * maps, 0.75 * maps + 0.25 * after], axis + 1)
        shape = list(maps.shape)
        shape[axis] *= 2
        maps = both.reshape(shape)
    return maps


class Disk(nn.Module):
    """From normalised images to keypoints."""

    settings: DiskSettings
    keypoints: int

    @nn.compact
    def __call__(self, images: Array, region: ValidRegion = WHOLE) -> PixelKeypoints:
        """Finds keypoints.

        Args:
            images: float32[b h w 3], RGB in [0, 1].
            region: what of them is image and not padding, which has to be zero.
        """
        settings = self.settings
        multiple = 2 ** (len(settings.down) - 1)
        rows, columns = (-side % multiple for side in images.shape[1:3])
        maps = jnp.pad(images, ((0, 0), (0, rows), (0, columns), (0, 0)))
        # An image is filled up to a whole number of the coarsest positions, by zeros that count.
        image, inside = region, region
        if region.sizes is None:
            image = ValidRegion(jnp.array([images.shape[1:3]] * images.shape[0], jnp.int32))
        else:
            inside = ValidRegion(-(-region.sizes // multiple) * multiple)
        regions, levels = [inside], []
        first = nn.Conv(
            settings.down[0], (KERNEL, KERNEL), kernel_init=conv_init, name="down_0_conv"
        )
        levels.append(first(maps))
        for index, width in enumerate(settings.down[1:], 1):
            regions.append(regions[-1].whole_strides(2))
            conv = GatedConv(width, name=f"down_{index}")
            levels.append(conv(halved(levels[-1]), regions[-1]))
        maps = levels.pop()
        for index, width in enumerate((*settings.up, None)):
            below = regions.pop()
            maps = jnp.concatenate([doubled(maps, below), levels.pop()], axis=-1)
            if width is not None:
                maps = GatedConv(width, name=f"up_{index}")(maps, regions[-1])
        head = KeypointHead(settings.outputs, self.keypoints, name="head")
        return head(maps, regions[-1], image)


def random_variables(settings: DiskSettings, seed: int) -> dict[str, Any]:
    """Random variables of the network and its matcher, in NumPy: kernels that keep the variance."""
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(Disk(settings, 1).init, jax.random.key(0), image)["params"]
    generator = np.random.default_rng(seed)

    def value(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = path[-1].key
        if name != "kernel":
            return np.full(leaf.shape, float(name == "scale"), np.float32)
        values = generator.standard_normal(leaf.shape, np.float32)
        return values / np.sqrt(np.prod(leaf.shape[:-1]), dtype=np.float32)

    params = {**shapes, MATCHER: matcher_shapes(settings)}
    return {"params": jax.tree_util.tree_map_with_path(value, params)}


def matcher_shapes(settings: DiskSettings) -> dict[str, Any]:
    """Those of the parameters of its matcher; see `lightglue.parameter_shapes`."""
    sizes = settings.matcher_width, settings.matcher_layers, settings.matcher_heads
    return parameter_shapes(LightGlue(*sizes), settings.outputs)
