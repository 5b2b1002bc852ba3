import dataclasses
import math
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from senet_jax.data import augment as augment_module
from senet_jax.data.augment import (
    Augmentation,
    augment,
    augment_file,
    random_crop,
    random_light,
)
from senet_jax.data.transforms import UnreadableImage, decode
from senet_jax.system.errors import UserError

from .pictures import picture

STILL = Augmentation(side=32, area=(1, 1), aspect=(1, 1), flip=False, lighting_sigma=0)


def _rng(seed=0):
    return np.random.default_rng(seed)


def test_nothing_changes_a_square_image_of_the_right_side():
    image = picture(32, 32)
    pixels, light = augment(image, _rng(), STILL)
    assert (pixels.dtype, light.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(pixels, image)
    np.testing.assert_array_equal(light, [0, 0, 0])


def test_crops_are_resized_linearly():
    image = picture(60, 100)
    augmentation = Augmentation(side=32, flip=False, lighting_sigma=0)
    rows, columns = random_crop(60, 100, _rng(), augmentation)
    expected = cv2.resize(image[rows, columns], (32, 32), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(augment(image, _rng(), augmentation)[0], expected)


def _drawn_boxes(height, width, augmentation, count=2000):
    """The tops, bottoms, lefts and rights of many crops."""
    rng = _rng()
    crops = [random_crop(height, width, rng, augmentation) for _ in range(count)]
    return np.array(
        [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in crops]
    ).T


@pytest.mark.parametrize(("height", "width"), [(300, 400), (1024, 768)])
def test_crops_keep_to_image_area_and_aspect(height, width):
    tops, bottoms, lefts, rights = _drawn_boxes(height, width, Augmentation())
    assert (tops.min(), bottoms.max(), lefts.min(), rights.max()) == (0, height, 0, width)
    heights, widths = bottoms - tops, rights - lefts
    shares = heights * widths / (height * width)
    assert 0.078 < shares.min() < 0.1
    assert 0.9 < shares.max() <= 1
    # Sides are whole pixels: half a pixel is 0.6 % of the smallest, about 85.
    assert abs(np.log(widths / heights)).max() < math.log(4 / 3) + 0.012


def test_area_and_aspect_are_drawn_evenly_where_every_crop_fits():
    tops, bottoms, lefts, rights = _drawn_boxes(3000, 4000, Augmentation(area=(0.05, 0.25)))
    heights, widths = bottoms - tops, rights - lefts
    for drawn, low, high in (
        (heights * widths / (3000 * 4000), 0.05, 0.25),
        (np.log(widths / heights), math.log(3 / 4), math.log(4 / 3)),
        (tops / (3000 - heights), 0, 1),
        (lefts / (4000 - widths), 0, 1),
    ):
        counts, _ = np.histogram(drawn, 4, (low, high))
        # 500 each; the standard deviation is sqrt(2000 / 4 * 3 / 4), about 19.
        assert abs(counts - 500).max() < 80


class _Highest:
    """Draws the largest values: of the whole area, as wide as can be."""

    draws = 0

    def uniform(self, low, high):
        self.draws += 1
        return high


@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [
        (10, 1000, (0, 10, 493, 506)),
        (1000, 10, (493, 506, 0, 10)),
        (1, 50, (0, 1, 24, 25)),
        (30, 35, (0, 30, 0, 35)),
    ],
)
def test_after_ten_crops_that_do_not_fit_it_is_the_middle(height, width, crop):
    rng = _Highest()
    rows, columns = random_crop(height, width, rng, Augmentation())
    assert (rows.start, rows.stop, columns.start, columns.stop) == crop
    assert rng.draws == 2 * 10


def test_an_image_of_one_pixel():
    image = picture(1, 1)
    pixels, _ = augment(image, _rng(), Augmentation(32, flip=False, lighting_sigma=0))
    np.testing.assert_array_equal(pixels, np.tile(image, (32, 32, 1)))


def test_every_second_image_is_mirrored():
    image, flipping = picture(32, 32), Augmentation(32, (1, 1), (1, 1), True, 0)
    count = 0
    for seed in range(200):
        pixels, _ = augment(image, _rng(seed), flipping)
        is_mirrored = np.array_equal(pixels, image[:, ::-1])
        assert is_mirrored or np.array_equal(pixels, image)
        count += is_mirrored
    # The standard deviation is 7.
    assert 70 < count < 130
    results = [augment(image, _rng(seed), STILL)[0] for seed in range(20)]
    assert all(np.array_equal(result, image) for result in results)


def test_lighting_against_the_formula_in_rgb():
    """Krizhevsky et al.: to [R G B] is added [p1 p2 p3] [a1 l1, a2 l2, a3 l3]^T."""
    image = picture(32, 32)
    lighting = Augmentation(32, (1, 1), (1, 1), False, 0.1)
    rng = _rng(3)
    random_crop(32, 32, rng, lighting)
    a = rng.normal(0, 0.1, 3)
    red = -0.5675 * a[0] * 0.2175 + 0.7192 * a[1] * 0.0188 + 0.4009 * a[2] * 0.0045
    green = -0.5808 * a[0] * 0.2175 - 0.0045 * a[1] * 0.0188 - 0.8140 * a[2] * 0.0045
    blue = -0.5836 * a[0] * 0.2175 - 0.6948 * a[1] * 0.0188 + 0.4203 * a[2] * 0.0045
    assert len({round(abs(value), 6) for value in (red, green, blue)}) == 3
    pixels, light = augment(image, _rng(3), lighting)
    np.testing.assert_array_equal(pixels, image)
    np.testing.assert_allclose(light, [blue, green, red], rtol=1e-6)


def test_light_has_the_covariance_of_the_components():
    rng = _rng()
    lights = np.stack([random_light(rng, 0.1) for _ in range(20_000)])
    scaled = augment_module.LIGHTING_EIGENVECTORS * augment_module.LIGHTING_EIGENVALUES * 0.1
    np.testing.assert_allclose(lights.mean(0), 0, atol=5e-4)
    # A variance of 20,000 samples is known to 1 % of itself: five of these.
    np.testing.assert_allclose(np.cov(lights.T), scaled @ scaled.T, rtol=0.05)


def test_eigenvectors_are_orthonormal():
    vectors = augment_module.LIGHTING_EIGENVECTORS
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": 0}, "the side of a crop is 0"),
        ({"area": (0, 1)}, r"the area of a crop is \(0, 1\)"),
        ({"area": (0.5, 0.1)}, "the smallest and the largest share"),
        ({"area": (0.5, 1.1)}, "up to 1"),
        ({"aspect": (0, 1)}, r"the aspect of a crop is \(0, 1\)"),
        ({"aspect": (2, 1)}, "the smallest and the largest width"),
        ({"aspect": (1, float("inf"))}, "the aspect of a crop"),
        ({"lighting_sigma": -0.1}, "the sigma of the lighting is -0.1"),
        ({"lighting_sigma": float("nan")}, "the sigma of the lighting is nan"),
    ],
)
def test_wrong_values_are_one_line(change, message):
    with pytest.raises(UserError, match=message):
        Augmentation(**change)


