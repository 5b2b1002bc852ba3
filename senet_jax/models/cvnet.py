"""CVNet: its descriptors, and how surely two images show the same, from their maps' correlations.

Source: the authors' public code of CVNet. An image has maps of its own, which are computed once;
a pair of images is then scored from their maps alone. The first image is the query, the second
the key: axes `h w` are the query's, `u v` the key's.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.models.architecture import Architecture
from senet_jax.models.convolutions import conv_as_product, paired_conv, winograd_same_conv
from senet_jax.models.families.reranker import RERANKER
from senet_jax.models.layers import Array, torch_init
from senet_jax.models.pooling import LearnableGeneralisedMean
from senet_jax.models.registry import initial_variables
from senet_jax.models.resnet import BEFORE_RELU, ResNetClassifier
from senet_jax.models.senet import SENet
from senet_jax.models.valid_region import ValidRegion, positions_inside

# Of the area of a map; its sides shrink by the square root.
SCALES = (0.25, 0.5, 1.0)
WIDTH = 256
NORM_EPSILON = 1e-8
GROUPS = 4
GROUP_NORM_EPSILON = 1e-5
# The centre-pivot convolutions, block by block: width, kernel and stride of each layer.
BLOCKS = (
    ((16, 5, 2),),
    ((16, 3, 1), (32, 3, 2)),
    ((32, 3, 1), (32, 3, 1), (64, 3, 2)),
    ((64, 3, 1), (64, 3, 1), (128, 3, 1)),
)
# Of convolutions that fill a CPU's products of matrices.
FULL_WIDTH = 32


class CVNetGlobal(SENet):
    """SENet's baseline with a pooling power that is learned."""

    def pooled(self, maps: Array, region: ValidRegion) -> Array:
        """The maps' generalised mean: float[b h w c] -> float32[b c]."""
        return LearnableGeneralisedMean(name="pool")(maps, region)


def stage3_before_relu(
    model: SENet | ResNetClassifier, variables: Any, images: Array, region: ValidRegion
) -> Array:
    """The map after stage 3, without the ReLU that ends the stage.

    float32[b h w 3] and what of it is image -> float32[b h' w' c].
    """
    state: Any = model.apply(variables, images, region, mutable=["intermediates"])[1]
    last = f"b{model.architecture.depths[2]}"
    return state["intermediates"]["trunk"]["s3"][last][BEFORE_RELU][0]


class Resizing(flax.struct.PyTreeNode):
    """How the map of one image is brought to a scale and back: bilinear, corners aligned.

    Products of matrices do it, and leave out what of a padded map is not the image's.

    Attributes:
        shrink: float32[h' h] for the rows and float32[w' w] for the columns.
        grow: float32[h h'] and float32[w w'].
    """

    shrink: tuple[Any, Any]
    grow: tuple[Any, Any]


def resizings(size: tuple[int, int], shape: tuple[int, int]) -> tuple[Resizing, ...]:
    """The resizings of a map to each scale.

    Args:
        size: height and width of the part of the map that is the image's.
        shape: height and width of the map.
    """
    found = []
    for scale in SCALES:
        matrices = []
        for side, whole in zip(size, shape, strict=True):
            small, small_whole = _scaled(side, scale), _scaled(whole, scale)
            matrices.append(
                (
                    _aligned_corners(small, side, (small_whole, whole)),
                    _aligned_corners(side, small, (whole, small_whole)),
                )
            )
        found.append(Resizing(*zip(*matrices, strict=True)))
    return tuple(found)


def resizings_of_images(sizes: np.ndarray, shape: tuple[int, int]) -> tuple[Resizing, ...]:
    """The resizings of the maps of a batch, with the images as the first axis of each matrix.

    Args:
        sizes: int32[b 2], see `resizings`.
        shape: the same for all.
    """
    each = [resizings(tuple(size), shape) for size in sizes.tolist()]
    return jax.tree.map(lambda *matrices: np.stack(matrices), *each)


