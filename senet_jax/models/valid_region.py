"""Images of any size in one program: padded to a common shape, exact by masks inside the network.

A convolution at the edge of an image sees zeros beyond it. Where the image is padded, the network
would see what earlier layers made of the padding instead. So everything outside of an image's valid
region is set to zero again before each layer that looks beyond a position, and pooling leaves it
out; every descriptor is then that of the image alone.
"""

import flax.struct
import jax
import jax.numpy as jnp

Array = jax.Array


class ValidRegion(flax.struct.PyTreeNode):
    """Which part of each map of a batch belongs to its image: the upper left one.

    Attributes:
        sizes: int32[b 2], height and width of each image's part, or None where maps are all valid.
    """

    sizes: Array | None = None

    def strided(self, stride: int) -> "ValidRegion":
        """The region after a layer with this stride and padding of half its kernel."""
        return self if self.sizes is None else ValidRegion(-(-self.sizes // stride))

    def whole_strides(self, stride: int) -> "ValidRegion":
        """The region after a layer with this stride and padding of its kernel less the stride."""
        return self if self.sizes is None else ValidRegion(self.sizes // stride)

    def at_least(self, side: int) -> "ValidRegion":
        """The region of images whose smaller sides are filled up to this one."""
        return self if self.sizes is None else ValidRegion(jnp.maximum(self.sizes, side))

    def zero_outside(self, maps: Array) -> Array:
        """Maps with zeros outside: float[b h w c] -> the same."""
        if self.sizes is None:
            return maps
        return jnp.where(positions_inside(self.sizes, *maps.shape[1:3])[..., None], maps, 0)

    def mean(self, maps: Array) -> Array:
        """The mean over the valid positions: float[b h w c] -> float[b c]."""
        if self.sizes is None:
            return jnp.mean(maps, axis=(1, 2))
        count = jnp.prod(self.sizes, axis=1)[:, None].astype(maps.dtype)
        return jnp.sum(self.zero_outside(maps), axis=(1, 2)) / count


def positions_inside(sizes: Array, height: int, width: int) -> Array:
    """Which positions of maps are within the sizes: int32[b 2] -> bool[b h w]."""
    rows = jnp.arange(height) < sizes[:, :1]  # [b h]
    columns = jnp.arange(width) < sizes[:, 1:]  # [b w]
    return rows[:, :, None] & columns[:, None, :]


WHOLE = ValidRegion()
"""The region of maps without padding."""
