import itertools
import threading

import jax
import numpy as np
import pytest

from senet_jax.models.preprocessing import Preprocessing
from senet_jax.system.errors import UserError
from senet_jax.training.feed import normalised, placed_ahead

BGR = Preprocessing()
RGB = Preprocessing("RGB", BGR.mean[::-1], BGR.std[::-1])
# Values up to 3 in float32, four operations.
ROUNDED = 1e-6


@pytest.mark.parametrize("preprocessing", [BGR, RGB])
def test_pixels_and_their_light_are_normalised_on_the_device(preprocessing):
    rng = np.random.default_rng(0)
    batch = {"labels": np.arange(4, dtype=np.int32)}
    for name in ("images", "positives"):
        batch[name] = rng.integers(0, 256, (4, 5, 6, 3), np.uint8)
        batch[f"{name}_light"] = rng.normal(0, 0.1, (4, 3)).astype(np.float32)
    result = jax.jit(lambda batch: normalised(batch, preprocessing))(batch)
    assert result.keys() == {"images", "positives", "labels"}
    np.testing.assert_array_equal(result["labels"], batch["labels"])
    for name in ("images", "positives"):
        lit = batch[name] / 255 + batch[f"{name}_light"].astype(float)[:, None, None]
        colours = dict(zip("BGR", np.moveaxis(lit, -1, 0), strict=True))
        expected = np.stack(
            [
                (colours[channel] - mean) / std
                for channel, mean, std in zip(
                    preprocessing.channel_order, preprocessing.mean, preprocessing.std, strict=True
                )
            ],
            axis=-1,
        )
        assert result[name].dtype == np.float32
        np.testing.assert_allclose(result[name], expected, rtol=0, atol=ROUNDED)


def test_the_next_batch_is_made_and_placed_while_the_step_before_is_computed():
    placed = [threading.Event() for _ in range(9)]

    def place(number):
        assert threading.current_thread() is not threading.main_thread()
        placed[number].set()
        return -number

    batches = placed_ahead(itertools.count(), place)
    assert next(batches) == 0
    assert placed[1].wait(10), "batch 1 waits for nobody"
    assert next(batches) == -1
    assert placed[2].wait(10)
    batches.close()
    assert not placed[4].is_set(), "no more than one batch is ahead"


def test_what_cannot_be_made_is_said_when_its_turn_comes():
    def made():
        yield 0
        raise UserError("no image can be read")

    batches = placed_ahead(made(), lambda batch: batch)
    assert next(batches) == 0
    with pytest.raises(UserError, match="no image can be read"):
        next(batches)
