import jax
import numpy as np
import pytest

from senet_jax.convert.sources import read_source
from senet_jax.features.keypoints import KeypointNetwork
from senet_jax.models.disk import strongest_maxima
from senet_jax.models.inference import transpose
from senet_jax.models.valid_region import WHOLE, ValidRegion
from tests.oracles.keypoints import COUNT, DESCRIBED, FIXTURE, needs_lightglue, pair
from tests.tolerances import TIMES_THE_TWIN


def _maxima(heat, count):
    """One after the other, as the definition has it."""
    found = []
    for row in range(2, heat.shape[0] - 2):
        for column in range(2, heat.shape[1] - 2):
            window = heat[row - 2 : row + 3, column - 2 : column + 3]
            if heat[row, column] > 0 and np.count_nonzero(window >= heat[row, column]) == 1:
                found.append((-heat[row, column], row, column))
    return sorted(found)[:count]


@pytest.mark.parametrize("count", [3, 50])
def test_keypoints_are_strict_maxima_whose_window_is_in_the_image(count):
    heat = np.random.default_rng(0).integers(-99, 99, (2, 17, 22)).astype(np.float32)
    heat[0, 5, 6] = heat[0, 5, 8] = 200  # Two that are equal are none.
    sizes = np.array([[17, 22], [12, 15]])
    positions, scores = map(np.asarray, strongest_maxima(heat, ValidRegion(sizes), count))
    for image, (height, width) in enumerate(sizes):
        expected = _maxima(heat[image, :height, :width], count)
        there = np.isfinite(scores[image])
        found = zip(-scores[image][there], *positions[image][there].T, strict=True)
        assert [tuple(each) for each in found] == expected and len(expected) > 1


@pytest.fixture(scope="module")
def network():
    weights, _ = read_source("pretrained:disk")
    network = KeypointNetwork(weights.architecture, weights.preprocessing)
    return weights.variables(), jax.jit(network.function())


def _found(network, image, form):
    """Positions, scores and descriptors of an image, by itself or in a larger shape."""
    variables, function = network
    height, width = image.shape[:2]
    if form == "whole":
        return function(variables, image[None], WHOLE, ())
    padded = np.zeros((1, 184, 240, 3), np.uint8)
    padded[0, :height, :width] = image
    sizes = np.array([[height, width]], np.int32)
    if form == "padded":
        return function(variables, padded, ValidRegion(sizes), ())
    return function(transpose(variables), padded.swapaxes(1, 2), ValidRegion(sizes[:, ::-1]), ())


@needs_lightglue
@pytest.mark.parametrize("form", ["whole", "padded", pytest.param("lying", marks=pytest.mark.slow)])
def test_the_package_finds_the_same(network, form):
    theirs = np.load(FIXTURE)
    for name, image in zip("ab", pair(), strict=True):
        found = _found(network, image, form)
        own = np.asarray(found.positions)[0, :COUNT]
        points = (own if form == "lying" else own[:, ::-1]).tolist()
        place = {tuple(point): index for index, point in enumerate(points)}

        def in_order_of(bits, name=name, place=place):
            return [place[tuple(point)] for point in theirs[f"points_{name}_{bits}"].tolist()]

        assert sorted(in_order_of(32)) == sorted(in_order_of(64)) == list(range(COUNT))
        for key, values, count in (
            ("scores", np.asarray(found.scores)[0], COUNT),
            ("descriptors", np.asarray(found.descriptors)[0], DESCRIBED),
        ):
            of_package, truth = (theirs[f"{key}_{name}_{bits}"] for bits in (32, 64))
            bar = TIMES_THE_TWIN * np.linalg.norm(of_package - truth)
            assert np.linalg.norm(values[in_order_of(64)[:count]] - truth) <= bar, (key, name)
