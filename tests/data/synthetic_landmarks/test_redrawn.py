import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.data.synthetic_landmarks import DATASETS, TINY, redrawn, write_evaluation

SMALL = dataclasses.replace(TINY, evaluation_families=1, siblings=2, easy=1, distractors=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("redrawn")
    write_evaluation(SMALL, "evaluation", root)
    return root


@pytest.mark.parametrize("name", DATASETS["evaluation"])
def test_the_same_scene_is_drawn_larger(written, name):
    dataset = load_dataset(written, name)
    for photograph in (*dataset.queries, *dataset.images):
        image, box = redrawn(photograph, 4 * SMALL.side)
        assert image.shape == (4 * SMALL.side, 4 * SMALL.side, 3)
        small = cv2.resize(image, (SMALL.side, SMALL.side), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(small.ravel(), photograph.read().ravel())[0, 1] > 0.85
        expected = None if photograph.box is None else tuple(4 * x for x in photograph.box)
        assert box == expected
    assert dataset.queries[0].box is not None


def test_a_picture_that_is_not_drawn_so_is_left_as_it_is(written, tmp_path):
    name = DATASETS["evaluation"][0]
    folder = shutil.copytree(written / name, tmp_path / name)
    query, other = load_dataset(tmp_path, name).queries
    assert redrawn(query, 64) is not None
    shutil.copy(other.path, query.path)  # Another scene under its name.
    assert redrawn(query, 64) is None
    renamed = dataclasses.replace(other, file_name="family-9-9-easy-x.jpg")
    shutil.copy(other.path, renamed.path)
    assert redrawn(renamed, 64) is None
    assert redrawn(dataclasses.replace(other, file_name="family-0000-7-easy-0.jpg"), 64) is None
    (folder / "world.json").unlink()
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    assert redrawn(dataclasses.replace(other, folder=elsewhere / "jpg"), 64) is None


@pytest.mark.parametrize(
    "record",
    [
        [],
        {"world": {}},
        {"world": {"sides": 3}, "split": "evaluation"},
        {"world": {"side": 10**9}, "split": "evaluation"},
        {"world": dataclasses.asdict(SMALL), "split": "training"},
        {"world": dataclasses.asdict(SMALL), "split": ["evaluation"]},
    ],
)
def test_records_of_others_are_no_error(written, tmp_path, record):
    name = DATASETS["evaluation"][0]
    folder = shutil.copytree(written / name, tmp_path / name)
    (folder / "world.json").write_text(json.dumps(record))
    assert redrawn(load_dataset(tmp_path, name).queries[0], 64) is None
