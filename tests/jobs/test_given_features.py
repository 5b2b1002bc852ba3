import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.jobs.given_features import GivenFeatures
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.oracles.delg_files import delg_local


@pytest.fixture
def folders(tmp_path):
    photographs = tmp_path / "jpg"
    (photographs / "in").mkdir(parents=True)
    (tmp_path / "local" / "in").mkdir(parents=True)
    (photographs / "in" / "a.jpg").write_bytes(encoded(picture(40, 48, seed=0)))
    return photographs, tmp_path / "local"


def _save(folder, points):
    count = len(points)
    arrays = {"descriptors": np.eye(count), "scores": np.ones(count), "scales": np.ones(count)}
    np.savez(folder / "in" / "a.npz", keypoints=points, **arrays)


def test_points_are_those_of_the_whole_photograph(folders):
    photographs, local = folders
    boxed, whole = (Photograph(photographs, "in/a.jpg", box) for box in ((4.6, 9, 40, 30), None))
    given = GivenFeatures(local, [boxed], [whole])
    with pytest.raises(UserError, match=r"no .*a\.npz or .*one for every photograph"):
        given.item(0)
    _save(local, [[1.5, 2], [47, 39]])
    assert given.query(0).keypoints.tolist() == [[1.5, 2], [47, 39]]
    # DELG's are of the box alone.
    (local / "in" / "a.delg_local").write_bytes(delg_local([[1, 2]], [[1.0]], [1.0], [1.0]))
    given = GivenFeatures(local, [boxed], [whole])
    assert given.query(0).keypoints.tolist() == [[6, 11]]
    assert given.item(0).keypoints.tolist() == [[1, 2]]


@pytest.mark.parametrize("point", [(50, 3), (3, 42), (-2, 3)])
def test_points_outside_of_the_photograph_are_refused(folders, point):
    photographs, local = folders
    _save(local, [[1, 1], point])
    with pytest.raises(UserError, match="outside of its photograph of 48x40 pixels"):
        GivenFeatures(local, [], [Photograph(photographs, "in/a.jpg")]).item(0)
