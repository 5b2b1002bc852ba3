import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from senet_jax.convert.mapping import table
from senet_jax.data.revisitop import Photograph
from senet_jax.features.reader import read_pyramid
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.models.registry import ARCHITECTURES, build_model, variable_shapes
from senet_jax.models.senet import without_descriptor_norm
from senet_jax.weights import flatten
from tests.data.pictures import MINIPHOTOS, needs_miniphotos
from tests.models.initial import initial_variables
from tests.oracles.lively_twin import (
    architecture_named,
    lively_twin,
    lively_weights,
    maps_of_twin,
    smooth_images,
)
from tests.programs import quickly
from tests.tolerances import (
    BATCHED,
    BFLOAT16_COSINE,
    ROUNDING,
    RUNNING_STATISTICS,
    SAMPLED_STD_SIGMAS,
    TIMES_THE_TWIN,
)

TINY = ("tiny", "tiny_direct", "tiny_dot", "tiny_concat", "tiny_fusion", "tiny_baseline")
HEADS = ("tiny_classifier", "tiny_learnable")
EMPTY_STAGES = "demo"
FAST = ("tiny", "tiny_dot")
ONE_BY_ONE = (7, 5)  # The maps of the last stage are 1x1.
PANORAMA = (48, 400)
ODD = (37, 61)


def _slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@functools.cache
def _run(name):
    """The jitted network with the lively weights: images -> named maps."""
    model, variables = build_model(architecture_named(name)), lively_weights(name).variables()
    jitted = jax.jit(lambda variables, images: model.apply(variables, images)[1])
    return functools.partial(jitted, variables)


def _images(count, shape):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return smooth_images((count, 3, *shape)).permute(0, 2, 3, 1).numpy().copy()


def _unit(descriptors):
    return descriptors / np.linalg.norm(descriptors, axis=-1, keepdims=True)


def _assert_as_near_to_float64_as_the_twin(name, images):
    """On every named map and on unit descriptors, in the root mean square over the images."""
    ours = {key: np.asarray(value, np.float64) for key, value in _run(name)(images).items()}
    twins = maps_of_twin(lively_twin(name), images, torch.float32)
    exact = maps_of_twin(lively_twin(name), images, torch.float64)
    for maps in (ours, twins, exact):
        maps["unit"] = _unit(maps["descriptor"])
    assert ours.keys() == exact.keys()
    for key in exact:
        assert ours[key].shape == exact[key].shape, key
        distance = np.linalg.norm(ours[key] - exact[key])
        of_the_twin = np.linalg.norm(twins[key] - exact[key])
        least = ROUNDING * np.linalg.norm(exact[key])
        assert distance <= TIMES_THE_TWIN * max(of_the_twin, least), key


@pytest.mark.parametrize(
    "name", [*FAST, EMPTY_STAGES, *(_slow(name) for name in (*TINY, *HEADS) if name not in FAST)]
)
def test_equals_the_twin_on_an_odd_crop(name):
    _assert_as_near_to_float64_as_the_twin(name, _images(8, ODD))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("tiny_direct", ONE_BY_ONE)]
    + [
        _slow(name, shape)
        for name in (*TINY, *HEADS)
        for shape in (ONE_BY_ONE, PANORAMA)
        if (name, shape) != ("tiny_direct", ONE_BY_ONE)
    ],
)
def test_equals_the_twin_on_other_shapes(name, shape):
    images = _images(8, shape)
    if shape == ONE_BY_ONE:
        assert _run(name)(images)["s4"].shape[1:3] == (1, 1)
    _assert_as_near_to_float64_as_the_twin(name, images)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "cvnet_r50"])
def test_equals_the_twin_in_full_size(name):
    _assert_as_near_to_float64_as_the_twin(name, _images(4, ODD))


