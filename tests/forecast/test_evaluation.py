import cv2
import jax
import numpy as np
import pytest

from configs import evaluate
from senet_jax.data.transforms import UnreadableImage
from senet_jax.forecast.evaluation import forecast_evaluation
from senet_jax.system.errors import UserError
from senet_jax.system.files import write_json
from senet_jax.system.host_memory import CPU_BYTES_PER_PIXEL, KERNEL_BYTES

SIZES = [(64, 96), (60, 90), (65, 90), (130, 20), (64, 96)]
# The channels of all batch norms of `tiny`, each with a mean and a variance.
NORMED = 16 + sum(2 * (width // 4) + 2 * width for width in (32, 64, 96, 128)) + 2 * 16 + 128


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
    padding = 100 * (24 * 32 / (30 * 20) - 1)
    assert lines["town, queries"] == (
        f"1 images, 0 unreadable; descriptors of 512 bytes; {padding:.1f} % of padding"
    )
    # The portrait is turned and is as alone in its batch of four as it would be without.
    area = sum(height * width for height, width in SIZES)
    padding = 100 * (2 * 4 * 72 * 136 / area - 1)
    assert lines["town, database"] == (
        f"6 images, 1 unreadable; descriptors of 3,072 bytes (3.0 KiB); {padding:.1f} % of padding"
    )
    assert lines["images in all"] == "7, each at 1 scales"
    assert lines["parameters"] == "113,904"
    variables = 113_904 + 2 * NORMED
    assert lines["weights on the device"].startswith(f"{4 * variables:,} bytes (")


@pytest.mark.parametrize(
    # Every shape its own; or one for all landscapes and portraits and one for the query of 20x30.
    ("mode", "count", "pixels"),
    [("exact", len(set(SIZES)) + 1, 64 * 96), ("auto", 2, 4 * 72 * 136)],
)
def test_programs(config, mode, count, pixels):
    config.mode = mode
    lines = dict(forecast_evaluation(config))
    assert lines["programs"] == str(count)
    needed = 2 * (CPU_BYTES_PER_PIXEL * pixels + KERNEL_BYTES) * jax.local_device_count()
    assert lines["memory of the batches in flight"].startswith(f"about {needed:,} bytes (")
    if mode == "exact":
        assert "; 0.0 % of padding" in lines["town, database"]


def test_databases_in_fewer_bits(config):
    config.storage = "int8"
    lines = dict(forecast_evaluation(config))
    assert "; descriptors of 512 bytes; " in lines["town, queries"]
    assert f"; descriptors of {6 * (128 + 4)} bytes; " in lines["town, database"]


def test_queries_that_are_not_cropped(config):
    """The photograph of 64x96, not the box of 20x30."""
    config.crop_queries = False
    assert "; 0.0 % of padding" in dict(forecast_evaluation(config))["town, queries"]


def test_distractors(config, tmp_path):
    (tmp_path / "crowd" / "jpg").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "crowd" / "jpg" / "a.jpg"), np.zeros((9, 9, 3), np.uint8))
    config.distractors = "crowd"
    line = dict(forecast_evaluation(config))["crowd"]
    assert line.startswith("1 images, 0 unreadable; descriptors of 512 bytes; ")


def test_no_photograph_is_decoded(config, monkeypatch):
    """Only what Pillow cannot measure is tried."""
    tried = []

    def read(path):
        tried.append(path.name)
        raise UnreadableImage(path)

    monkeypatch.setattr("senet_jax.data.revisitop.read_image", read)
    list(forecast_evaluation(config))
    assert tried == ["broken.jpg"]


def test_a_dataset_that_is_not_there(config):
    config.datasets = "village"
    with pytest.raises(UserError, match=r"no folder .*village; put the dataset there"):
        list(forecast_evaluation(config))