def _jpeg(height, width, orientation=1):
    content = cv2.imencode(".jpg", cv2.GaussianBlur(picture(height, width), (0, 0), 4))[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = orientation
    segment = exif.tobytes()
    return content[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + content[2:]


@pytest.mark.parametrize(("side", "reduction"), [(60, 1), (25, 2), (12, 4), (6, 8)])
@pytest.mark.parametrize(("height", "orientation"), [(208, 1), (208, 3), (208, 6), (203, 1)])
def test_decoding_at_reduced_scale_takes_the_same_crop(
    side, reduction, height, orientation, monkeypatch
):
    content = _jpeg(height, 320, orientation)
    augmentation = Augmentation(side, area=(0.1, 0.11), aspect=(1.0, 1.01))
    asked = []

    def decode_and_note(content, reduction=1):
        asked.append(reduction)
        return decode(content, reduction)

    monkeypatch.setattr(augment_module, "decode", decode_and_note)
    for seed in range(5):
        pixels, light = augment_file(content, _rng(seed), augmentation)
        reduced = dataclasses.replace(augmentation, reduced_decoding=True)
        pixels_reduced, light_reduced = augment_file(content, _rng(seed), reduced)
        np.testing.assert_array_equal(light_reduced, light)
        apart = np.abs(pixels_reduced.astype(float) - pixels).mean()
        # A pixel beside it, of what comes out, is 5 levels away and more.
        a_pixel_away = np.abs(np.diff(pixels.astype(float), axis=0)).mean()
        assert apart == 0 if reduction == 1 else apart < 0.1 * a_pixel_away
    assert asked == [1, reduction] * 5


def test_only_jpegs_are_decoded_at_reduced_scale():
    content = cv2.imencode(".png", picture(200, 300))[1].tobytes()
    augmentation = Augmentation(8)
    reduced = dataclasses.replace(augmentation, reduced_decoding=True)
    ways = [augment_file(content, _rng(), each)[0] for each in (augmentation, reduced)]
    np.testing.assert_array_equal(*ways)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", _jpeg(64, 64)[:-2000]])
def test_what_cannot_be_decoded_is_said_in_both_ways(content):
    for reduced in (False, True):
        with pytest.raises(UnreadableImage):
            augment_file(content, _rng(), Augmentation(8, reduced_decoding=reduced))
