import cv2
import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.data.sizes import photograph_size
from senet_jax.features.keypoints import Fitted, Keypoints, fitted, keypoint_cache
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.models.small_disk import small_weights
from tests.oracles.keypoints import pair
from tests.oracles.lively_twin import lively_weights

LIMIT = 2**30


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A scene, and twice the same of double the size, lying and standing."""
    folder = tmp_path_factory.mktemp("keypoints")
    scene, _ = pair()
    large = cv2.resize(scene, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    for name, image in (("a", scene), ("b", large)):
        (folder / f"{name}.png").write_bytes(encoded(image, ".png"))
    return Photograph(folder, "a.png"), Photograph(folder, "b.png")


def test_a_photograph_that_is_shrunk_has_its_keypoints_at_its_own_size(photographs, tmp_path):
    weights = small_weights()
    cache = keypoint_cache(weights, tmp_path, LIMIT)
    small, large = Fitted(photographs, 200)
    assert photograph_size(small) == photograph_size(large) == (176, 200)
    assert photograph_size(small, by_header=False) == photograph_size(large, by_header=False)
    one, double = (Keypoints.of(value, weights) for value in cache.compute([small, large]))
    assert len(one.points) > 20
    np.testing.assert_allclose(double.points, 2 * one.points + 0.5)
    assert (one.frame.tolist(), double.frame.tolist()) == ([0, 0, 200, 176], [0, 0, 400, 352])
    # Half a pixel of a photograph is less in one that is larger.
    np.testing.assert_allclose(double.relative() - one.relative(), 0.5 / 200, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(one.descriptors, axis=1), 1, rtol=1e-5)
    assert len(one.first(7).points) == len(one.first(7).descriptors) == 7


def test_a_box_is_cut_out_before_it_is_shrunk(photographs, tmp_path):
    weights = small_weights()
    cache = keypoint_cache(weights, tmp_path, LIMIT)
    whole = photographs[1]
    boxed = Photograph(whole.folder, whole.file_name, (30, 50, 230, 170))
    [found] = [Keypoints.of(cache[fitted(boxed, 100)], weights)]
    assert photograph_size(fitted(boxed, 100)) == (60, 100)
    assert found.frame.tolist() == [30, 50, 200, 120] and len(found.points)
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    assert (low >= (30, 50)).all() and (high <= (230, 170)).all()
    assert np.abs(found.relative()).max() <= 1
    assert cache.key(fitted(boxed, 100)) != cache.key(fitted(boxed, 90))


def test_a_photograph_without_keypoints(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(picture(3, 4), ".png"))
    weights = small_weights()
    value = keypoint_cache(weights, tmp_path / "kept", LIMIT)[Photograph(tmp_path, "a.png")]
    assert value["points"].shape == (0, 2) and value["descriptors"].shape == (0, 8)


def test_weights_of_another_family_are_one_line(tmp_path):
    with pytest.raises(UserError, match="gives no keypoints features of images, but global and"):
        keypoint_cache(lively_weights("tiny_baseline"), tmp_path, LIMIT)
