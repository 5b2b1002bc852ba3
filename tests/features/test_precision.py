import re

import jax
import numpy as np
import pytest
import torch

from senet_jax.features.networks import GlobalNetwork
from senet_jax.features.origin import check_origin
from senet_jax.features.precision import PRECISIONS
from senet_jax.features.runner import Describer
from senet_jax.models.preprocessing import normalise
from senet_jax.models.valid_region import ValidRegion
from senet_jax.system.errors import UserError
from tests.data.pictures import picture
from tests.oracles.lively_twin import lively_twin, lively_weights, maps_of_twin
from tests.tolerances import BFLOAT16_COSINE


def _images(devices):
    return np.stack([picture(24, 32, seed) for seed in range(devices)])


def _distances(mode, precision):
    """Of unit descriptors from the twin's in float64."""
    weights = lively_weights("tiny")
    describer = Describer.of(weights, mode, precision)
    images = _images(describer.devices)
    wide = maps_of_twin(
        lively_twin("tiny"), normalise(images, weights.preprocessing), torch.float64
    )["descriptor"]
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return np.linalg.norm(np.asarray(describer(images), np.float64) - wide, axis=1)


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_bfloat16_is_less_exact_and_near(mode):
    near, exact = _distances(mode, "bfloat16"), _distances(mode, "float32")
    assert (near > 100 * exact).all()
    assert (near**2 / 2 <= 1 - BFLOAT16_COSINE).all()  # Of unit vectors, one minus the cosine.


def _traced(precision):
    """The products of a network as JAX traces it: the function's name, dtypes, precision."""
    weights = lively_weights("tiny")
    network = GlobalNetwork(weights.architecture, weights.preprocessing, "auto", precision)
    variables = network.prepared(weights.variables())
    region = ValidRegion(np.full((1, 2), 32, np.int32))
    images = np.zeros((1, 32, 32, 3), np.uint8)
    return str(jax.make_jaxpr(network.function())(variables, images, region, ()))


@pytest.mark.parametrize(
    ("precision", "of_maps", "dtype"),
    [("float32", "HIGHEST", "f32"), ("tf32", "HIGH", "f32"), ("bfloat16", "DEFAULT", "bf16")],
)
def test_products_of_an_accelerator(monkeypatch, precision, of_maps, dtype):
    """All convolutions in the precision, the last layer and what is after it in float32."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    text = _traced(precision)
    convolutions = re.findall(r"(\w+)\[[\d,]*\] = conv_general_dilated\[(.*?)\n\s*\]", text, re.S)
    assert len(convolutions) > 15
    for found, settings in convolutions:
        assert found == dtype
        assert set(re.findall(r"precision=\(?(?:Precision\.)?(\w+)", settings)) == {of_maps}
    [(found, settings)] = re.findall(r"(\w+)\[[\d,]*\] = dot_general\[(.*?)\n\s*\]", text, re.S)
    assert found == "f32" and "HIGHEST" in settings and "HIGH," not in settings
    norms = re.findall(r"(\w+)\[[\d,]*\] = rsqrt", text)
    assert norms and set(norms) == {"f32"}


def test_no_other_devices_have_tf32():
    with pytest.raises(UserError, match="'tf32', which GPUs have and this cpu has not; give float"):
        Describer.of(lively_weights("tiny"), precision="tf32")


def test_an_unknown_precision_names_those_that_are():
    with pytest.raises(UserError, match=f"'half'; give one of {', '.join(PRECISIONS)}"):
        Describer.of(lively_weights("tiny"), precision="half")


def test_what_is_kept_from_before_is_in_float32(tmp_path):
    check_origin({"weights": "abc"}, {"weights": "abc"}, tmp_path)
    with pytest.raises(UserError, match="made with precision 'float32', now it is 'bfloat16'"):
        check_origin({"weights": "abc"}, {"weights": "abc", "precision": "bfloat16"}, tmp_path)
    with pytest.raises(UserError, match="made with precision 'bfloat16', now it is 'float32'"):
        check_origin({"weights": "abc", "precision": "bfloat16"}, {"weights": "abc"}, tmp_path)
