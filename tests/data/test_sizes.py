import io
import os
import pathlib
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from senet_jax.data import revisitop
from senet_jax.data.folders import IMAGE_SUFFIXES
from senet_jax.data.revisitop import Photograph, load_dataset
from senet_jax.data.sizes import photograph_size, photograph_sizes
from senet_jax.data.transforms import TooLargeImage, UnreadableImage
from senet_jax.system.errors import UserError
from tests.data.pictures import (
    MINIPHOTOS,
    encoded,
    exif,
    needs_miniphotos,
    picture,
    with_claimed_size,
    with_exif_orientation,
    with_segment,
)

CASES = pathlib.Path(__file__).parents[2].parent / "shared" / "cases" / "images"

SHAPE = (20, 33)
PICTURE = picture(*SHAPE)
ORIENTATIONS = range(1, 9)


def _photograph(folder, content, box=None):
    (folder / "image").write_bytes(content)
    return Photograph(folder, "image", box)


def _assert_as_decoded(folder, content):
    """The size that is read off a file is that of the pixels that OpenCV makes of it."""
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert photograph_size(_photograph(folder, content)) == decoded.shape[:2]
    return decoded.shape[:2]


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_of_every_kind_of_image(tmp_path, suffix):
    assert _assert_as_decoded(tmp_path, encoded(PICTURE, suffix)) == SHAPE


@pytest.mark.parametrize("quality", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_the_pixels_of_a_jpeg_are_not_read(tmp_path, monkeypatch, quality):
    done, content = cv2.imencode(".jpg", picture(300, 200), quality)
    assert done

    def read(path):
        raise AssertionError(f"{path} was decoded")

    monkeypatch.setattr(revisitop, "read_image", read)
    assert photograph_size(_photograph(tmp_path, content.tobytes())) == (300, 200)


def _png_claiming(height, width):
    content = encoded(PICTURE, ".png")
    header = content[12:16] + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def _expected(orientation):
    return SHAPE[::-1] if orientation >= 5 else SHAPE


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_jpeg_is_measured_upright(tmp_path, orientation):
    content = with_exif_orientation(encoded(PICTURE), orientation)
    assert _assert_as_decoded(tmp_path, content) == _expected(orientation)


@pytest.mark.parametrize("place", [33, -12])  # Behind the head, and before the end.
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_png_is_measured_upright(tmp_path, orientation, place):
    content, data = encoded(PICTURE, ".png"), b"eXIf" + exif(orientation)
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    content = content[:place] + chunk + content[place:]
    assert _assert_as_decoded(tmp_path, content) == _expected(orientation)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
def test_other_kinds_are_measured_upright(tmp_path, kind, orientation):
    content = io.BytesIO()
    named = {0x0112: orientation}
    options = {"tiffinfo": named} if kind == "TIFF" else {"exif": exif(orientation)}
    Image.fromarray(PICTURE).save(content, kind, **options)
    assert _assert_as_decoded(tmp_path, content.getvalue()) == _expected(orientation)


def _odd_exif(kind, value):
    return exif(6)[:12] + struct.pack(">HI", kind, 1) + value + struct.pack(">I", 0)


@pytest.mark.parametrize(
    "payload",
    [
        b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation='6'/>",
        b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/>',
        b"Exif\0\0" + exif(0),
        b"Exif\0\0" + exif(9),
        b"Exif\0\0" + _odd_exif(4, b"\0\0\0\6"),  # The number has 32 bits, not 16.
        b"Exif\0\0" + _odd_exif(1, b"\6\0\0\0"),
        b"Exif\0\0" + exif(6)[:14] + b"\0\0\0\0" + exif(6)[18:],  # No number at all.
        b"Exif\0\0" + exif(6)[:15],
        b"Exif\0\0",
    ],
)
def test_an_odd_orientation_is_what_opencv_makes_of_it(tmp_path, payload):
    _assert_as_decoded(tmp_path, with_segment(encoded(PICTURE), payload))


@pytest.mark.parametrize("mode", ["L", "CMYK", "1", "RGBA", "P"])
def test_of_every_kind_of_pixels(tmp_path, mode):
    content = io.BytesIO()
    kind = {"L": "JPEG", "CMYK": "JPEG"}.get(mode, "PNG")
    Image.fromarray(PICTURE).convert(mode).save(content, kind)
    assert _assert_as_decoded(tmp_path, content.getvalue()) == SHAPE


def test_the_largest_images_are_measured(tmp_path):
    """Pillow warns of them, and refuses larger ones, unless it is told not to."""
    content = with_claimed_size(encoded(PICTURE), 30_000, 35_000)
    assert photograph_size(_photograph(tmp_path, content)) == (30_000, 35_000)


CLAIMING = {
    "jpeg": with_claimed_size(encoded(PICTURE), 65_500, 65_500),
    "png": _png_claiming(65_500, 65_500),
}


@pytest.mark.parametrize("kind", CLAIMING)
def test_absurd_sizes_are_refused_without_decoding(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(revisitop, "read_image", None)
    photograph = _photograph(tmp_path, CLAIMING[kind])
    with pytest.raises(TooLargeImage, match=r"has 65500x65500 pixels to describe, the memory suff"):
        photograph_size(photograph)


def test_the_limit_is_one_of_what_is_described(tmp_path):
    photograph = _photograph(tmp_path, encoded(PICTURE))
    assert photograph_size(photograph, most_pixels=20 * 33) == SHAPE
    with pytest.raises(TooLargeImage, match=r"image has 33x20 pixels .* suffices for 659; make"):
        photograph_size(photograph, most_pixels=20 * 33 - 1)
    part = _photograph(tmp_path, encoded(PICTURE), (0, 0, 10, 20))
    assert photograph_size(part, most_pixels=200) == (20, 10)
    with pytest.raises(TooLargeImage, match=r"has 10x20 pixels to describe"):
        photograph_size(part, most_pixels=199)


def test_a_header_can_be_left_unbelieved(tmp_path):
    """Pillow takes the last of several sizes, libjpeg none of them."""
    content = encoded(PICTURE)
    start, end = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
    frame = with_claimed_size(content, 10, 10)[start : start + 19]
    photograph = _photograph(tmp_path, content[:end] + frame + content[end:])
    assert photograph_size(photograph) == (10, 10)
    with pytest.raises(UnreadableImage, match="are no image"):
        photograph_size(photograph, by_header=False)


@pytest.mark.parametrize("path", sorted(CASES.glob("*")), ids=lambda path: path.name)
def test_orientations_that_readers_disagree_on(tmp_path, path):
    _assert_as_decoded(tmp_path, path.read_bytes())


def test_of_what_would_never_end(tmp_path):
    os.mkfifo(tmp_path / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s.jpg"))
        for folder, name in ((tmp_path, "fifo.jpg"), (tmp_path, "s.jpg"), ("/dev", "zero")):
            with pytest.raises(UnreadableImage, match=rf"{name}: .*(no regular file|No such dev)"):
                photograph_size(Photograph(pathlib.Path(folder), name))


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0, 0, 33, 20), (20, 33)),
        ((3.9, 2.2, 20.9, 9), (7, 17)),
        ((30, 10, 99, 99), (10, 3)),  # It ends with the image.
    ],
)
def test_of_a_box(tmp_path, box, size):
    assert photograph_size(_photograph(tmp_path, encoded(PICTURE), box)) == size


