import struct
import zlib

import cv2
import numpy as np
import pytest

from senet_jax.data import transforms
from senet_jax.data.transforms import UnreadableImage
from senet_jax.system.errors import UserError

from .pictures import (
    MINIPHOTOS,
    encoded,
    needs_miniphotos,
    picture,
    with_exif_orientation,
    with_segment,
)

SCALES = (0.7071, 1.0, 1.4142)


def _assert_decodes_as_imread(tmp_path, content):
    path = tmp_path / "image"
    path.write_bytes(content)
    decoded = transforms.decode(content)
    assert decoded.dtype == np.uint8
    assert decoded.ndim == 3
    assert decoded.shape[2] == 3
    np.testing.assert_array_equal(decoded, cv2.imread(str(path)))
    return decoded


UPRIGHT = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: image.transpose(1, 0, 2)[:, ::-1],
    7: lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda image: image.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_decoding_applies_the_exif_orientation(tmp_path, orientation):
    jpeg = encoded(picture(24, 40))
    decoded = _assert_decodes_as_imread(tmp_path, with_exif_orientation(jpeg, orientation))
    np.testing.assert_array_equal(decoded, UPRIGHT[orientation](transforms.decode(jpeg)))


def test_decoding_alpha_gray_and_sixteen_bits(tmp_path):
    image = picture(24, 40)
    alpha = np.concatenate([image, image[..., :1]], axis=2)
    np.testing.assert_array_equal(
        _assert_decodes_as_imread(tmp_path, encoded(alpha, ".png")), image
    )
    gray = np.repeat(image[..., :1], 3, axis=2)
    decoded = _assert_decodes_as_imread(tmp_path, encoded(image[..., 0], ".png"))
    np.testing.assert_array_equal(decoded, gray)
    _assert_decodes_as_imread(tmp_path, encoded(image[..., 0], ".jpg"))
    deep = image.astype(np.uint16) * 257
    np.testing.assert_array_equal(_assert_decodes_as_imread(tmp_path, encoded(deep, ".png")), image)


@needs_miniphotos
def test_decoding_photographs():
    paths = sorted((MINIPHOTOS / "jpg").iterdir())[::6]
    for path in paths:
        decoded = transforms.decode(path.read_bytes())
        np.testing.assert_array_equal(decoded, cv2.imread(str(path)))
    assert paths


JPEGS = {
    "baseline": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarted": (cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_is_cut_short_is_what_imread_makes_of_it(tmp_path, kind):
    """Wherever it ends: in the pixels, in a marker, or in a segment of a progressive one."""
    content = cv2.imencode(".jpg", picture(60, 80), JPEGS[kind])[1].tobytes()
    path = tmp_path / "image.jpg"
    read = 0
    for kept in {*range(len(content) - 4, len(content)), *range(600, len(content), 19)}:
        path.write_bytes(content[:kept])
        expected = cv2.imread(str(path))
        if expected is None:
            with pytest.raises(UnreadableImage, match="cut short"):
                transforms.decode(content[:kept])
        else:
            read += 1
            decoded, is_whole = transforms.decode_in_full(content[:kept])
            np.testing.assert_array_equal(decoded, expected)
            assert not is_whole
    assert read > 20
    assert transforms.decode_in_full(content)[1]


def test_the_end_of_a_jpeg_is_that_of_its_pixels():
    """Not that of the preview in its EXIF; and what stands behind it is no fault."""
    content = with_segment(encoded(picture(60, 80)), b"Exif\0\0" + encoded(picture(6, 8)))
    assert transforms.decode_in_full(content)[1]
    assert transforms.decode_in_full(content + b"of the camera")[1]
    assert not transforms.decode_in_full(content[:-2])[1]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".bmp"])
def test_other_images_that_are_cut_short_are_unreadable(tmp_path, suffix):
    content = encoded(picture(60, 80), suffix)
    (tmp_path / "image").write_bytes(content[:-100])
    assert cv2.imread(str(tmp_path / "image")) is None
    with pytest.raises(UnreadableImage, match="cut short"):
        transforms.decode(content[:-100])


