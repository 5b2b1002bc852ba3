import re

import h5py
import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.jobs.given_features import GivenFeatures, open_given
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.oracles.delg_files import delg_local


@pytest.fixture
def photographs(tmp_path):
    """A photograph of 48x40 pixels."""
    folder = tmp_path / "jpg"
    (folder / "in").mkdir(parents=True)
    (tmp_path / "local" / "in").mkdir(parents=True)
    (folder / "in" / "a.jpg").write_bytes(encoded(picture(40, 48, seed=0)))
    return folder


def _save(folder, points, kind, size=None):
    """In a file of one of the kinds; gives what `config.local_features` would name."""
    count = len(points)
    arrays = {"descriptors": np.eye(count, 9), "scores": np.ones(count), "scales": np.ones(count)}
    if kind == "npz":
        np.savez(folder / "local" / "in" / "a.npz", keypoints=points, **arrays)
    elif kind == "delg":
        content = delg_local(points, *(arrays[n] for n in ("descriptors", "scales", "scores")))
        (folder / "local" / "in" / "a.delg_local").write_bytes(content)
    else:
        with h5py.File(folder / "local.h5", "w") as file:
            group = file.create_group("in/a.jpg")
            group["keypoints"], group["descriptors"] = points, arrays["descriptors"].T
            group["image_size"] = np.array(size or (48, 40))
        return folder / "local.h5"
    return folder / "local"


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_of_a_query_what_is_in_its_box_counts(photographs, tmp_path, kind):
    """Its box, as pixels are cut: from the 4th to the 40th, and from the 9th to the 30th."""
    boxed, whole = (Photograph(photographs, "in/a.jpg", box) for box in ((4.6, 9, 40, 30), None))
    points = [[1.5, 12], [3.5, 8.5], [39.25, 29.25], [39.5, 20], [47, 39]]
    given = GivenFeatures(open_given(_save(tmp_path, points, kind)), [boxed], [whole])
    assert given.item(0).keypoints.tolist() == points
    assert given.query(0).keypoints.tolist() == points[1:3]
    assert given.query(0).descriptors.tolist() == np.eye(5, 9)[1:3].tolist()


def test_points_of_delg_are_those_of_the_box(photographs, tmp_path):
    boxed, whole = (Photograph(photographs, "in/a.jpg", box) for box in ((4.6, 9, 40, 30), None))
    files = open_given(_save(tmp_path, [[1, 2]], "delg"))
    given = GivenFeatures(files, [boxed], [whole])
    assert given.query(0).keypoints.tolist() == [[6, 11]]
    assert given.item(0).keypoints.tolist() == [[1, 2]]


@pytest.mark.parametrize("kind", ["npz", "delg", "h5"])
@pytest.mark.parametrize("point", [(50, 3), (3, 42), (-2, 3)])
def test_points_outside_of_the_photograph_are_refused(photographs, tmp_path, kind, point):
    files = open_given(_save(tmp_path, [[1, 1], point], kind))
    with pytest.raises(UserError, match="outside of its photograph of 48x40 pixels"):
        GivenFeatures(files, [], [Photograph(photographs, "in/a.jpg")]).item(0)


def test_what_is_not_there_and_what_is_of_another_size(photographs, tmp_path):
    photograph = Photograph(photographs, "in/a.jpg")
    with pytest.raises(UserError, match=r"no .*a\.npz or .*one for every photograph"):
        GivenFeatures(open_given(tmp_path / "local"), [], [photograph]).item(0)
    # As its file stores a photograph that EXIF turns.
    files = open_given(_save(tmp_path, [[1, 1]], "h5", size=(40, 48)))
    with pytest.raises(UserError, match=re.escape("40x48 pixels, and this one has 48x40 when it")):
        GivenFeatures(files, [], [photograph]).item(0)
    with pytest.raises(UserError, match=r"local\.npy, which is no folder and does not end in \.h5"):
        open_given(tmp_path / "local.npy")
