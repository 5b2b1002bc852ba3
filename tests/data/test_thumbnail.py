"""Photographs shrunk as Pillow does it."""

import itertools

import cv2
import numpy as np
import pytest
from PIL import Image

from senet_jax.data.revisitop import Photograph
from senet_jax.data.sizes import photograph_size
from senet_jax.data.thumbnail import thumbnail, thumbnail_size
from senet_jax.features.reader import read_part
from tests.data.pictures import picture


@pytest.mark.parametrize("side", [1, 24, 39.7, 57, 200])
@pytest.mark.parametrize("size", [(57, 76), (76, 57), (60, 60), (3, 170)])
def test_pixels_are_those_of_pillow(size, side):
    image = picture(*size, 1)
    wanted = Image.fromarray(image)
    wanted.thumbnail((side, side), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(thumbnail(image, side), np.asarray(wanted))


def test_all_sizes_are_those_of_pillow():
    for height, width in itertools.product(range(40, 61), repeat=2):
        image = Image.new("L", (width, height))
        image.thumbnail((37, 37), Image.Resampling.NEAREST)
        assert thumbnail_size(height, width, 37) == image.size[::-1]


@pytest.mark.parametrize("box", [None, (10, 4, 50.7, 40)])
def test_a_query_is_cut_out_and_then_shrunk_as_much_as_its_photograph(tmp_path, box):
    image = picture(57, 76, 2)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    photograph = Photograph(tmp_path, "a.png", box, long_side=38)
    cut = image if box is None else image[4:40, 10:50]
    wanted = Image.fromarray(cut)
    side = 38 * max(wanted.size) / 76
    wanted.thumbnail((side, side), Image.Resampling.LANCZOS)
    part = read_part(photograph)
    np.testing.assert_array_equal(part.pixels, np.asarray(wanted))
    assert part.step == 2
    assert part.corner == ((0, 0) if box is None else (10, 4))
    assert photograph_size(photograph) == part.pixels.shape[:2]
