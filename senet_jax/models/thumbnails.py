"""Thumbnails of photographs: the mean colours of a grid of cells, less their mean.

So a photograph that is brighter as a whole has nearly the same thumbnail, and its tint counts.
"""

import flax.linen as nn
import jax.numpy as jnp

from senet_jax.models.layers import Array
from senet_jax.models.valid_region import WHOLE, ValidRegion


class Thumbnails(nn.Module):
    """From normalised images to thumbnails as descriptors, which are not of unit length yet.

    Attributes:
        side: how many cells there are along each side of an image.
    """

    side: int

    @nn.compact
    def __call__(
        self, images: Array, region: ValidRegion = WHOLE
    ) -> tuple[Array, dict[str, Array]]:
        """Describes images.

        Args:
            images: float32[b h w 3].
            region: what of them is image and not padding.

        Returns:
            Descriptors, float32[b side*side*3], and the maps on the way: `thumbnail`, float32[b
            side side 3], and `descriptor`.
        """
        sizes = region.sizes
        if sizes is None:
            sizes = jnp.broadcast_to(jnp.array(images.shape[1:3]), (len(images), 2))
        rows = _shares(sizes[:, 0], images.shape[1], self.side)
        columns = _shares(sizes[:, 1], images.shape[2], self.side)
        thumbnail = jnp.einsum("biy,byxc,bjx->bijc", rows, images, columns)
        centred = thumbnail - thumbnail.mean(axis=(1, 2, 3), keepdims=True)
        descriptor = centred.reshape(len(images), -1)
        return descriptor, {"thumbnail": thumbnail, "descriptor": descriptor}


def _shares(lengths: Array, padded: int, cells: int) -> Array:
    """How much each pixel along a side counts in the mean of each cell.

    Args:
        lengths: int32[b], of the images' side.
        padded: of the side that holds them.
        cells: into which each length is divided.

    Returns:
        float32[b cells padded], with sums of 1; a pixel on the border of cells counts in both.
    """
    width = (lengths / cells)[:, None, None]
    starts = width * jnp.arange(cells)[:, None]  # [b cells 1]
    pixels = jnp.arange(padded)
    within = jnp.minimum(pixels + 1, starts + width) - jnp.maximum(pixels, starts)
    return jnp.maximum(within, 0) / width
