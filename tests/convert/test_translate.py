import numpy as np
import pytest
import torch

from senet_jax.convert.mapping import canonical_naming, carried_rows, extra_tables, table
from senet_jax.convert.translate import (
    MisfitError,
    state_from_weights,
    weights_from_state,
)
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import ARCHITECTURES, build_model
from senet_jax.weights import tensor_shapes
from tests.convert.checkpoints import state_dict, under_torchvision_names
from tests.data.pictures import picture
from tests.oracles.cvnet_twin import lively_cvnet_weights
from tests.oracles.lively_twin import (
    architecture_named,
    lively_twin,
    lively_weights,
    maps_of_twin,
    state_of,
)
from tests.programs import quickly
from tests.tolerances import TIMES_THE_TWIN


def _empty_state(name):
    """A state with the network's names and shapes that takes no memory."""
    architecture = ARCHITECTURES[name]
    naming = canonical_naming(architecture)
    rows = [*table(architecture, naming), *carried_rows(architecture, naming)]
    rows += [row for extra in extra_tables(architecture, naming) for row in extra]
    return {row.key: np.broadcast_to(np.float32(0), row.shape) for row in rows}


# Their checkpoints are those of `tiny`'s, or there are none.
ALIKE = ("demo_baseline", "demo_fusion", "thumbnails")
# More of the same blocks; that the depth is guessed, `resnet101` shows below.
DEEPER = [name for name in ARCHITECTURES if "101" in name or "152" in name]


@pytest.mark.parametrize(
    "name",
    [
        name if "tiny" in name else pytest.param(name, marks=pytest.mark.slow)
        for name in ARCHITECTURES
        if not name.endswith("_dot") and name not in (*ALIKE, *DEEPER)
    ],
)
def test_the_network_is_guessed(name):
    # A name too many: the guess is told in the complaint, and nothing is translated.
    state = _empty_state(name) | {"one_too_many": np.zeros(1, np.float32)}
    with pytest.raises(MisfitError, match=f"^1 names or shapes do not fit {name}: one_too_many"):
        weights_from_state(state, {})


# Here, as guesses trace the same ones. Of the deeper ones, tests/models/test_architecture.py knows
# how many parameters they have; their variants are those of `r50`.
@pytest.mark.parametrize(
    "name",
    [
        name if "tiny" in name else pytest.param(name, marks=pytest.mark.slow)
        for name in ARCHITECTURES
        if not name.startswith(("r101", "r152"))
    ],
)
def test_every_network_can_be_built(name):
    has_parameters = any(path.startswith("params/") for path in tensor_shapes(ARCHITECTURES[name]))
    assert has_parameters == (name != "thumbnails")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_a_trunk_without_its_classifier_is_guessed(name):
    state = {k: a for k, a in _empty_state(name).items() if not k.startswith("head.fc")}
    with pytest.raises(MisfitError, match=f"^1 names or shapes do not fit {name}: one_too_many"):
        weights_from_state(state | {"one_too_many": np.zeros(1, np.float32)}, {})


def test_cosine_is_the_guess_where_names_do_not_tell():
    weights = weights_from_state(state_of(lively_twin("tiny_dot")), {})
    assert weights.architecture.name == "tiny"


def test_a_descriptor_of_another_width_is_no_network_here():
    state = state_of(lively_twin("tiny"))
    state["head.fc.weight"], state["head.fc.bias"] = state["head.fc.weight"][:9], np.zeros(9)
    with pytest.raises(MisfitError, match=r"head\.fc\.weight is \[9, 128\], not \[128, 128\]"):
        weights_from_state(state, {})


def test_state_and_weights_are_inverse():
    weights = lively_weights("tiny")
    again = weights_from_state(state_from_weights(weights), weights.source, weights.architecture)
    assert again.tensors.keys() == weights.tensors.keys()
    for path, tensor in weights.tensors.items():
        np.testing.assert_array_equal(again.tensors[path], tensor)


def test_a_reranker_is_translated_there_and_back():
    weights = lively_cvnet_weights()
    assert any(path.startswith("params/reranker/") for path in weights.tensors)
    again = weights_from_state(state_from_weights(weights), weights.source, weights.architecture)
    for ours, theirs in ((again.tensors, weights.tensors), (again.carried, weights.carried)):
        assert ours.keys() == theirs.keys()
        for key, tensor in theirs.items():
            np.testing.assert_array_equal(ours[key], tensor)


def test_a_torchvision_trunk_sees_the_same_in_bgr_as_pytorch_in_rgb(small_heads):
    name = "tiny_classifier"
    pixels = picture(37, 61)[None]
    rgb = pixels[..., ::-1].astype(np.float32) / 255
    rgb = (rgb - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    theirs = maps_of_twin(lively_twin(name), rgb, torch.float32)["s4"]
    exact = maps_of_twin(lively_twin(name), rgb, torch.float64)["s4"]

    state = {k: t.numpy() for k, t in under_torchvision_names(state_dict(name)).items()}
    weights = weights_from_state(state, {})
    assert weights.architecture == architecture_named(name)
    assert weights.preprocessing == Preprocessing()
    bgr = (pixels.astype(np.float32) / 255 - np.float32([0.406, 0.456, 0.485])) / np.float32(
        [0.225, 0.224, 0.229]
    )
    model = build_model(weights.architecture)
    ours = quickly(lambda *inputs: model.apply(*inputs)[1]["s4"])(weights.variables(), bgr)
    assert np.linalg.norm(ours - exact) <= TIMES_THE_TWIN * np.linalg.norm(theirs - exact)
