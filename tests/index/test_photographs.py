"""The pixels by which a photograph of one's own is described."""

import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.data.sizes import photograph_size
from senet_jax.data.transforms import TooLargeImage, crop, decode, resize
from senet_jax.features.cache import FeatureCache
from senet_jax.features.reader import read_part
from senet_jax.index import photographs as photographs_module
from senet_jax.index.photographs import LONG_SIDE, ShrunkPhotograph, find_photographs
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture, with_claimed_size, with_exif_orientation


def _photograph(folder, content, part=None):
    (folder / "a.jpg").write_bytes(content)
    return ShrunkPhotograph(folder, "a.jpg", part=part)


@pytest.mark.parametrize("shape", [(30, 40), (1024, 700), (1025, 700), (600, 3000), (1, 5000)])
@pytest.mark.parametrize("kind", [".jpg", ".png", "turned"])
def test_the_long_side_is_bounded(tmp_path, shape, kind):
    content = encoded(picture(*shape), ".png" if kind == ".png" else ".jpg")
    content = with_exif_orientation(content, 6) if kind == "turned" else content
    photograph = _photograph(tmp_path, content)
    whole = decode(content)
    pixels = read_part(photograph).pixels
    assert photograph_size(photograph) == pixels.shape[:2]
    assert max(pixels.shape) == min(max(shape), LONG_SIDE)
    factor = min(1, LONG_SIDE / max(whole.shape))
    np.testing.assert_array_equal(pixels, resize(whole, factor))


@pytest.mark.parametrize("kind", [".jpg", ".png", "turned"])
def test_a_part_is_cut_out_before_it_is_shrunk(tmp_path, kind):
    content = encoded(picture(1500, 2500), ".png" if kind == ".png" else ".jpg")
    content = with_exif_orientation(content, 6) if kind == "turned" else content
    for part in ((10, 20, 1210, 1420), (1300, 0, 1400, 50), (100, 100, 9999, 9999)):
        photograph = _photograph(tmp_path, content, part)
        cut = crop(decode(content), part)
        pixels = read_part(photograph).pixels
        assert photograph_size(photograph) == pixels.shape[:2]
        np.testing.assert_array_equal(pixels, resize(cut, min(1, LONG_SIDE / max(cut.shape))))


@pytest.mark.parametrize("part", [None, (700, 300, 9999, 2900)])
@pytest.mark.parametrize("turned", [False, True])
def test_where_pixels_lie_in_the_photograph(tmp_path, part, turned):
    image = np.zeros((3000, 2000, 3), np.uint8)
    image[2000:2012, 1500:1512] = 255  # Around (1505.5, 2005.5), by the centres of pixels.
    stored = encoded(np.rot90(image)) if turned else encoded(image)
    content = with_exif_orientation(stored, 6) if turned else stored
    placed = _photograph(tmp_path, content, part).read_placed()
    assert max(placed.pixels.shape) == LONG_SIDE and placed.step > 2
    y, x = np.argwhere(placed.pixels[..., 0] > 127).mean(axis=0)
    own = (np.array([x, y]) + 0.5) * placed.step - 0.5 + placed.corner
    np.testing.assert_allclose(own, [1505.5, 2005.5], atol=1.5)


def test_views_of_a_file_are_told_apart(tmp_path):
    content = encoded(picture(30, 40))
    photographs = [
        Photograph(tmp_path, "a.jpg"),
        *(_photograph(tmp_path, content, part) for part in (None, (0, 0, 9, 9), (0, 0, 9, 8))),
    ]
    cache = FeatureCache(None, {}, tmp_path / "kept", 1)  # It runs no network.
    assert len(set(map(cache.key, photographs))) == 4


@pytest.mark.parametrize("part", [(50, 0, 60, 9), (5, 5, 5, 9), (-1, 0, 5, 5), (9, 0, 5, 5)])
def test_a_part_outside_of_the_photograph_is_the_users_mistake(tmp_path, part):
    photograph = _photograph(tmp_path, encoded(picture(30, 40)), part)
    for read in (photograph_size, read_part):
        with pytest.raises(UserError, match=r"a\.jpg: the box .* the image is 40x30"):
            read(photograph)


def test_what_the_memory_does_not_suffice_for_is_not_decoded(tmp_path, monkeypatch):
    content = with_claimed_size(encoded(picture(30, 40)), 20_000, 20_000)
    with pytest.raises(TooLargeImage, match=r"a\.jpg has 20000x20000 pixels, the memory"):
        photograph_size(_photograph(tmp_path, content))
    monkeypatch.setattr(photographs_module, "host_memory_bytes", lambda: 2**12)
    with pytest.raises(TooLargeImage, match=r"a\.jpg has 40x30 pixels, the memory suffices for"):
        photograph_size(_photograph(tmp_path, encoded(picture(30, 40))))


def test_only_what_is_named_as_an_image_is_looked_at(tmp_path):
    for name in ("b/c/1.JPG", "a.avif", "b.txt", ".hidden.jpg", "b/2.Heic", "b/3.heif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_photographs(tmp_path)
    assert found.names == ["a.avif", "b/2.Heic", "b/3.heif", "b/c/1.JPG"]
    assert not found.remarks
