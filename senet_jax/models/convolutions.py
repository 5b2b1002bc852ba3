"""Convolutions of one shape in cheaper forms.

Each can stand in place of `jax.lax.conv_general_dilated` in `flax.linen.Conv`: kernels keep their
shape, and the result is the same but for rounding.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import polynomial

Array = jax.Array

# Where the polynomials of a Winograd convolution are evaluated, besides at infinity: of those
# tried, the ones with the smallest error.
_POINTS = (0, 1, -1, 0.5, -2, 2)


def depthwise_conv(
    maps: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *_: Any,
    **__: Any,
) -> Array:
    """A convolution of each channel with a kernel of its own, as a sum over the kernel's positions.

    On two cores it takes a third to a twelfth of the time of XLA's own grouped convolutions.

    Args:
        maps: float[b h w c].
        kernel: float[u v 1 c].
        strides: along both sides.
        padding: by zeros before and after, along both sides.

    Returns:
        float[b p q c].
    """
    maps = jnp.pad(maps, ((0, 0), *padding, (0, 0)))
    (rows, columns), (height, width) = strides, kernel.shape[:2]
    below, right = maps.shape[1] - height + 1, maps.shape[2] - width + 1
    terms = (
        maps[:, row : row + below : rows, column : column + right : columns] * kernel[row, column]
        for row, column in np.ndindex(height, width)
    )
    return functools.reduce(operator.add, terms)


def paired_conv(
    maps: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **__: Any,
) -> Array:
    """A convolution with few outputs: those of two neighbouring columns at once.

    XLA on CPUs gathers what a product of matrices takes, which costs more than a product with few
    columns. Here it gathers for half as many positions, and each takes one or two columns more.

    Args:
        maps: float[b h w c].
        kernel: float[u v c d].
        strides: along both sides.
        padding: by zeros before and after, along both sides.

    Returns:
        float[b p q d].
    """
    (down, right), (rows, (before, after)) = strides, padding
    _, width, _, outputs = kernel.shape
    columns = (maps.shape[2] + before + after - width) // right + 1
    both = [jnp.pad(kernel, ((0, 0), sides, (0, 0), (0, 0))) for sides in ((0, right), (right, 0))]
    pairs = jax.lax.conv_general_dilated(
        maps,
        jnp.concatenate(both, axis=-1),
        (down, 2 * right),
        (rows, (before, after + columns % 2 * right)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return pairs.reshape(*pairs.shape[:2], -1, outputs)[:, :, :columns]


def conv_as_product(
    maps: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **__: Any,
) -> Array:
    """A convolution of small maps as one product of matrices, zeros of the kernel included.

    XLA on CPUs is slow where a batch has very many small maps of few channels, and slower still at
    the gradient of the kernel.

    Args:
        maps: float[b h w c].
        kernel: float[u v c d].
        strides: along both sides.
        padding: by zeros before and after, along both sides.

    Returns:
        float[b p q d].
    """
    axes = zip(maps.shape[1:3], kernel.shape[:2], strides, padding, strict=True)
    takes = [_taken(*axis) for axis in axes]
    matrix = jnp.einsum("hpu,wqv,uvcd->hwcpqd", *takes, kernel)
    size = matrix.shape[:3]
    products = maps.reshape(len(maps), -1) @ matrix.reshape(np.prod(size), -1)
    return products.reshape(len(maps), *matrix.shape[3:])


def _taken(side: int, width: int, stride: int, padding: tuple[int, int]) -> np.ndarray:
    """Which place an output takes at a position of the kernel: float32[side outputs width]."""
    before, after = padding
    outputs = (side + before + after - width) // stride + 1
    places = np.arange(outputs)[:, None] * stride + np.arange(width) - before
    return (np.arange(side)[:, None, None] == places).astype(np.float32)


def winograd_same_conv(maps: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """A 3x3 convolution with stride 1 and padding 1, in tiles of 2x2: F(2, 3) of Winograd.

    A tile takes 16 products a channel pair in place of 36. Larger tiles would take fewer, and lose
    more digits.

    Args:
        maps: float[b h w c].
        kernel: float[3 3 c d].

    Returns:
        float[b h w d].
    """
    batch, height, width, channels = maps.shape
    rows, columns = -(-height // 2), -(-width // 2)
    padded = jnp.pad(maps, ((0, 0), (1, 1 + height % 2), (1, 1 + width % 2), (0, 0)))
    inputs = _tile_inputs(_tile_inputs(padded, rows, axis=1), columns, axis=3)
    both = np.kron(_TILE_KERNEL, _TILE_KERNEL).reshape(4, 4, 9).swapaxes(0, 1)
    weights = jnp.dot(both.reshape(16, 9), kernel.reshape(9, -1)).reshape(16, channels, -1)
    products = jax.lax.batch_matmul(inputs.reshape(16, -1, channels), weights)
    products = products.reshape(4, 4, batch, rows, columns, -1)
    outputs = _tile_outputs(_tile_outputs(products).swapaxes(0, 1))  # [2 2 b rows columns d]
    outputs = outputs.transpose(2, 3, 0, 4, 1, 5).reshape(batch, 2 * rows, 2 * columns, -1)
    return outputs[:, :height, :width]


_TILE_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)


def _tile_inputs(maps: Array, tiles: int, axis: int) -> Array:
    """Tiles of 4, every 2, along one axis, transformed: float[...] -> float[4 ...]."""
    first, second, third, fourth = (
        jax.lax.slice_in_dim(maps, place, place + 2 * tiles - 1, 2, axis) for place in range(4)
    )
    return jnp.stack([first - third, second + third, third - second, second - fourth])


def _tile_outputs(products: Array) -> Array:
    """The transform back, along the first axis: float[4 ...] -> float[2 ...]."""
    first, second, third, fourth = products
    return jnp.stack([first + second + third, second - third - fourth])


def winograd_conv(maps: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """A valid 3x3 convolution over small grids, each in one piece: F(n - 2, 3) of Winograd.

    A grid of 7x7 takes 49 products a channel pair in place of 225.

    Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016).

    Args:
        maps: float[b n n c] with n from 3 to 7.
        kernel: float[3 3 c d].

    Returns:
        float[b n-2 n-2 d].
    """
    count, side, channels = maps.shape[0], maps.shape[1], maps.shape[3]
    if side == 3:
        products = jnp.dot(maps.reshape(count, -1), kernel.reshape(9 * channels, -1))
        return products[:, None, None]
    to_inputs, to_kernel, to_outputs = _winograd_matrices(side)
    # Positions first: each transform is one product of matrices, and so is each position.
    inputs = maps.reshape(count, side**2, channels).transpose(1, 0, 2).reshape(side**2, -1)
    inputs = jnp.dot(to_inputs, inputs).reshape(side**2, count, channels)
    weights = jnp.dot(to_kernel, kernel.reshape(9, -1)).reshape(side**2, channels, -1)
    products = jax.lax.batch_matmul(inputs, weights)
    outputs = jnp.dot(to_outputs, products.reshape(side**2, -1)).reshape(-1, count, kernel.shape[3])
    return outputs.transpose(1, 0, 2).reshape(count, side - 2, side - 2, -1)


@functools.cache
def _winograd_matrices(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For a grid of `n x n`: float32[n^2 n^2], float32[n^2 9], float32[(n-2)^2 n^2].

    A convolution is a product of polynomials transposed, and a product of polynomials is one of
    their values (Toom and Cook): at n - 1 points, and at infinity that of the leading terms.
    """
    points = _POINTS[: side - 1]
    inputs, kernel = np.zeros((side, side)), np.zeros((side, 3))
    outputs = np.zeros((side - 2, side))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        inputs[row, :-1] = polynomial.polyfromroots(others)
        kernel[row] = point ** np.arange(3.0) / np.prod(np.subtract(point, others))
        outputs[:, row] = point ** np.arange(side - 2.0)
    inputs[-1] = polynomial.polyfromroots(points)
    kernel[-1, -1] = outputs[-1, -1] = 1
    both = [np.kron(matrix, matrix).astype(np.float32) for matrix in (inputs, kernel, outputs)]
    return both[0], both[1], both[2]
