import json

import cv2
import jax
import numpy as np
import pytest

from senet_jax.convert.__main__ import main as convert
from senet_jax.data.in_memory import as_photographs
from senet_jax.features.extract import extract
from senet_jax.features.runner import Describer
from senet_jax.models.families.thumbnails import ThumbnailSettings
from senet_jax.models.registry import build_model, find_architecture
from senet_jax.models.valid_region import ValidRegion
from senet_jax.system.errors import UserError
from senet_jax.weights import load_weights
from tests.data.pictures import picture


def _thumbnails(images, region=None):
    model = build_model(find_architecture("thumbnails"))
    with jax.default_matmul_precision("highest"):  # As the engine does.
        return model.apply({}, images, *([] if region is None else [region]))


@pytest.mark.parametrize("shape", [(64, 80), (37, 101), (5, 3)])
def test_cells_are_means_over_their_area(shape):
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    descriptor, maps = _thumbnails(image[None])
    height, width = (side * 8 for side in shape)
    enlarged = (
        image.astype(np.float64).repeat(8, axis=0).repeat(8, axis=1)
    )  # Each cell is whole pixels of it.
    cells = enlarged.reshape(8, height // 8, 8, width // 8, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(maps["thumbnail"][0], cells, rtol=1e-5)
    np.testing.assert_allclose(descriptor[0], (cells - cells.mean()).ravel(), atol=1e-6)


def test_padding_changes_nothing():
    image = np.random.default_rng(0).random((1, 30, 50, 3), np.float32)
    padded = np.pad(image, ((0, 0), (0, 9), (0, 14), (0, 0)))
    region = ValidRegion(np.array([[30, 50]], np.int32))
    np.testing.assert_allclose(
        _thumbnails(padded, region)[0], _thumbnails(image)[0], rtol=1e-5, atol=1e-6
    )


def test_a_folder_of_no_weights_describes(tmp_path, run_command_here):
    done = run_command_here(convert, "thumbnails", tmp_path / "weights")
    assert (done.returncode, done.stderr) == (0, "")
    assert "thumbnails, 0 parameters, nothing is learned in it, colour thumbnails" in done.stdout
    weights = load_weights(tmp_path / "weights")
    assert weights.remarks == ["colour thumbnails, no network"] and not weights.tensors
    assert json.loads((tmp_path / "weights" / "model.json").read_text())["family"] == "thumbnails"
    images = [picture(40, 48, seed=seed) for seed in range(2)]
    rows, _ = extract(Describer.of(weights), as_photographs(images, None, "bgr"), (1.0,), label="")
    small = [cv2.resize(i, (8, 8), interpolation=cv2.INTER_AREA)[..., ::-1] for i in images]
    expected = np.stack(small).reshape(2, -1) - np.mean(small, axis=(1, 2, 3))[:, None]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, expected, atol=0.01)


def test_outputs_are_the_colours_of_the_cells():
    assert ThumbnailSettings("small", side=4, outputs=48).outputs == 48
    with pytest.raises(UserError, match="its outputs are 192, not three colours of 4²"):
        ThumbnailSettings("small", side=4)
