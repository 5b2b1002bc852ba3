import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks.camera import Camera, frame, look

POSITION = np.array([1.5, 2.0, -6.0])
TARGET = np.array([0.2, 1.0, 0.5])


def _camera(roll=0.07):
    return Camera(POSITION, look(POSITION, TARGET, roll), 90.0, np.array([31.0, 40.0]))


def _naive_pixel(camera, point):
    right, down, forward = (sum(a * (p - q) for a, p, q in zip(axis, point, POSITION, strict=True))
                            for axis in camera.rotation)  # fmt: skip
    return 31 + 90 * right / forward, 40 + 90 * down / forward


def test_project_is_a_pinhole():
    points = np.random.default_rng(0).normal(0, 1, (20, 3))
    expected = [_naive_pixel(_camera(), point) for point in points]
    np.testing.assert_allclose(_camera().project(points), expected, rtol=1e-12)


def test_look_is_a_rotation_with_the_target_ahead_and_up_upwards():
    rotation = look(POSITION, TARGET, 0.0)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    # Right, down, forward of a left-handed world (x right, y up, z ahead) flip one axis.
    assert np.linalg.det(rotation) == pytest.approx(-1)
    np.testing.assert_allclose(_camera(0.0).project(TARGET[None])[0], [31, 40], atol=1e-9)
    above, beside = _camera(0.0).project(TARGET + np.array([[0, 1, 0], [1, 0, 0]]))
    assert above[1] < 40 and above[0] == pytest.approx(31)
    assert beside[0] > 31


@pytest.mark.parametrize("offset", [(0, 0), (-1, 1), (0.4, -0.7)])
def test_frame_fills_the_share_it_is_told(offset):
    points = np.random.default_rng(1).normal(0, 1, (30, 3))
    camera = frame(POSITION, look(POSITION, TARGET, 0.1), points, 100, 0.8, offset)
    pixels = camera.project(points)
    low, high = pixels.min(0), pixels.max(0)
    assert (high - low).max() == pytest.approx(80)
    np.testing.assert_allclose((low + high) / 2 - 50, np.array(offset) * (100 - (high - low)) / 2)


def test_ground_homography_and_horizon_agree_with_projection():
    camera = _camera()
    ground = np.random.default_rng(2).uniform(-2, 2, (10, 2))
    points = np.stack([ground[:, 0], np.zeros(10), ground[:, 1]], axis=1)
    mapped = np.column_stack([ground, np.ones(10)]) @ camera.ground_homography().T
    np.testing.assert_allclose(mapped[:, :2] / mapped[:, 2:], camera.project(points))
    far = camera.project(np.array([[0.0, 0, 1e9], [3e8, 0, 1e9]]))
    np.testing.assert_allclose(camera.horizon(far[:, 0]), far[:, 1], atol=1e-4)


def test_outline_is_cut_before_the_camera():
    camera = _camera(0.0)
    square = np.array([[-1, 0, 0], [1, 0, 0], [1, 0, 2], [-1, 0, 2.0]])
    np.testing.assert_allclose(camera.project_outline(square), camera.project(square))
    reaching_back = np.array([[-1, 0, -50], [1, 0, -50], [1, 0, 2], [-1, 0, 2.0]])
    cut = camera.project_outline(reaching_back)
    assert len(cut) == 4 and np.isfinite(cut).all()
    assert cut[:, 1].max() > 1000, "what passes beneath the camera leaves at the bottom"
    assert len(camera.project_outline(square - [0, 0, 60])) == 0


def test_things_behind_the_camera_have_no_size():
    assert _camera().pixels_per_unit(POSITION - [0, 0, 5]) == 0
    near, far = (_camera().pixels_per_unit(np.array([0, 0, z])) for z in (0.0, 5.0))
    assert near > far > 0
