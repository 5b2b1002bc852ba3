import os

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.errors import UserError
from senet_jax.retrieval import extract as extract_module
from senet_jax.retrieval.extract import describe_pyramid, extract, make_describe
from tests.data.pictures import encoded, picture
from tests.oracles import pyramid
from tests.oracles.lively_twin import lively_twin, lively_weights

SCALES = (0.7071, 1.0, 1.4142)


def _photographs(folder, count, shape=(24, 32)):
    for seed in range(count):
        (folder / f"{seed}.png").write_bytes(encoded(picture(*shape, seed=seed), ".png"))
    return [Photograph(folder, f"{seed}.png") for seed in range(count)]


def _mean_colour(images):
    """In place of a network: uint8[b h w 3] -> float32[b 3]."""
    return jnp.mean(jnp.asarray(images, jnp.float32), axis=(1, 2))


def _extract(photographs, *, describe=_mean_colour, scales=(1.0,), width=3, skip_unreadable=True):
    return extract(
        describe, photographs, scales, label="x", width=width, skip_unreadable=skip_unreadable
    )


def test_descriptors_are_those_of_the_definition(tmp_path):
    photographs = _photographs(tmp_path, 4, (41, 59))
    (tmp_path / "query.png").write_bytes(encoded(picture(50, 80), ".png"))
    photographs += [Photograph(tmp_path, "query.png", box=(3.9, 2, 62, 43.5))]  # 41x59 as well.
    describe = make_describe(lively_weights("tiny_baseline"))
    ours, skipped = _extract(photographs, describe=describe, scales=SCALES, width=128)
    assert not skipped
    pyramid.assert_as_near_as_the_twin(ours, lively_twin("tiny_baseline"), photographs, SCALES)


def test_every_scale_counts_the_same():
    """Each is brought to unit length before the mean, and the mean after it."""
    of_height = {1: jnp.array([[1.0, 0]]), 2: jnp.array([[0, 1.0]]), 3: jnp.array([[0, 1.0]])}
    pyramid = [np.zeros((height, 1, 3)) for height in of_height]
    descriptor = describe_pyramid(lambda images: of_height[images.shape[1]], pyramid)
    np.testing.assert_allclose(descriptor, np.array([1, 2]) / 5**0.5, rtol=1e-6)


def test_order_is_kept(tmp_path):
    photographs = _photographs(tmp_path, 12)[::-1]
    ours, _ = _extract(photographs)
    for row, photograph in enumerate(photographs):
        colour = cv2.imread(str(photograph.path)).mean(axis=(0, 1))
        np.testing.assert_allclose(ours[row], colour / np.linalg.norm(colour), rtol=1e-5)


def test_an_unreadable_image_is_a_row_of_zeros_with_its_reason(tmp_path):
    photographs = _photographs(tmp_path, 3)
    (tmp_path / "1.png").write_bytes(b"text")
    photographs.append(Photograph(tmp_path, "missing.png"))
    descriptors, skipped = _extract(photographs)
    assert descriptors.any(axis=1).tolist() == [True, False, True, False]
    assert sorted(skipped) == [1, 3]
    assert "1.png: its 4 bytes are no image" in skipped[1]
    assert "missing.png: No such file" in skipped[3]


def test_or_it_stops_the_extraction(tmp_path):
    photographs = _photographs(tmp_path, 3)
    (tmp_path / "1.png").write_bytes(b"text")
    with pytest.raises(UnreadableImage, match=r"1\.png"):
        _extract(photographs, skip_unreadable=False)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((5, 5, 5, 9), "empty"),
        ((9, 5, 5, 9), "inverted"),
        ((-1, 5, 5, 9), "negative"),
        ((32, 0, 40, 9), "outside"),
    ],
)
def test_a_wrong_box_stops_it_and_names_the_photograph(tmp_path, box, fault):
    photographs = [*_photographs(tmp_path, 3), Photograph(tmp_path, "1.png", box=box)]
    with pytest.raises(UserError, match=rf"1\.png: the box .* is {fault}, the image is 32x24"):
        _extract(photographs)


def test_a_bug_in_a_reading_thread_is_not_swallowed(tmp_path, monkeypatch):
    def broken(path):
        raise RuntimeError(f"a bug at {path.name}")

    photographs = _photographs(tmp_path, 3)
    monkeypatch.setattr(extract_module, "read_image", broken)
    with pytest.raises(RuntimeError, match=r"a bug at 0\.png"):
        _extract(photographs)


class _Counted(list):
    """Counts how many of its entries were taken."""

    taken = 0

    def __iter__(self):
        for entry in super().__iter__():
            self.taken += 1
            yield entry


def test_reads_only_some_images_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    photographs = _Counted(_photographs(tmp_path, 10))
    taken_when_described = []

    def describe(images):
        taken_when_described.append(photographs.taken)
        return _mean_colour(images)

    _extract(photographs, describe=describe)
    assert taken_when_described == [3, 4, 5, 6, 7, 8, 9, 10, 10, 10]