@pytest.mark.slow
@needs_miniphotos
def test_r50_equals_the_twin_on_a_photograph_at_three_scales():
    file_name = sorted(path.name for path in (MINIPHOTOS / "jpg").iterdir())[0]
    photograph = Photograph(MINIPHOTOS / "jpg", file_name, box=(0, 0, 320, 240))
    for pixels in read_pyramid(photograph, (0.7071, 1.0, 1.4142)).levels:
        _assert_as_near_to_float64_as_the_twin("r50", normalise(pixels[None], Preprocessing()))


def test_descriptors_of_lively_weights_differ():
    """What gives the comparisons above their sharpness."""
    descriptors = _unit(np.asarray(_run("tiny")(_images(8, ODD))["descriptor"]))
    assert (descriptors @ descriptors.T).min() < 0.5


def test_a_batch_equals_its_images_one_by_one():
    images = _images(8, ODD)
    batch = _run("tiny")(images)
    for index in range(3):
        single = _run("tiny")(images[index : index + 1])
        for key in batch:
            difference = np.linalg.norm(single[key][0] - batch[key][index])
            assert difference <= BATCHED * np.linalg.norm(batch[key][index]), key


def test_training_uses_and_updates_the_statistics_of_the_batch():
    """Over batch, positions and offsets alike."""
    images = _images(4, ODD)
    twin = copy.deepcopy(lively_twin("tiny")).double().train()
    counts = {}  # How many values each norm sees of a channel.
    for key, module in twin.named_modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.register_forward_hook(
                lambda module, inputs, _, key=key: counts.update(
                    {key: inputs[0].numel() // module.num_features}
                )
            )
    before = {key: value.numpy().copy() for key, value in twin.state_dict().items()}
    with torch.no_grad():
        theirs = twin(torch.from_numpy(images).double().permute(0, 3, 1, 2))["descriptor"]

    model = build_model(ARCHITECTURES["tiny"], train=True)
    variables = lively_weights("tiny").variables()
    (ours, _), updated = jax.jit(lambda v, x: model.apply(v, x, mutable=["batch_stats"]))(
        variables, images
    )
    np.testing.assert_allclose(_unit(ours), _unit(theirs.numpy()), rtol=0, atol=RUNNING_STATISTICS)
    keys = {row.path: row.key for row in table(ARCHITECTURES["tiny"], "authors")}
    statistics = dict(flatten(updated, ""))
    assert len(statistics) == 2 * len(counts) > 0
    for path, value in statistics.items():
        norm = keys[path].rpartition(".")[0]
        after = twin.state_dict()[keys[path]].numpy()
        if path.endswith("/var"):  # PyTorch keeps the unbiased variance.
            kept = 0.9 * before[keys[path]]
            after = kept + (after - kept) * (counts[norm] - 1) / counts[norm]
        bar = RUNNING_STATISTICS * np.abs(after).max()
        np.testing.assert_allclose(value, after, rtol=0, atol=bar, err_msg=path)


@pytest.mark.slow
def test_bfloat16_keeps_parameters_in_float32_and_the_descriptors():
    model = build_model(ARCHITECTURES["tiny"], dtype=jnp.bfloat16)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *ODD, 3)))
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
    images = _images(8, ODD)
    descriptors, maps = quickly(model.apply)(lively_weights("tiny").variables(), images)
    assert descriptors.dtype == maps["pooled"].dtype == np.float32
    assert maps["s4"].dtype == maps["q"].dtype == maps["fused"].dtype == jnp.bfloat16
    assert np.isfinite(descriptors).all()
    cosines = np.sum(_unit(descriptors) * _unit(_run("tiny")(images)["descriptor"]), axis=1)
    assert cosines.min() > BFLOAT16_COSINE


