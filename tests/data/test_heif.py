"""Photographs of HEIF (HEIC), which OpenCV does not decode."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from senet_jax.data.transforms import UnreadableImage, decode
from tests.data.pictures import exif, picture

PICTURE = picture(120, 160, seed=3)


pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")


def _content(image, **options):
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95, **options)
    return file.getvalue()


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, -1), (3, 2), (8, 1)])
def test_it_is_upright_and_not_turned_twice(orientation, turns):
    image = Image.fromarray(PICTURE[..., ::-1])
    content = _content(image, exif=b"Exif\0\0" + exif(orientation))
    pixels = decode(content)
    expected = np.rot90(PICTURE, turns)
    assert pixels.dtype == np.uint8 and pixels.shape == expected.shape
    assert abs(pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_transparent_ones_have_three_channels(mode):
    image = Image.fromarray(PICTURE[..., ::-1]).convert(mode)
    expected = np.asarray(image.convert("RGB"))[..., ::-1].astype(int)
    assert abs(decode(_content(image)) - expected).mean() < 3


def test_one_that_is_broken_is_refused_in_a_line():
    content = _content(Image.fromarray(PICTURE))
    for length in range(12, len(content), 97):
        with pytest.raises(UnreadableImage) as refused:
            decode(content[:length])
        assert str(refused.value).isprintable()


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    content = _content(Image.fromarray(PICTURE))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableImage, match=r"which needs pillow-heif; pip install"):
        decode(content)
