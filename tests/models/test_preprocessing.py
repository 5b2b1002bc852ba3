import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.system.errors import UserError


@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_normalise_is_the_loop(order):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3), np.uint8)
    preprocessing = Preprocessing(order, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    expected = np.empty(images.shape, np.float32)
    for channel in range(3):
        source = images[..., channel if order == "BGR" else 2 - channel].astype(np.float32) / 255
        expected[..., channel] = source
        expected[..., channel] -= np.float32(preprocessing.mean[channel])
        expected[..., channel] /= np.float32(preprocessing.std[channel])
    normalised = normalise(images, preprocessing)
    assert normalised.dtype == np.float32
    np.testing.assert_array_equal(normalised, expected)

    with jax.numpy_dtype_promotion("strict"):
        compiled = jax.jit(normalise, static_argnums=1)(jnp.array(images), preprocessing)
    assert isinstance(compiled, jax.Array)
    assert compiled.dtype == jnp.float32
    # XLA may multiply by a reciprocal: an ulp of a number up to 1, over a std of at least .2.
    np.testing.assert_allclose(compiled, expected, rtol=0, atol=1e-6)


def test_preprocessing_of_senet():
    black, white = normalise(np.array([[0, 0, 0], [255] * 3], np.uint8), Preprocessing())
    np.testing.assert_allclose(black, [-0.406 / 0.225, -0.456 / 0.224, -0.485 / 0.229], rtol=1e-6)
    np.testing.assert_allclose(white, [0.594 / 0.225, 0.544 / 0.224, 0.515 / 0.229], rtol=1e-6)


def test_preprocessing_there_and_back():
    for preprocessing in (Preprocessing(), Preprocessing("RGB", (0, 0.1, 0.2), (1, 2, 3))):
        text = json.dumps(preprocessing.to_json())
        assert Preprocessing.from_json(json.loads(text)) == preprocessing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_order": "GBR"}, "channel order is 'GBR'"),
        ({"mean": [0.1, 0.2]}, r"mean is \[0.1, 0.2\]; give three numbers"),
        ({"mean": 0.5}, "mean is 0.5; give three numbers"),
        ({"std": [1, 1, "1"]}, "std is .* give three numbers"),
        ({"std": [1, 1, float("nan")]}, "std is .* give three numbers"),
        ({"std": [1, 1, 0]}, r"std is \[1, 1, 0\]; give three numbers of 0.001 to 1000"),
        ({"std": [1, 1, 1e-40]}, "std is .* give three numbers of 0.001 to 1000"),
        ({"std": [1, 1, 10**400]}, "std is .* give three numbers"),
        ({"mean": [0, 0, -(10**400)]}, "mean is .* give three numbers of -1000 to 1000"),
        ({"mean": [0, 0, True]}, "mean is .* give three numbers"),
        ({"channel_order": ["BGR"]}, r"channel order is \['BGR'\]"),
        ({"scale": 255}, "holds .*'scale'.*; give channel_order, mean, std"),
    ],
)
def test_wrong_preprocessing(changes, message):
    with pytest.raises(UserError, match=message):
        Preprocessing.from_json({**Preprocessing().to_json(), **changes})


def test_incomplete_preprocessing():
    with pytest.raises(UserError, match=r"holds \['mean'\]; give channel_order, mean, std"):
        Preprocessing.from_json({"mean": [0, 0, 0]})
    with pytest.raises(UserError, match="holds 'BGR'; give"):
        Preprocessing.from_json("BGR")
