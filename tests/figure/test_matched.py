import dataclasses
import pathlib

import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.figure import matched
from senet_jax.figure.matched import match
from senet_jax.jobs.settings import EvaluationSettings
from senet_jax.system.errors import UserError
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture
from tests.models.small_disk import small_weights
from tests.oracles.lively_twin import lively_weights


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matched")
    save_weights(folder / "weights", lively_weights("tiny"))
    large = picture(160, 208, seed=3)
    for name, image in (("a", large[16:, 24:]), ("b", picture(120, 160, 5)), ("q", large)):
        (folder / f"{name}.png").write_bytes(encoded(image, ".png"))
    return folder


def _photograph(path: pathlib.Path, box=None):
    return Photograph(path.parent, path.name, box)


def test_by_weights_alone(world):
    query, item = _photograph(world / "q.png", (24, 16, 200, 160)), _photograph(world / "a.png")
    pair = match(world / "weights", query, item, "geometric")
    assert len(pair.matches) > 20 and pair.box == query.box
    shifts = np.median(pair.matches.query_points - pair.matches.item_points, axis=0)
    np.testing.assert_allclose(shifts, [24, 16], atol=1e-3)
    assert pair.note == f"{len(pair.matches)} points matched by geometric"
    assert pair.query.shape == (160, 208, 3) and pair.item.shape == (144, 184, 3)


def test_keypoints_by_weights_of_their_own(world, monkeypatch):
    save_weights(world / "disk", small_weights())
    defaults = dataclasses.replace(
        EvaluationSettings(model="tiny"), lightglue_weights=f"{world}/disk"
    )
    monkeypatch.setattr(matched, "EvaluationSettings", lambda model: defaults)
    (world / "small.png").write_bytes(encoded(picture(40, 48), ".png"))
    photograph = _photograph(world / "small.png")
    pair = match(world / "weights", photograph, photograph, "lightglue(keypoints=12)")
    own = pair.matches.query_points == pair.matches.item_points
    assert len(pair.matches) > 2 and own.all(axis=1).mean() > 0.5


@pytest.mark.parametrize(
    ("method", "message"),
    [("cvnet", "CVNetRerank finds no points"), ("aqe", "name one that compares pairs")],
)
def test_a_method_without_points(world, method, message):
    photograph = _photograph(world / "a.png")
    with pytest.raises(UserError, match=message):
        match(world / "weights", photograph, photograph, method)