def test_a_box_is_one_of_the_upright_image(tmp_path):
    content = with_exif_orientation(encoded(PICTURE), 6)
    assert photograph_size(_photograph(tmp_path, content, (0, 25, 20, 40))) == (8, 20)


@pytest.mark.parametrize("skip_unreadable", [True, False])
def test_a_wrong_box_names_the_photograph(tmp_path, skip_unreadable):
    photograph = _photograph(tmp_path, encoded(PICTURE), (5, 25, 9, 30))
    with pytest.raises(UserError, match=r"image: the box .* is outside, the image is 33x20"):
        photograph_sizes([photograph], label="town", skip_unreadable=skip_unreadable)


UNREADABLE = {
    "text": (b"This is no image.", "its 17 bytes are no image"),
    "empty": (b"", "the file is empty"),
    "head": (encoded(PICTURE)[:100], "its 100 bytes are no image, or one cut short"),
    "png": (encoded(PICTURE, ".png")[:-100], "are no image, or one cut short"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_image(tmp_path, name):
    content, message = UNREADABLE[name]
    with pytest.raises(
        UnreadableImage, match=f"cannot read the image {tmp_path}/image: .*{message}"
    ):
        photograph_size(_photograph(tmp_path, content))


def test_a_missing_file(tmp_path):
    with pytest.raises(UnreadableImage, match=r"nowhere\.jpg: No such file"):
        photograph_size(Photograph(tmp_path, "nowhere.jpg"))


def test_of_many(tmp_path):
    shapes = [(20, 33), (7, 5), (64, 64), (1, 1), (90, 3)]
    for name, shape in enumerate(shapes):
        (tmp_path / f"{name}.jpg").write_bytes(encoded(picture(*shape)))
    (tmp_path / "2.jpg").write_bytes(b"text")
    photographs = [Photograph(tmp_path, f"{name}.jpg") for name in (*range(5), "none")]
    sizes, unreadable = photograph_sizes(photographs, label="town", skip_unreadable=True)
    assert sizes.tolist() == [[20, 33], [7, 5], [0, 0], [1, 1], [90, 3], [0, 0]]
    assert list(unreadable) == [2, 5]
    assert "2.jpg: its 4 bytes are no image" in unreadable[2]
    assert "none.jpg: No such file" in unreadable[5]
    with pytest.raises(UnreadableImage, match=r"2\.jpg"):
        photograph_sizes(photographs, label="town", skip_unreadable=False)


@needs_miniphotos
def test_of_photographs():
    dataset = load_dataset(MINIPHOTOS.parent, MINIPHOTOS.name)
    sizes, unreadable = photograph_sizes(dataset.images[:10], label="", skip_unreadable=False)
    assert not unreadable
    for photograph, size in zip(dataset.images, sizes.tolist(), strict=False):
        assert cv2.imread(str(photograph.path)).shape[:2] == tuple(size)