def _scaled(side: int, scale: float) -> int:
    """A side at a scale; halves go to the even number, and nothing is less than 1."""
    return max(1, round(side * math.sqrt(scale)))


def _aligned_corners(target: int, source: int, shape: tuple[int, int]) -> np.ndarray:
    """Linear interpolation from `source` to `target` places, in a matrix of zeros: float32."""
    places = np.arange(target) * ((source - 1) / max(target - 1, 1))
    matrix = np.zeros(shape, np.float32)
    distances = np.abs(places[:, None] - np.arange(source))
    matrix[:target, :source] = np.maximum(1 - distances, 0)
    return matrix


class PairRegion(flax.struct.PyTreeNode):
    """Which part of the correlations of padded maps belongs to the two images.

    Attributes:
        sizes: int32[b 4], height and width of the query's map, then of the key's.
    """

    sizes: Array

    def strided(self, stride: int) -> "PairRegion":
        """The region after a layer with this stride."""
        return PairRegion(-(-self.sizes // stride))

    def zero_outside(self, correlations: Array) -> Array:
        """float[b h w u v c] -> the same with zeros outside."""
        _, height, width, rows, columns, _ = correlations.shape
        query = positions_inside(self.sizes[:, :2], height, width)
        key = positions_inside(self.sizes[:, 2:], rows, columns)
        inside = query[:, :, :, None, None, None] & key[:, None, None, :, :, None]
        return jnp.where(inside, correlations, 0)

    def mean(self, correlations: Array) -> Array:
        """The mean over the positions inside: float[b h w u v c] -> float[b c]."""
        # Axis by axis, because a float32 sum of a million terms would lose digits; and as products
        # of matrices, which are faster than sums.
        sums = correlations
        for axis in range(4):
            batch, side = sums.shape[:2]
            inside = jnp.arange(side) < self.sizes[:, axis, None]
            rest = sums.reshape(batch, side, -1)
            sums = jnp.einsum("bp,bpn->bn", inside.astype(sums.dtype), rest)
            sums = sums.reshape(batch, *correlations.shape[axis + 2 :])
        return sums / jnp.prod(self.sizes, axis=1, keepdims=True)


class CentrePivotConv(nn.Module):
    """A 2-D convolution over the query's axes plus one over the key's: a sparse 4-D convolution.

    Each is computed at every `stride`-th position of the other image only, and takes correlations
    that are thinned accordingly; `p` below are such positions.
    """

    width: int
    kernel: int
    stride: int
    fast: bool = False
    small: bool = False

    @nn.compact
    def __call__(self, of_thinned_keys: Array, of_thinned_queries: Array) -> Array:
        """float[b pu pv h w c] and float[b ph pw u v c] -> float[b ph pw pu pv d]."""
        options: dict[str, Any] = {"padding": self.kernel // 2, "kernel_init": torch_init}
        if self.small:
            options["conv_general_dilated"] = conv_as_product
        elif self.fast and self.width < FULL_WIDTH:
            options["conv_general_dilated"] = paired_conv
        over_query, over_key = (
            nn.Conv(self.width, (self.kernel, self.kernel), self.stride, name=name, **options)
            for name in ("over_query", "over_key")
        )
        return _other_first(over_query(of_thinned_keys)) + over_key(of_thinned_queries)


def _other_first(correlations: Array) -> Array:
    """The axes of the other image in front: float[b h w u v c] -> float[b u v h w c]."""
    return correlations.transpose(0, 3, 4, 1, 2, 5)


class CentrePivotLayer(nn.Module):
    """Centre-pivot convolution, group norm over all positions of a pair, ReLU."""

    width: int
    kernel: int
    stride: int
    fast: bool = False
    small: bool = False

    @nn.compact
    def __call__(
        self, of_thinned_keys: Array, of_thinned_queries: Array, region: PairRegion
    ) -> Array:
        """As `CentrePivotConv`; `region` is that of its output, and zero is all outside of it."""
        shape = self.width, self.kernel, self.stride
        conv = CentrePivotConv(*shape, self.fast, self.small, name="conv")
        maps = conv(of_thinned_keys, of_thinned_queries)
        scale = self.param("scale", nn.initializers.ones, (self.width,))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        mean = self._group_mean(region.mean(maps))
        variance = self._group_mean(region.mean(jnp.square(maps - mean)))
        factor = scale / jnp.sqrt(variance + GROUP_NORM_EPSILON)
        return region.zero_outside(nn.relu((maps - mean) * factor + bias))

    def _group_mean(self, channels: Array) -> Array:
        """The mean of the channel's group for each: float[b c] -> float[b 1 1 1 1 c]."""
        groups = jnp.mean(channels.reshape(-1, GROUPS, self.width // GROUPS), axis=-1)
        return jnp.repeat(groups, self.width // GROUPS, axis=-1)[:, None, None, None, None]


def correlations(one: Array, other: Array, key_first: bool = False) -> Array:
    """What the maps of two images have in common, at each pair of positions.

    Args:
        one: the query's maps, float32[b s h w d].
        other: the key's, float32[b t u v d].
        key_first: whether `one` is the key's and `other` the query's.

    Returns:
        float32[b h w u v c], negative ones as 0; channels are the query's scales times the key's.
    """
    products = nn.relu(jnp.einsum("bshwd,btuvd->bshwtuv", one, other))
    # XLA on CPUs is slower if it moves them while it makes them.
    products = jax.lax.optimization_barrier(products)
    scales = (4, 1) if key_first else (1, 4)
    products = products.transpose(0, 2, 3, 5, 6, *scales)
    return products.reshape(*products.shape[:5], -1)


class Reranker(nn.Module):
    """The layers of CVNet-Rerank behind the trunk.

    They are used through `maps` and `scores`; calling it runs both, and makes the parameters.

    Attributes:
        fast: compute convolutions in forms that are faster on CPUs.
        small: compute those over correlations in a form that is faster where maps are small.
    """

    fast: bool = False
    small: bool = False

    def setup(self):
        conv: dict[str, Any] = {"padding": 1, "use_bias": False, "kernel_init": torch_init}
        if self.fast:
            conv["conv_general_dilated"] = winograd_same_conv
        self.compress = [nn.Conv(WIDTH, (3, 3), **conv) for _ in SCALES]
        forms = self.fast, self.small
        self.blocks = [[CentrePivotLayer(*layer, *forms) for layer in block] for block in BLOCKS]
        self.mlp = [nn.Dense(width) for width in (BLOCKS[-1][-1][0], 2)]

    def maps(self, stage3: Array, to_scales: Sequence[Resizing]) -> Array:
        """An image's maps at all scales, of unit length at each position of theirs.

        Each is then resized to the full scale. The authors' code resizes the correlations, which
        is the same, both being linear, and divides them by the product of the norms plus 1e-8.
        Here 1e-8 is added to the square of each norm: the same where the two are equal, and next
        to nothing unless they are tiny.

        Args:
            stage3: the map before the last ReLU of stage 3, float32[b h w c]; images of one size.
            to_scales: see `resizings`.

        Returns:
            float32[b s h w d], zero outside of the images.
        """
        maps = []
        for compress, resizing in zip(self.compress, to_scales, strict=True):
            small = compress(_resized(stage3, resizing.shrink))
            square = jnp.sum(jnp.square(small), axis=-1, keepdims=True)
            maps.append(_resized(small / jnp.sqrt(square + NORM_EPSILON), resizing.grow))
        return jnp.stack(maps, axis=1)

    def scores(self, query: Array, key: Array, region: PairRegion) -> Array:
        """The probability that two images show the same.

        Args:
            query: the queries' maps, float32[b s h w d].
            key: the keys', float32[b s u v d].
            region: what of them is image; the rest is zero.

        Returns:
            float32[b].
        """
        return nn.softmax(self.logits(query, key, region))[:, 1]

    def logits(self, query: Array, key: Array, region: PairRegion) -> Array:
        """What the scores are the softmax of: float32[b 2]; for the rest see `scores`."""
        return self.mlp[1](self.hidden(query, key, region))

    def hidden(self, query: Array, key: Array, region: PairRegion) -> Array:
        """What the last layer makes scores of: float32[b c]; for the rest see `scores`."""
        first, *others = [layer for block in self.blocks for layer in block]
        step, region = first.stride, region.strided(first.stride)
        # It is all that looks at the correlations, and it looks at parts of them only.
        maps = first(
            correlations(key[:, :, ::step, ::step], query, key_first=True),
            correlations(query[:, :, ::step, ::step], key),
            region,
        )
        for layer in others:
            step, region = layer.stride, region.strided(layer.stride)
            of_thinned_keys = _other_first(maps[:, :, :, ::step, ::step])
            maps = layer(of_thinned_keys, maps[:, ::step, ::step], region)
        return nn.relu(self.mlp[0](region.mean(maps)))

    def __call__(self, stage3: Array, to_scales: Sequence[Resizing], region: PairRegion) -> Array:
        """The score of each image with itself."""
        maps = self.maps(stage3, to_scales)
        return self.scores(maps, maps, region)


def _resized(maps: Array, matrices: tuple[Array, Array]) -> Array:
    rows, columns = matrices
    maps = jnp.einsum("ih,bhwc->biwc", rows, maps)
    # Row by row, or XLA would move the columns of all rows to where one product takes them.
    return jnp.broadcast_to(columns, (*maps.shape[:2], *columns.shape)) @ maps


def maps_of_images(
    model: SENet, variables: Any, images: Array, region: ValidRegion, to_scales: Sequence[Resizing]
) -> Array:
    """The maps that the re-ranker compares: float32[b h w 3] -> float32[b s h' w' d].

    Args:
        model: the network.
        variables: of the network, with the re-ranker's beside them.
        images: normalised.
        region: what of them is image.
        to_scales: of each image, see `resizings_of_images`.
    """
    stage3 = stage3_before_relu(model, variables, images, region)
    reranker = Reranker(fast=model.options.fast_blocks)
    params = {"params": reranker_params(variables)}

    def of_image(stage3: Array, to_scales: Sequence[Resizing]) -> Array:
        return reranker.apply(params, stage3[None], to_scales, method="maps")[0]

    return jax.vmap(of_image)(stage3, to_scales)


def reranker_params(variables: Mapping[str, Any]) -> Any:
    """The parameters of the re-ranker that stand beside those of the network."""
    return variables["params"][RERANKER]


def initial_reranker(architecture: Architecture, seed: int) -> dict[str, Any]:
    """The `params` of a re-ranker before any training.

    Args:
        architecture: of the trunk.
        seed: the same parameters for the same.
    """
    return initial_variables(Reranker(), seed, *_least_inputs(architecture))["params"]


def reranker_shapes(architecture: Architecture) -> dict[str, Any]:
    """The tree of a re-ranker's `params`, with shapes and dtypes in place of arrays."""
    inputs = _least_inputs(architecture)
    return jax.eval_shape(Reranker().init, jax.random.key(0), *inputs)["params"]


def _least_inputs(architecture: Architecture) -> tuple[Array, Sequence[Resizing], PairRegion]:
    """What `Reranker` takes, of an image as small as can be."""
    side = 2
    stage3 = jnp.zeros((1, side, side, architecture.stage_widths[2]), jnp.float32)
    return stage3, resizings((side, side), (side, side)), PairRegion(jnp.full((1, 4), side))
