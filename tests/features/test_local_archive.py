import h5py
import numpy as np
import pytest

from senet_jax.features.local_archive import LocalArchive
from senet_jax.system.errors import UserError

RNG = np.random.default_rng(0)
POINTS = np.array([[3.5, 70.0], [40.25, 2.0], [0.0, 1.0]])
ROWS = RNG.standard_normal((3, 8)).astype(np.float16)


def write(path, **groups):
    """As hloc does it: float16, and names with folders."""
    with h5py.File(path, "w", libver="latest") as file:
        for name, arrays in groups.items():
            group = file.create_group(name.replace("__", "/"))
            for each, array in arrays.items():
                group.create_dataset(each, data=array)
            if "keypoints" in arrays:
                group["keypoints"].attrs["uncertainty"] = 1.5
    return path


def of_hloc(points=POINTS, rows=ROWS, **more):
    return {"keypoints": points, "descriptors": np.asarray(rows).T, **more}


def test_what_hloc_writes(tmp_path):
    scores = np.array([0.5, 0.25, 1], np.float16)
    image = of_hloc(scores=scores, image_size=np.array([64, 80]))
    path = write(tmp_path / "f.h5", a__b=image, c=of_hloc(POINTS[:1], ROWS[:1]))
    archive = LocalArchive(path)
    found = archive.read("a/b")
    assert found.size == (64, 80) and not found.of_box
    assert found.features.keypoints.tolist() == POINTS.tolist()
    np.testing.assert_array_equal(found.features.descriptors, ROWS.astype(np.float32))
    assert found.features.scores.tolist() == [0.5, 0.25, 1]
    assert found.features.scales.tolist() == [1, 1, 1]
    assert archive.read("c").size is None and len(archive.read("c").features.keypoints) == 1


@pytest.mark.parametrize("by_column", [True, False])
def test_whether_a_column_is_a_descriptor_is_asked_of_the_whole_file(tmp_path, by_column):
    """As many keypoints as a descriptor has numbers tell nothing; other photographs do."""
    square, points = RNG.standard_normal((8, 8)), np.ones((8, 2))
    images = {"a": of_hloc(points, square), "b": of_hloc()}
    if not by_column:
        images = {
            name: image | {"descriptors": image["descriptors"].T} for name, image in images.items()
        }
    path = write(tmp_path / "f.h5", **images)
    found = LocalArchive(path).read("a").features.descriptors
    np.testing.assert_array_equal(found, square.astype(np.float32))
    alone = write(tmp_path / "alone.h5", a=of_hloc(points, square))
    found = LocalArchive(alone).read("a").features.descriptors
    np.testing.assert_array_equal(found, square.astype(np.float32))


def test_an_image_without_keypoints(tmp_path):
    path = write(tmp_path / "f.h5", a=of_hloc(POINTS[:0], ROWS[:0]), b=of_hloc())
    assert LocalArchive(path).read("a").features.descriptors.shape == (0, 8)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (None, "has no group a.jpg; config.local_features has one for every photograph"),
        ({"keypoints": POINTS}, "no array descriptors"),
        ({"descriptors": ROWS.T}, "no array keypoints"),
        (of_hloc(np.ones((3, 3))), "keypoints have 3 numbers"),
        (of_hloc(np.float32(3)), "keypoints is f"),
        (of_hloc(np.ones((4, 2))), r"descriptors is f\[3, 8\]"),
        (of_hloc(rows=ROWS[:, :0]), "hold no numbers"),
        (of_hloc(rows=ROWS * np.float16(np.nan)), "is not finite"),
        (of_hloc(scores=np.array([1, np.nan, 1])), "is not finite"),
        (of_hloc(scores=np.ones(2)), r"scores is f\[2\]"),
        (of_hloc(scales=np.array([b"a", b"b", b"c"])), "scales is S"),
        (of_hloc(image_size=np.ones(3)), r"image_size is float64\[3\]; give width and height"),
        (of_hloc() | {"scores": np.broadcast_to(np.float64(1), 2**26)}, "more than .* bytes"),
    ],
)
def test_what_is_wrong_of_a_photograph_is_one_line(tmp_path, image, told):
    others = {"b.jpg": of_hloc()}
    path = write(tmp_path / "f.h5", **others | ({} if image is None else {"a.jpg": image}))
    with pytest.raises(UserError, match=told) as caught:
        LocalArchive(path).read("a.jpg")
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_nothing_is_read_of_other_files(tmp_path):
    """A link to another file, or data that another file holds, could read any file."""
    other = write(tmp_path / "other.h5", a=of_hloc())
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["linked"] = h5py.ExternalLink(str(other), "a")
        file["soft"] = h5py.SoftLink("/linked")
        for name in ("virtual", "outside"):
            file.create_group(name)["descriptors"] = ROWS.T
        layout = h5py.VirtualLayout((3, 2), "f8")
        layout[:] = h5py.VirtualSource(str(other), "a/keypoints", (3, 2))
        file["virtual"].create_virtual_dataset("keypoints", layout)
        external = [(str(other), 0, 48)]
        file["outside"].create_dataset("keypoints", (3, 2), "f8", external=external)
    archive = LocalArchive(path)
    for name in ("linked", "soft", "soft/keypoints"):
        with pytest.raises(UserError, match=f"has no group {name}"):
            archive.read(name)
    for name in ("virtual", "outside"):
        with pytest.raises(UserError, match="keypoints is no array in this file"):
            archive.read(name)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_what_is_no_such_file(tmp_path, content):
    path = tmp_path / "f.h5"
    whole = write(path, a=of_hloc()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for each in (path, tmp_path / "none.h5", tmp_path):
        with pytest.raises(UserError, match=f"cannot read the local features {each}: ") as caught:
            LocalArchive(each)
        assert "\n" not in str(caught.value)