def test_no_image_is_unreadable():
    with pytest.raises(UnreadableImage, match="empty"):
        transforms.decode(b"")
    with pytest.raises(UnreadableImage, match="29 bytes are no image"):
        transforms.decode(b"this is text, not a picture.\n")


def test_decompression_bomb_is_unreadable():
    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))
    with pytest.raises(UnreadableImage, match="OpenCV refuses it"):
        transforms.decode(bomb)


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 40, 24),
        (3, 5, 9, 7),
        (3.9, 5.2, 9.9, 7.1),
        (-0.9, 0, 9, 7),
        (39, 23, 40, 24),
        (30, 20, 41, 24.5),
        (0, 0, 1e9, 1e9),
    ],
)
@pytest.mark.parametrize("kind", [tuple, np.array])
def test_crop_is_the_slice(box, kind):
    image = picture(24, 40)
    x1, y1, x2, y2 = box
    cropped = transforms.crop(image, kind(box))
    np.testing.assert_array_equal(cropped, image[int(y1) : int(y2), int(x1) : int(x2)])
    assert cropped.size


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((3, 5, 3, 7), "empty"),
        ((3, 5, 9, 5), "empty"),
        ((3.1, 5, 3.9, 7), "empty"),
        ((9, 5, 3, 7), "inverted"),
        ((3, 7, 9, 5), "inverted"),
        ((-1, 5, 9, 7), "negative"),
        ((3, -5, 9, -1), "negative"),
        ((40, 5, 50, 7), "outside"),
        ((3, 24, 9, 30), "outside"),
    ],
)
def test_wrong_box_is_an_error(box, fault):
    with pytest.raises(UserError, match=f"is {fault}, the image is 40x24"):
        transforms.crop(picture(24, 40), box)


@pytest.mark.parametrize("scale", [*SCALES, 0.5, 0.25, 2.5])
def test_resized_shape_is_what_opencv_gives(scale):
    """Every side up to 2,048, as height and as width; .25, .5 and 2.5 meet halves."""
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    for side in range(1, 2049):
        expected = transforms.resized_shape(side, 10, scale)
        assert expected == transforms.resized_shape(10, side, scale)[::-1]
        if side * scale <= 0.5:
            with pytest.raises(cv2.error):
                cv2.resize(np.zeros((side, 10), np.uint8), None, fx=scale, fy=scale)
            assert expected[0] == 1
            continue
        for shape in (side, 10), (10, side):
            resized = cv2.resize(
                np.zeros(shape, np.uint8), None, fx=scale, fy=scale, interpolation=interpolation
            )
            assert resized.shape == transforms.resized_shape(*shape, scale)


def test_resizing_gives_the_resized_shape():
    for scale in (*SCALES, 0.1, 0.5):
        for shape in [(1, 1), (1, 2), (3, 1), (1, 100), (57, 91)]:
            resized = transforms.resize(picture(*shape), scale)
            assert resized.shape == (*transforms.resized_shape(*shape, scale), 3)
            assert resized.dtype == np.uint8


def test_a_single_pixel_keeps_its_colour():
    pixel = np.array([[[10, 20, 250]]], np.uint8)
    for scale in SCALES:
        np.testing.assert_array_equal(transforms.resize(pixel, scale), pixel)


def test_resizing_is_by_factor_and_not_by_size():
    """By size OpenCV takes 544/385 for 1.4142 and samples elsewhere: most of the pixels differ."""
    noise = np.random.default_rng(0).integers(0, 256, (385, 513, 3), np.uint8)
    for scale, interpolation in ((0.7071, cv2.INTER_AREA), (1.4142, cv2.INTER_LINEAR)):
        resized = transforms.resize(noise, scale)
        by_factor = cv2.resize(noise, None, fx=scale, fy=scale, interpolation=interpolation)
        np.testing.assert_array_equal(resized, by_factor)
        by_size = cv2.resize(noise, resized.shape[1::-1], interpolation=interpolation)
        assert by_size.shape == resized.shape
        assert (by_size != resized).mean() > 0.5
    assert transforms.resize(noise, 1.0) is noise
