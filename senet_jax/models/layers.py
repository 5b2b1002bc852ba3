"""What all networks are made of, and how the authors initialise it."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array

BATCH_NORM_EPSILON = 1e-5

# N(0, sqrt(2 / (k * k * out))): every 2-D convolution of the authors' code.
conv_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default, kept by the offset convolutions.
torch_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
linear_init = nn.initializers.normal(0.01)
# Into how many blocks the sums of the last layer are divided, at most; a power of two.
SUM_BLOCKS = 64


def torch_bias_init(fan_in: int) -> nn.initializers.Initializer:
    """PyTorch's default for the bias of a layer with `fan_in` inputs to each output."""
    bound = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


@dataclasses.dataclass(frozen=True)
class LayerOptions:
    """What every layer of a network shares.

    Attributes:
        dtype: of the arithmetic; parameters and batch statistics are float32, and so are norms
            and powers.
        train: whether batch norm uses (and updates) the statistics of the batch.
        axis_name: the mapped axis over which batch statistics are averaged, if any.
        zero_last_gamma: start each residual block as the identity.
        descriptor_norm: follow the last layer by a batch norm, which keeps descriptors from
            collapsing into one when nothing is learned yet. See
            `senet.without_descriptor_norm`.
        folded: batch norms stand in the layers before them, which all have a bias for it; see
            `inference.fold_batch_norms`.
        separate_blocks: compile each residual block separately; for inference only.
        fast_blocks: compute the 3x3 convolutions of residual blocks by Winograd's algorithm.
        fast_offsets: compute the convolutions over the window's offsets by Winograd's algorithm.
        positions_per_part: for how many positions of the maps of a batch self-similarities are
            held together, None for all of them; for inference only.
        grouped: compute depthwise convolutions as grouped ones, as other compilers than XLA's for
            CPUs do best.
        remat: under differentiation, compute what is inside of residual blocks and of the
            self-similarity module again instead of keeping it.
        from_maps: take maps of the trunk in place of images, and have no trunk; where the family
            says which, see `Family.trunk_maps`.
    """

    dtype: Any = jnp.float32
    train: bool = False
    axis_name: str | None = None
    zero_last_gamma: bool = False
    descriptor_norm: bool = False
    folded: bool = False
    separate_blocks: bool = False
    fast_blocks: bool = False
    fast_offsets: bool = False
    positions_per_part: int | None = None
    grouped: bool = False
    remat: bool = False
    from_maps: bool = False

    def block(self, module: type[nn.Module]) -> type[nn.Module]:
        """The class of a part whose inside is not kept if `remat` says so."""
        return nn.remat(module) if self.remat else module

    def conv(self, features: int, kernel: int, stride: int = 1, **options) -> nn.Conv:
        """A convolution with PyTorch's symmetric padding, without bias unless told otherwise."""
        defaults = {
            "padding": kernel // 2,
            "use_bias": self.folded,
            "kernel_init": conv_init,
            "dtype": self.dtype,
        }
        return nn.Conv(features, (kernel, kernel), stride, **(defaults | options))

    def linear(self, features: int, *, name: str) -> nn.Dense:
        """A last layer, in float32; for inference its sums are more precise."""
        form: dict[str, Any] = {} if self.train else {"dot_general": blocked_dot}
        return nn.Dense(features, kernel_init=linear_init, name=name, **form)

    def batch_norm(
        self,
        *,
        last_of_block: bool = False,
        epsilon: float = BATCH_NORM_EPSILON,
        name: str | None = None,
    ) -> Callable[[Array], Array]:
        """Batch norm with PyTorch's momentum of 0.1 (Flax counts it as 0.9).

        Flax keeps the biased variance of a batch in the running one, PyTorch the unbiased.
        Nothing happens where norms are folded.
        """
        if self.folded:
            return lambda maps: maps
        zero = last_of_block and self.zero_last_gamma
        return nn.BatchNorm(
            use_running_average=not self.train,
            momentum=0.9,
            epsilon=epsilon,
            dtype=self.dtype,
            axis_name=self.axis_name,
            # The mean of squares minus the square of the mean would lose half of the digits.
            use_fast_variance=False,
            scale_init=nn.initializers.zeros if zero else nn.initializers.ones,
            name=name,
        )


def blocked_dot(inputs: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """A product of matrices whose sums are added up in blocks, and the blocks in pairs.

    A sum of n numbers is rounded n times; here no number goes through more than n / 64 + 6 of
    these roundings. It can stand in place of `jax.lax.dot_general` in `flax.linen.Dense`.

    Args:
        inputs: float32[... n].
        kernel: float32[n d].

    Returns:
        float32[... d].
    """
    count, features = kernel.shape
    blocks = math.gcd(count, SUM_BLOCKS)
    inputs = inputs.reshape(*inputs.shape[:-1], blocks, -1)
    kernel = kernel.reshape(blocks, -1, features)
    sums = jnp.einsum("...kn,knd->k...d", inputs, kernel, precision=jax.lax.Precision.HIGHEST)
    # In place of a `jnp.sum` XLA may compute the product without blocks.
    while len(sums) > 1:
        sums = sums[::2] + sums[1::2]
    return sums[0]


def l2_normalise(values: Array, epsilon: float = 1e-12) -> Array:
    """Divides by the Euclidean norm over the last axis, or by `epsilon` where that is larger.

    As PyTorch's `normalize`; the gradient is finite at zero. float32[... c] -> float32[... c].
    """
    values = values.astype(jnp.float32)
    square = jnp.sum(values * values, axis=-1, keepdims=True)
    return values / jnp.sqrt(jnp.maximum(square, epsilon**2))
