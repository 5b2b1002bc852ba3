"""GeM: a trunk whose maps are pooled with a learned power, at several sizes of an image.

Source: the public code of cirtorch. The sizes are made inside of the network, of normalised
pixels, because the descriptors of all of them are pooled before they are whitened.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.models.architecture import Architecture
from senet_jax.models.layers import Array, LayerOptions, blocked_dot, linear_init
from senet_jax.models.pooling import LearnableGeneralisedMean
from senet_jax.models.resnet import Trunk
from senet_jax.models.valid_region import WHOLE, ValidRegion

SCALES = (1.0, 2**-0.5, 0.5)
NORM_EPSILON = 1e-6


class GeM(nn.Module):
    """From normalised images to descriptors, which are not yet of unit length.

    Of the head `whitened` each size's vector is whitened by a layer, and their mean is the
    descriptor. Of the head `projected` vectors are averaged as maps are pooled, with the learned
    power; the unit vector of that, less a mean, is projected. In training there is one size.
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
            float[b h w c] of the images' own size, `pooled` float32[b c] of all sizes,
            `descriptor`.
        """
        is_whitened = self.architecture.head == "whitened"
        trunk = Trunk(self.architecture, self.options, name="trunk")
        pool = LearnableGeneralisedMean(name="pool")
        if is_whitened:
            whiten = self.options.linear(self.architecture.outputs, name="whiten")
        vectors, maps = [], {}
        for scale in SCALES[: 1 if self.options.train else None]:
            resized, inside = (images, region) if scale == 1 else shrink(images, region, scale)
            of_scale, inside = trunk(resized, inside)
            maps = maps or of_scale
            vector = _over_norm(pool(of_scale["s4"], inside))
            vectors.append(_over_norm(whiten(vector)) if is_whitened else vector)
        if is_whitened:
            pooled = descriptor = _mean(vectors)
        else:
            power = pool.variables["params"]["p"]
            pooled = _mean([vector**power for vector in vectors]) ** (1 / power)
            pooled = pooled / jnp.linalg.norm(pooled, axis=-1, keepdims=True)
            descriptor = Projection(self.architecture.outputs, name="projection")(pooled)
        return descriptor, maps | {"pooled": pooled, "descriptor": descriptor}


class Projection(nn.Module):
    """`(v - mean) matrix`, with parameters that are learned apart: float32[b c] -> float32[b d]."""

    features: int

    @nn.compact
    def __call__(self, vectors: Array) -> Array:
        width = vectors.shape[-1]
        mean = self.param("mean", nn.initializers.zeros, (width,))
        matrix = self.param("matrix", linear_init, (width, self.features))
        return blocked_dot(vectors - mean, matrix)


def _mean(vectors: Sequence[Array]) -> Array:
    return jnp.mean(jnp.stack(vectors), axis=0)


def _over_norm(vectors: Array) -> Array:
    return vectors / (jnp.linalg.norm(vectors, axis=-1, keepdims=True) + NORM_EPSILON)


def shrink(images: Array, region: ValidRegion, scale: float) -> tuple[Array, ValidRegion]:
    """Images at a smaller size: bilinear, without antialias, corners not aligned.

    As PyTorch's `interpolate` does it with a `scale_factor`; a side that comes to 0 is 1 here.

    Args:
        images: float32[b h w c].
        region: what of them is image.
        scale: of both sides, below 1.

    Returns:
        float32[b h' w' c] with zeros outside of the image, and its region.
    """
    count, height, width, _ = images.shape
    sizes = region.sizes
    if sizes is None:
        sizes = jnp.broadcast_to(jnp.array([height, width]), (count, 2))
    rows, heights = _interpolation(height, sizes[:, 0], scale)
    columns, widths = _interpolation(width, sizes[:, 1], scale)
    precision = jax.lax.Precision.HIGHEST
    images = jnp.einsum("bph,bhwc->bpwc", rows, images, precision=precision)
    images = jnp.einsum("bqw,bpwc->bpqc", columns, images, precision=precision)
    if region.sizes is None:
        return images, region
    return images, ValidRegion(jnp.stack([heights, widths], axis=1))


def _interpolation(length: int, sides: Array, scale: float) -> tuple[Array, Array]:
    """What each position of a smaller side takes of those of sides that are padded to a length.

    int32[b] -> float32[b p length] and the smaller sides, int32[b].
    """
    # In float64, and so not under jit: what 1024 comes to has to be the same everywhere.
    smaller = np.maximum(np.floor(np.arange(length + 1) * scale), 1).astype(np.int32)
    places = np.arange(smaller[-1])
    source = np.maximum((places + 0.5) / scale - 0.5, 0)
    low = np.floor(source).astype(np.int32)
    part_of_next = (source - low).astype(np.float32)[:, None]
    last = sides[:, None] - 1
    first, second = (jnp.minimum(position, last) for position in (low, low + 1))
    taken = jax.nn.one_hot(first, length) * (1 - part_of_next)
    taken += jax.nn.one_hot(second, length) * part_of_next
    kept = jnp.asarray(smaller)[sides]
    return jnp.where((places < kept[:, None])[..., None], taken, 0), kept
