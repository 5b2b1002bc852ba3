import dataclasses
import re

import jax
import numpy as np
import pytest

from configs import common
from senet_jax.config import read
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import ARCHITECTURES, family_of
from senet_jax.models.senet import without_descriptor_norm
from senet_jax.system.errors import UserError
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import make_setup
from senet_jax.weights import Weights, flatten, tensor_shapes
from tests.oracles.cvnet_twin import lively_cvnet_weights
from tests.oracles.lively_twin import architecture_named
from tests.training import landmarks

TINY = ARCHITECTURES["tiny"]
TINY_CLASSIFIER = dataclasses.replace(architecture_named("tiny_classifier"), outputs=10)


def _weights(architecture, **changes):
    if isinstance(architecture, str):
        architecture = ARCHITECTURES[architecture]
    rng = np.random.default_rng(0)
    tensors = {
        path: rng.uniform(0.5, 1, shape).astype(np.float32)
        for path, shape in tensor_shapes(architecture).items()
    }
    weights = Weights(architecture, Preprocessing(), tensors, {}, {})
    return dataclasses.replace(weights, **changes)


def _setup(model="tiny", **changes):
    config = common.train(model)
    config.update(changes)
    return make_setup(read(TrainingSettings, config), class_count=12, steps_per_epoch=3.0)


def _assert_taken(started, weights, parts):
    """The variables of the parts are the weights', and all others are as they were."""
    before = dict(flatten(landmarks.initial(TINY)))
    for path, leaf in flatten(started):
        expected = weights.tensors if path.split("/")[1] in parts else before
        np.testing.assert_array_equal(leaf, expected[path])


@pytest.mark.parametrize(
    ("source", "parts", "said"),
    [
        ("tiny", {"trunk", "ssm", "fc"}, "trunk taken (85 tensors), self_similarity taken (23 "
         "tensors), head taken (2 tensors)"),
        ("tiny_baseline", {"trunk", "fc"}, "trunk taken (85 tensors), head taken (2 tensors), "
         "self_similarity fresh"),
        (TINY_CLASSIFIER, {"trunk"}, "trunk taken (85 tensors), self_similarity fresh, head fresh, "
         "its classifier of 10 classes not used"),
        # As wide as a descriptor, and yet something else.
        (dataclasses.replace(TINY_CLASSIFIER, outputs=128), {"trunk"}, "its classifier of 128"),
        (architecture_named("tiny_learnable"), {"trunk", "fc"}, "pooling power not used"),
    ],
)  # fmt: skip
def test_each_part_is_taken_whole_and_the_rest_is_said(source, parts, said):
    setup, weights = _setup(), _weights(source)
    start = setup.start_from(weights)
    assert said in str(start)
    _assert_taken(start.applied(landmarks.initial(TINY)), weights, parts)


def test_a_reranker_is_not_used():
    start = _setup().start_from(lively_cvnet_weights())
    assert "re-ranker not used" in str(start) and "pooling power not used" in str(start)


def test_the_recipe_starts_from_a_trunk_of_imagenet():
    assert str(_setup("r50").start_from(_abstract("resnet50"))) == (
        "trunk taken (265 tensors), self_similarity fresh, head fresh, its classifier of 1000 "
        "classes not used"
    )


@pytest.mark.parametrize("name", ["lite0", "early_lite0_channel_wise", "gem_r50", "cvnet_r50"])
def test_networks_of_other_families_start_from_their_own(name):
    started = _setup(name).start_from(_abstract(name))
    assert started.tensors.keys() == tensor_shapes(ARCHITECTURES[name]).keys()
    assert not started.unused and set(started.fresh) <= {"descriptor_norm"}


def test_every_tensor_is_told_of():
    weights = _weights("tiny")
    counts = [
        int(count) for count in re.findall(r"(\d+) tensors", str(_setup().start_from(weights)))
    ]
    assert sum(counts) == len(weights.tensors)


def test_what_is_not_in_the_network_is_said():
    start = _setup("tiny_baseline").start_from(_weights("tiny"))
    assert str(start).endswith("head taken (2 tensors), self_similarity not used")


def test_weights_may_be_of_lower_precision():
    weights = _weights("tiny")
    halves = {path: tensor.astype(np.float16) for path, tensor in weights.tensors.items()}
    start = _setup().start_from(dataclasses.replace(weights, tensors=halves))
    dtypes = {leaf.dtype for _, leaf in flatten(start.applied(landmarks.initial(TINY)))}
    assert dtypes == {np.dtype("float32")}


def test_a_fresh_norm_leaves_the_descriptors_of_the_weights():
    weights = _weights("tiny")
    start = _setup(descriptor_norm=True).start_from(weights)
    assert str(start).endswith("descriptor_norm fresh")
    started = start.applied(landmarks.initial(TINY, descriptor_norm=True))
    for path, leaf in flatten(without_descriptor_norm(started)):
        np.testing.assert_allclose(leaf, weights.tensors[path], rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "source", "message"),
    [
        ("tiny", "resnet50", "holds resnet50, whose trunk is not that of tiny, config.model: "),
        (
            "r50",
            "r101",
            r"whose trunk is not that of r50, .*/trunk/s3/b.*\) there and missing here",
        ),
        ("tiny", "tiny_direct", "holds tiny_direct, whose self_similarity is not that of tiny"),
        ("tiny", "tiny_concat", "whose self_similarity is not that of tiny, .* is .* here"),
        # Of the same shapes.
        ("tiny", "tiny_dot", "whose self_similarity is not that of tiny, .*measure='dot'"),
        (
            "tiny",
            dataclasses.replace(TINY, outputs=64),
            r"whose head is not that of tiny, .* is \(64,\) there and \(128,\) here",
        ),
        (
            "tiny",
            dataclasses.replace(TINY, stage_strides=(1, 2, 2, 2)),
            r"whose trunk is not that of tiny, .*its stage_strides is \(1, 2, 2, 2\)",
        ),
    ],
)
def test_a_part_that_is_another_one_is_one_line(model, source, message):
    with pytest.raises(UserError, match=f"config.start .*{message}"):
        _setup(model).start_from(_abstract(source))


def _abstract(source):
    """Weights of zeros that take no memory: only their shapes count."""
    architecture = ARCHITECTURES[source] if isinstance(source, str) else source
    shapes = tensor_shapes(architecture)
    zero = np.zeros((), np.float32)
    tensors = {path: np.broadcast_to(zero, shape) for path, shape in shapes.items()}
    return Weights(architecture, family_of(architecture).preprocessing, tensors, {}, {})


def test_weights_for_other_images_are_one_line():
    weights = _weights("tiny", preprocessing=Preprocessing(channel_order="RGB"))
    with pytest.raises(UserError, match=r"config\.start holds tiny, which takes Prep.*RGB.*BGR"):
        _setup().start_from(weights)


def test_the_structure_stays():
    started = _setup().start_from(_weights("tiny")).applied(landmarks.initial(TINY))
    assert jax.tree.structure(started) == jax.tree.structure(landmarks.initial(TINY))
