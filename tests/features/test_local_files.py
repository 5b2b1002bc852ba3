import zipfile

import numpy as np
import pytest

from senet_jax.features.local_files import read_delg_local, read_npz_local
from senet_jax.system.errors import UserError
from tests.oracles.delg_files import delg_local, message, varint

POINTS, SCALES, SCORES = [[3.5, 700.0], [40.25, 2.0]], [1.0, 0.5], [9.0, 4.0]
DESCRIPTORS = np.random.default_rng(0).standard_normal((2, 40)).astype(np.float32)
FILE = delg_local(POINTS, DESCRIPTORS, SCALES, SCORES)
ARRAYS = {
    "keypoints": np.array(POINTS),
    "descriptors": DESCRIPTORS,
    "scores": np.array(SCORES),
    "scales": np.array(SCALES),
}


def check(found):
    assert found.keypoints.tolist() == POINTS
    np.testing.assert_array_equal(found.descriptors, DESCRIPTORS)
    assert (found.scales.tolist(), found.scores.tolist()) == (SCALES, SCORES)


@pytest.mark.parametrize("packed", [True, False])
def test_delgs_files_are_read(tmp_path, packed):
    path = tmp_path / "a.delg_local"
    # Fields that nobody knows are passed over.
    path.write_bytes(varint(9 << 3) + varint(300) + delg_local(*ARRAYS_IN_ORDER, packed=packed))
    check(read_delg_local(path))


ARRAYS_IN_ORDER = POINTS, DESCRIPTORS, SCALES, SCORES


def test_npz_files_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", other=np.zeros(3), **ARRAYS)
    check(read_npz_local(tmp_path / "a.npz"))
    np.savez_compressed(tmp_path / "b.npz", **ARRAYS)
    check(read_npz_local(tmp_path / "b.npz"))


def test_an_image_without_features(tmp_path):
    (tmp_path / "a.delg_local").write_bytes(b"")
    assert len(read_delg_local(tmp_path / "a.delg_local").keypoints) == 0


def refused(read, path):
    with pytest.raises(UserError, match=str(path)) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("end", range(1, len(FILE), 17))
def test_a_truncated_file_is_one_line(tmp_path, end):
    path = tmp_path / "a.delg_local"
    if end == len(FILE) // 2:  # The first feature is whole.
        end += 1
    path.write_bytes(FILE[:end])
    assert "it ends within" in refused(read_delg_local, path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (delg_local(POINTS, [[1.0, 2.0], [1.0]], SCALES, SCORES), "have 1 to 2 numbers"),
        (delg_local(POINTS, [[], []], SCALES, SCORES), "hold no numbers"),
        (delg_local(POINTS, DESCRIPTORS, SCALES, [1.0, np.nan]), "is not finite"),
        (delg_local(POINTS, DESCRIPTORS * np.inf, SCALES, SCORES), "is not finite"),
        (b"\x0b", "no protocol buffer"),
        (b"\xff" * 20, "no protocol buffer"),
        (message(1, message(2, b"abc")), "ends within one"),
        (varint(1 << 3) + varint(3), "of another type"),
    ],
)
def test_what_is_no_file_of_delg_local(tmp_path, content, told):
    path = tmp_path / "a.delg_local"
    path.write_bytes(content)
    assert told in refused(read_delg_local, path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"keypoints": np.zeros((2, 3))}, "keypoints have 3 numbers"),
        ({"keypoints": np.float32(3)}, "keypoints is f"),
        ({"descriptors": np.zeros((3, 4))}, "descriptors is f"),
        ({"descriptors": np.zeros((2, 0))}, "hold no numbers"),
        ({"scores": np.array([1, np.nan])}, "is not finite"),
        ({"scales": np.array([1e300, 1])}, "is not finite"),
        ({"scales": np.array(["a", "b"])}, "scales is U"),
        ({"scores": np.array([{}, {}])}, "scores|pickle|Object"),
    ],
)
def test_arrays_that_are_wrong(tmp_path, change, told):
    path = tmp_path / "a.npz"
    np.savez(path, **ARRAYS | change)
    assert any(each in refused(read_npz_local, path) for each in told.split("|"))


def test_what_is_no_archive_of_arrays(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **{name: ARRAYS[name] for name in ("keypoints", "scores")})
    assert "no array descriptors" in refused(read_npz_local, path)
    np.save(tmp_path / "b.npy", POINTS)
    (tmp_path / "b.npy").rename(path)
    refused(read_npz_local, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("keypoints.npy", bytes(2**28 + 1))
    assert "its arrays have more than" in refused(read_npz_local, path)
    refused(read_npz_local, tmp_path / "none.npz")
