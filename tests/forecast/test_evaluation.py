import cv2
import numpy as np
import pytest

from configs import evaluate
from senet_jax.errors import UserError
from senet_jax.files import write_json
from senet_jax.forecast.evaluation import forecast_evaluation

SIZES = [(64, 96), (60, 90), (65, 90), (130, 20), (64, 96)]


@pytest.fixture
def config(tmp_path):
    folder = tmp_path / "town" / "jpg"
    folder.mkdir(parents=True)
    for number, (height, width) in enumerate(SIZES):
        cv2.imwrite(str(folder / f"image{number}.jpg"), np.zeros((height, width, 3), np.uint8))
    (folder / "broken.jpg").write_bytes(b"no image")
    truth = {
        "imlist": [*(f"image{number}" for number in range(len(SIZES))), "broken"],
        "qimlist": ["image0"],
        "gnd": [{"bbx": [0, 0, 30, 20], "easy": [0], "hard": [], "junk": []}],
    }
    write_json(tmp_path / "town" / "gnd_town.json", truth)
    config = evaluate.get_config("tiny")
    config.data_root, config.datasets, config.scales = str(tmp_path), "town", (1.0,)
    return config


def test_images_descriptors_and_weights(config):
    lines = dict(forecast_evaluation(config))
    assert lines["town, queries"] == "1 images, descriptors of 512 bytes"
    assert lines["town, database"] == "6 images, descriptors of 3,072 bytes (3.0 KiB)"
    assert lines["images in all"] == "7, each at 1 scales"
    assert lines["parameters"] == "113,904"


@pytest.mark.parametrize(
    # Every shape its own, or sides rounded up to 64; the query is 20 x 30.
    ("mode", "count"),
    [("exact", len(set(SIZES)) + 1), ("auto", 4)],
)
def test_programs(config, mode, count):
    config.mode = mode
    lines = dict(forecast_evaluation(config))
    assert lines["programs"] == f"{count} or more: so many shapes have 7 of the images"


def test_distractors(config, tmp_path):
    (tmp_path / "crowd" / "jpg").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "crowd" / "jpg" / "a.jpg"), np.zeros((9, 9, 3), np.uint8))
    config.distractors = "crowd"
    assert dict(forecast_evaluation(config))["crowd"] == "1 images, descriptors of 512 bytes"


def test_only_a_sample_is_read(config, monkeypatch):
    monkeypatch.setattr("senet_jax.forecast.evaluation.SAMPLE", 2)
    assert "3 of the images" in dict(forecast_evaluation(config))["programs"]


def test_a_dataset_that_is_not_there(config):
    config.datasets = "village"
    with pytest.raises(UserError, match=r"no folder .*village; put the dataset there"):
        list(forecast_evaluation(config))
