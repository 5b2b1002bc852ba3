import jax
import numpy as np
import pytest
import torch

from senet_jax.models.registry import build_model
from senet_jax.models.valid_region import WHOLE, ValidRegion
from tests.oracles.lively_twin import (
    architecture_named,
    lively_twin,
    lively_weights,
    maps_of_twin,
    smooth_images,
)
from tests.tolerances import FEW_ROUNDINGS, TIMES_THE_TWIN

SIZES = ((64, 64), (37, 61), (64, 9), (20, 64), (33, 40), (1, 1))


def test_all_is_valid_without_sizes():
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert WHOLE.zero_outside(maps) is maps
    assert WHOLE.strided(2) is WHOLE
    np.testing.assert_allclose(WHOLE.mean(maps), maps.mean(axis=(1, 2)), rtol=0, atol=FEW_ROUNDINGS)


def test_outside_is_zero_and_does_not_count():
    maps = np.random.default_rng(1).normal(size=(3, 4, 5, 2)).astype(np.float32)
    sizes = [(4, 5), (2, 3), (1, 4)]
    region = ValidRegion(np.array(sizes, np.int32))
    expected = np.zeros_like(maps)
    means = []
    for image, (height, width) in enumerate(sizes):
        expected[image, :height, :width] = maps[image, :height, :width]
        means.append(maps[image, :height, :width].mean(axis=(0, 1)))
    np.testing.assert_array_equal(region.zero_outside(maps), expected)
    np.testing.assert_allclose(region.mean(maps), means, rtol=0, atol=FEW_ROUNDINGS)


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_strided_sizes_are_those_of_a_convolution(kernel, stride):
    sides = np.arange(1, 30)
    region = ValidRegion(np.stack([sides, sides[::-1]], axis=1).astype(np.int32))
    outputs = (sides + 2 * (kernel // 2) - kernel) // stride + 1
    np.testing.assert_array_equal(
        region.strided(stride).sizes, np.stack([outputs, outputs[::-1]], axis=1)
    )


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_whole_strides_are_those_of_a_convolution_padded_by_what_the_stride_leaves(kernel, stride):
    sides = np.arange(stride, 30)
    region = ValidRegion(np.stack([sides, sides[::-1]], axis=1).astype(np.int32))
    outputs = (sides + (kernel - stride) - kernel) // stride + 1
    np.testing.assert_array_equal(
        region.whole_strides(stride).sizes, np.stack([outputs, outputs[::-1]], axis=1)
    )
    assert WHOLE.whole_strides(stride) is WHOLE is WHOLE.at_least(32)


OTHER_NETWORKS = (
    *("tiny_direct", "tiny_dot", "tiny_concat", "tiny_fusion", "tiny_baseline"),
    *("tiny_learnable", "tiny_classifier"),
)


@pytest.mark.parametrize(
    "name", ["tiny", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_NETWORKS)]
)
def test_padding_changes_no_descriptor(name):
    """Images of all sizes in one batch, each held against the twin at its own shape."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        images = smooth_images((len(SIZES), 3, 64, 64)).permute(0, 2, 3, 1).numpy()
    region = ValidRegion(np.array(SIZES, np.int32))
    model, weights = build_model(architecture_named(name)), lively_weights(name)
    ours, _ = jax.jit(model.apply)(weights.variables(), region.zero_outside(images), region)
    distances = []  # Of each unit descriptor from float64: ours, the twin's in float32.
    for image, descriptor, (height, width) in zip(images, ours, SIZES, strict=True):
        cut = np.ascontiguousarray(image[None, :height, :width])
        theirs, exact = (
            maps_of_twin(lively_twin(name), cut, dtype)["descriptor"][0]
            for dtype in (torch.float32, torch.float64)
        )
        units = [d / np.linalg.norm(d) for d in (np.asarray(descriptor, float), theirs, exact)]
        distances.append([np.linalg.norm(unit - units[2]) for unit in units[:2]])
    of_ours, of_theirs = np.linalg.norm(distances, axis=0)
    assert of_ours <= TIMES_THE_TWIN * of_theirs
