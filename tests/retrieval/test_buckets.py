import numpy as np
import pytest

from senet_jax.retrieval.buckets import padded_to_bucket


@pytest.mark.parametrize(
    ("shape", "padded_shape"),
    [
        ((64, 128), (64, 128)),
        ((65, 127), (128, 128)),
        ((1, 1), (64, 64)),
        ((765, 1024), (768, 1024)),
    ],
)
def test_sides_become_multiples_with_the_image_in_the_corner(shape, padded_shape):
    images = np.random.default_rng(0).integers(1, 256, (2, *shape, 3), np.uint8)
    padded, sizes = padded_to_bucket(images)
    assert (padded.shape, padded.dtype) == ((2, *padded_shape, 3), np.uint8)
    np.testing.assert_array_equal(padded[:, : shape[0], : shape[1]], images)
    assert padded.sum(dtype=np.int64) == images.sum(dtype=np.int64)  # Zeros elsewhere.
    assert sizes.dtype == np.int32
    assert sizes.tolist() == [list(shape)] * 2
