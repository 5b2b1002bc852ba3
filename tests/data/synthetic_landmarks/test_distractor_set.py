import dataclasses
import json

import cv2
import numpy as np
import pytest

from senet_jax.data.revisitop import load_distractors
from senet_jax.data.synthetic_landmarks import TINY, redrawn, write_distractors, write_evaluation
from senet_jax.data.synthetic_landmarks.drawing import draw_here
from senet_jax.system.errors import UserError

COUNT = 4


@pytest.fixture
def root(tmp_path):
    write_evaluation(TINY, "evaluation", tmp_path)
    return tmp_path


def test_they_are_pictures_that_the_database_does_not_hold(root):
    folder = write_distractors(root, COUNT)
    found = load_distractors(root, folder.name)
    assert len(found.images) == COUNT and found.missing is None
    pictures = {image.path.read_bytes() for image in found.images}
    others = {path.read_bytes() for path in (root / "landmarks" / "jpg").iterdir()}
    assert len(pictures) == COUNT and not pictures & others
    names = {image.path.stem for image in found.images}
    assert not names & {shot.name for shot in TINY.database_of("evaluation")}
    # A larger world of the same seed has the same ones in its own database.
    larger = dataclasses.replace(TINY, distractors=TINY.distractors + COUNT)
    shots = larger.database_of("evaluation")[-COUNT:]
    assert [shot.name for shot in shots] == [image.path.stem for image in found.images]
    for shot, image in zip(shots, found.images, strict=True):
        difference = cv2.imread(str(image.path)).astype(int) - larger.photograph("evaluation", shot)
        assert np.abs(difference).mean() < 4, "but for the compression"
        drawn, box = redrawn(image, side=64)
        assert drawn.shape == (64, 64, 3) and box is None


def test_a_run_that_broke_off_goes_on_and_a_set_grows(root):
    taken = []

    def broken(function, *arguments):
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(arguments[-1].name)
        return draw_here(function, *arguments)

    with pytest.raises(KeyboardInterrupt):
        write_distractors(root, COUNT, broken)
    missing = load_distractors(root, "synthetic_distractors").missing
    assert missing is not None and f"of {COUNT}" in missing
    drawn = []

    def counted(function, *arguments):
        drawn.append(arguments[-1].name)
        return draw_here(function, *arguments)

    write_distractors(root, COUNT, counted)
    assert len(drawn) == COUNT - 2 and not {*drawn} & {*taken}
    write_distractors(root, COUNT + 1, counted)
    assert len(drawn) == COUNT - 1
    assert len(load_distractors(root, "synthetic_distractors").images) == COUNT + 1


def test_they_are_of_the_world_that_is_there(root):
    write_distractors(root, 1)
    record = root / "synthetic_distractors" / "world.json"
    value = json.loads(record.read_text())
    assert value == json.loads((root / "landmarks" / "world.json").read_text())
    value["world"]["seed"] += 1
    record.write_text(json.dumps(value))
    with pytest.raises(UserError, match="synthetic_distractors holds another generated world"):
        write_distractors(root, 1)


def test_mistakes(tmp_path):
    for count in (0, 10**9):
        with pytest.raises(UserError, match=f"the count of distractors is {count}; give 1 to"):
            write_distractors(tmp_path, count)
    with pytest.raises(UserError, match="holds no generated world, whose distractors these"):
        write_distractors(tmp_path, 1)
    assert not list(tmp_path.iterdir())