@pytest.mark.slow
def test_a_norm_after_the_last_layer_can_be_folded_into_it():
    variables = lively_weights("tiny_baseline").variables()
    rng = np.random.default_rng(0)
    values = {
        key: rng.uniform(0.5, 2, 128).astype(np.float32) for key in ("scale", "bias", "mean", "var")
    }
    with_norm = {
        collection: tree | {"fc_bn": {kind: values[kind] for kind in kinds}}
        for collection, tree, kinds in (
            ("params", variables["params"], ("scale", "bias")),
            ("batch_stats", variables["batch_stats"], ("mean", "var")),
        )
    }
    images = _images(4, ODD)
    model = build_model(ARCHITECTURES["tiny_baseline"], descriptor_norm=True)
    expected, _ = quickly(model.apply)(with_norm, images)
    folded = without_descriptor_norm(with_norm)
    assert "fc_bn" in with_norm["params"]
    ours, _ = quickly(build_model(ARCHITECTURES["tiny_baseline"]).apply)(folded, images)
    bar = BATCHED * np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=bar)
    assert without_descriptor_norm(variables) is variables


@pytest.mark.slow
def test_every_parameter_gets_a_gradient():
    model, variables = build_model(ARCHITECTURES["tiny"]), lively_weights("tiny").variables()

    def loss(params, images):
        return jnp.sum(model.apply({**variables, "params": params}, images)[0] ** 2)

    gradient = quickly(jax.grad(loss))(variables["params"], _images(2, ODD))
    for path, value in flatten(gradient):
        assert np.isfinite(value).all() and np.any(value), path


@pytest.fixture(scope="module")
def initial():
    model = build_model(ARCHITECTURES["tiny"])
    return dict(flatten(initial_variables(model, jnp.zeros((1, 32, 32, 3)))))


def _has_std(values, std):
    return abs(values.std() / std - 1) < SAMPLED_STD_SIGMAS / np.sqrt(2 * values.size)


def test_convolutions_start_normal_by_their_fan_out(initial):
    kernels = {k: v for k, v in initial.items() if k.endswith("kernel") and v.ndim == 4}
    kernels = {k: v for k, v in kernels.items() if "/encoder/conv_" not in k}
    assert {"params/ssm/reduce/kernel", "params/ssm/fuse_1/kernel"} < set(kernels)
    assert len(kernels) == 1 + 4 * 3 + 4 + 4  # Stem, blocks, shortcuts, self-similarity.
    for path, kernel in kernels.items():
        height, width, _, outputs = kernel.shape
        std = np.sqrt(2 / (height * width * outputs))
        assert _has_std(kernel, std), path
        assert np.abs(kernel).max() > 2 * std, path  # No uniform distribution reaches so far.


def test_offset_convolutions_start_uniform_as_in_pytorch(initial):
    for block in range(2):
        kernel = initial[f"params/ssm/encoder/conv_{block}/kernel"]
        bound = (9 * kernel.shape[2]) ** -0.5
        assert 0.98 * bound < np.abs(kernel).max() <= bound
        assert _has_std(kernel, bound / np.sqrt(3))


def test_biases_start_uniform_as_in_pytorch(initial):
    inputs = {"encoder/conv_0": 9 * 16, "encoder/conv_1": 9 * 16}
    inputs |= {"encoder/expand": 16, "fuse_0": 128, "fuse_1": 128}
    for module, count in inputs.items():
        bias = initial[f"params/ssm/{module}/bias"]
        assert 0.7 * count**-0.5 < np.abs(bias).max() <= count**-0.5, module
        assert bias.min() < 0 < bias.max()


def test_the_last_layer_starts_small_and_without_bias(initial):
    assert _has_std(initial["params/fc/kernel"], 0.01)
    assert not initial["params/fc/bias"].any()


def test_batch_norms_start_as_the_identity(initial):
    starts = {"scale": 1, "mean": 0, "var": 1}
    for kind, value in starts.items():
        arrays = [v for k, v in initial.items() if k.endswith(f"/{kind}")]
        assert len(arrays) == 1 + 4 * 3 + 4 + 3
        assert all((array == value).all() for array in arrays)
    biases = [v for k, v in initial.items() if "bn" in k and k.endswith("bias")]
    assert len(biases) == 20 and not any(bias.any() for bias in biases)


@pytest.mark.parametrize("name", ["tiny", "cvnet_r50", "resnet50"])
def test_all_variables_are_float32(name):
    shapes = variable_shapes(ARCHITECTURES[name])
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
