import jax
import numpy as np
import pytest

from senet_jax.models.convolutions import (
    _winograd_matrices,
    conv_as_product,
    depthwise_conv,
    paired_conv,
    winograd_conv,
    winograd_same_conv,
)
from tests.tolerances import FEW_ROUNDINGS, FLOAT32_EPSILON, ROUNDING


def _convolution(maps, kernel, stride):
    """By its definition, in float64, without padding."""
    maps, kernel = maps.astype(np.float64), kernel.astype(np.float64)
    side = len(kernel)
    height, width = ((length - side) // stride + 1 for length in maps.shape[1:3])
    outputs = np.zeros((len(maps), height, width, kernel.shape[-1]))
    for row, column in np.ndindex(height, width):
        top, left = stride * row, stride * column
        window = maps[:, top : top + side, left : left + side]
        outputs[:, row, column] = np.einsum("bhwc,hwcd->bd", window, kernel)
    return outputs


def _random(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("side", [3, 4, 5, 6, 7])
def test_winograd_equals_the_convolution(side):
    maps, kernel = _random(6, side, side, 8, seed=2), _random(3, 3, 8, 5, seed=3)
    expected = _convolution(maps, kernel, stride=1)
    # The values at the points are larger than what they cancel to, and so are their roundings.
    to_inputs, to_kernel, to_outputs = map(np.abs, _winograd_matrices(side))
    bar = FEW_ROUNDINGS * np.einsum(
        "ot,ts,psc,tk,kcd->pod",
        *(to_outputs, to_inputs, np.abs(maps).reshape(6, -1, 8)),
        *(to_kernel, np.abs(kernel).reshape(9, 8, 5)),
        optimize=True,
    )
    ours = winograd_conv(maps, kernel)
    assert ours.shape == expected.shape == (6, side - 2, side - 2, 5)
    assert ours.dtype == np.float32
    assert (np.abs(ours - expected) <= bar.reshape(expected.shape)).all()


@pytest.mark.parametrize("side", [3, 4, 5, 6, 7])
def test_the_matrices_of_winograd_give_each_product_its_place(side):
    """Input s times kernel k counts once for the output that lies k before s, else not at all."""
    inputs, kernel, outputs = (matrix.astype(np.float64) for matrix in _winograd_matrices(side))
    ours = np.einsum("ot,ts,tk->osk", outputs, inputs, kernel)
    expected = np.zeros((side - 2, side - 2, side, side, 3, 3))
    for y, x, v, u in np.ndindex(side - 2, side - 2, 3, 3):
        expected[y, x, y + v, x + u, v, u] = 1
    # Each entry of the matrices is rounded once.
    bar = 3 * FLOAT32_EPSILON * np.einsum("ot,ts,tk->osk", *map(np.abs, (outputs, inputs, kernel)))
    assert (np.abs(ours - expected.reshape(ours.shape)) <= bar).all()
    assert bar.max() < 0.01


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 6), (2, 3), (7, 7), (8, 8), (13, 20), (20, 13)]
)
def test_a_convolution_in_tiles_is_that_of_the_whole(height, width):
    maps, kernel = _random(2, height, width, 8, seed=4), _random(3, 3, 8, 5, seed=5)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = _convolution(padded, kernel, stride=1)
    # An input is the sum of up to four, of the tile and not of the window alone; so is an output.
    around = np.pad(np.abs(padded), ((0, 0), (1, 1), (1, 1), (0, 0)))
    bar = 16 * FEW_ROUNDINGS * _convolution(around, np.ones((5, 5, 8, 5)) * np.abs(kernel).max(), 1)
    ours = winograd_same_conv(maps, kernel)
    assert ours.shape == expected.shape
    assert ours.dtype == np.float32
    assert (np.abs(ours - expected) <= bar).all()
    assert bar.max() < 0.01


@pytest.mark.parametrize(
    ("side", "stride", "padding"),
    [(3, 1, (1, 1)), (3, 2, (0, 1)), (5, 1, (2, 2)), (5, 2, (1, 2)), (5, 3, (0, 0))],
)
@pytest.mark.parametrize("shape", [(9, 12), (8, 7)])
def test_depthwise_equals_the_convolution_of_each_channel(side, stride, padding, shape):
    maps, kernel = _random(2, *shape, 6, seed=0), _random(side, side, 1, 6, seed=1)
    padded = np.pad(maps, ((0, 0), padding, padding, (0, 0)))
    expected, bar = (
        np.concatenate(
            [
                _convolution(form(padded[..., c : c + 1]), form(kernel[..., c : c + 1]), stride)
                for c in range(6)
            ],
            axis=-1,
        )
        for form in (np.asarray, np.abs)
    )
    convolve = jax.jit(depthwise_conv, static_argnums=(2, 3))
    ours = convolve(maps, kernel, (stride, stride), (padding, padding))
    assert ours.shape == expected.shape and ours.dtype == np.float32
    assert (np.abs(ours - expected) <= side**2 * ROUNDING * bar).all()


@pytest.mark.parametrize("form", [paired_conv, conv_as_product])
@pytest.mark.parametrize(("side", "stride"), [(5, 2), (3, 1), (3, 2)])
@pytest.mark.parametrize("shape", [(4, 8), (5, 7), (1, 6), (3, 1)])
def test_forms_for_few_channels_equal_the_convolution(form, side, stride, shape):
    maps, kernel = _random(2, *shape, 3, seed=4), _random(side, side, 3, 5, seed=5)
    around = (side // 2, side // 2)
    padded = np.pad(maps, [(0, 0), around, around, (0, 0)])
    expected = _convolution(padded, kernel, stride)
    ours = form(maps, kernel, (stride, stride), (around, around))
    assert ours.shape == expected.shape
    bar = FEW_ROUNDINGS * _convolution(np.abs(padded), np.abs(kernel), stride)
    assert (np.abs(ours - expected) <= bar).all()
