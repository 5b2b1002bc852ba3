"""The self-similarity module: how each place of a map resembles its surroundings.

Source: the authors' public inference code for channel-wise, cosine and sum. The supplement names
the alternatives (Tables S3 to S5) without their details; what is taken here for them: `direct`
sums the products over the channels before the clamp, `dot` leaves out the normalisation of q,
`concat` stacks the two maps before the first layer of the fusion. `none` is a control that is not
in the paper: the two layers of the fusion alone, with nothing to fuse.
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from senet_jax.models.architecture import SelfSimilarityConfig
from senet_jax.models.convolutions import winograd_conv
from senet_jax.models.layers import Array, LayerOptions, l2_normalise, torch_bias_init, torch_init
from senet_jax.models.valid_region import WHOLE, ValidRegion

OFFSET_KERNEL = 3


def self_similarity(q: Array, window: int, *, channelwise: bool = True) -> Array:
    """The products of every position with its neighbours in a window, clamped at zero.

    `s[b, y, x, u, v, c] = max(q[b, y, x, c] * q[b, y + u - r, x + v - r, c], 0)` with
    `r = window // 2`, and q zero outside of the map.

    Args:
        q: float[b h w c].
        window: side of the window; odd.
        channelwise: keep the channels, or sum over them before the clamp (c becomes 1).

    Returns:
        float[b h w u v c].
    """
    return _self_similarity_inside(_with_border(q, window), window, channelwise)


def _with_border(q: Array, window: int) -> Array:
    """Zeros as wide as the window reaches: float[b h w c] -> float[b h+2r w+2r c]."""
    radius = window // 2
    return jnp.pad(q, ((0, 0), (radius, radius), (radius, radius), (0, 0)))


def _self_similarity_inside(padded: Array, window: int, channelwise: bool) -> Array:
    """`self_similarity` of the positions within the border: float[b h+2r w+2r c]."""
    radius = window // 2
    q = padded[:, radius:-radius, radius:-radius]
    height, width = q.shape[1:3]
    rows = jnp.stack([padded[:, u : u + height] for u in range(window)], axis=3)
    neighbours = jnp.stack([rows[:, :, v : v + width] for v in range(window)], axis=4)
    products = q[:, :, :, None, None] * neighbours
    if not channelwise:
        products = jnp.sum(products, axis=-1, keepdims=True)
    return jnp.maximum(products, 0)


class SelfSimilarityEncoder(nn.Module):
    """Valid 3x3 convolutions over the offsets until one is left, then 1x1 to the map's width.

    float[b h w u v c] -> float[b h w features].
    """

    config: SelfSimilarityConfig
    features: int
    options: LayerOptions

    @nn.compact
    def __call__(self, similarity: Array) -> Array:
        width, batch_norm = self.config.width, self.options.batch_norm
        batch_height_width = similarity.shape[:3]
        offsets = similarity.reshape(-1, *similarity.shape[3:])
        fast = self.options.fast_offsets
        form: dict[str, Any] = {"conv_general_dilated": winograd_conv} if fast else {}
        for block in range(self.config.window // 2):
            offsets = self.options.conv(
                width,
                OFFSET_KERNEL,
                padding="VALID",
                use_bias=True,
                kernel_init=torch_init,
                bias_init=torch_bias_init(OFFSET_KERNEL**2 * offsets.shape[-1]),
                name=f"conv_{block}",
                **form,
            )(offsets)
            # The statistics are over batch, positions and offsets alike.
            offsets = nn.relu(batch_norm(name=f"bn_{block}")(offsets))
        maps = jnp.mean(offsets, axis=(1, 2)).reshape(*batch_height_width, width)
        maps = self.options.conv(
            self.features, 1, use_bias=True, bias_init=torch_bias_init(width), name="expand"
        )(maps)
        return batch_norm(name="expand_bn")(maps)


class SelfSimilarityModule(nn.Module):
    """From a visual map F to the fused map: reduce, compare, encode, fuse.

    float[b h w c] -> float[b h w c] and the named maps `q`, `self_similarity` and `structure`
    (the paper's D) on the way. Where the self-similarities of all positions are more than are held
    together, `self_similarity` is not among the maps.
    """

    config: SelfSimilarityConfig
    options: LayerOptions

    @nn.compact
    def __call__(self, maps: Array, region: ValidRegion = WHOLE) -> tuple[Array, dict[str, Array]]:
        if self.config.similarity == "none":
            return self._fused(maps, maps.shape[-1]), {}
        structure, named = self._structure(maps, region)
        if self.config.fusion == "sum":
            both = maps + structure
        else:
            both = jnp.concatenate([maps, structure], axis=-1)
        return self._fused(both, maps.shape[-1]), named

    @nn.nowrap
    def _structure(self, maps: Array, region: ValidRegion) -> tuple[Array, dict[str, Array]]:
        """What the self-similarity of the maps tells of them, and the named maps."""
        features = maps.shape[-1]
        q = self.options.conv(self.config.width, 1, name="reduce")(maps)
        if self.config.measure == "cosine":
            q = l2_normalise(q).astype(self.options.dtype)
        q = region.zero_outside(q)
        encoder = SelfSimilarityEncoder(self.config, features, self.options, name="encoder")
        limit = self.options.positions_per_part
        if limit is None or math.prod(q.shape[:3]) <= limit:
            similarity = self_similarity(q, self.config.window, channelwise=self._channelwise)
            structure = encoder(similarity)
            named = {"q": q, "self_similarity": similarity, "structure": structure}
        else:
            structure = self._encode_by_rows(encoder, q, limit)
            named = {"q": q, "structure": structure}
        return structure, named

    @nn.nowrap
    def _fused(self, fused: Array, features: int) -> Array:
        """What the two layers at the end make of the maps."""
        for layer in range(2):
            fused = self.options.conv(
                features,
                1,
                use_bias=True,
                bias_init=torch_bias_init(fused.shape[-1]),
                name=f"fuse_{layer}",
            )(nn.relu(fused) if layer else fused)
        return fused

    @property
    def _channelwise(self) -> bool:
        return self.config.similarity == "channelwise"

    def _encode_by_rows(self, encoder: SelfSimilarityEncoder, q: Array, limit: int) -> Array:
        """What the encoder makes of the self-similarity, of some rows of the map at a time."""
        batch, height, width, _ = q.shape
        window = self.config.window
        rows = max(1, limit // (batch * width))
        starts = range(0, height, rows)
        padded = _with_border(q, window)
        padded = jnp.pad(padded, ((0, 0), (0, len(starts) * rows - height), (0, 0), (0, 0)))
        blocks = jnp.stack([padded[:, start : start + rows + window - 1] for start in starts])

        def encode(encoder: SelfSimilarityEncoder, carry: None, block: Array) -> tuple[None, Array]:
            return carry, encoder(_self_similarity_inside(block, window, self._channelwise))

        scan = nn.scan(encode, variable_broadcast=("params", "batch_stats"), out_axes=1)
        structure = scan(encoder, None, blocks)[1]  # [b blocks rows w features]
        return structure.reshape(batch, -1, *structure.shape[3:])[:, :height]
