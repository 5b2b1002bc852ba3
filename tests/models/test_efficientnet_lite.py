import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from senet_jax.convert.sources import read_source
from senet_jax.features.runner import Describer
from senet_jax.models.families.early_lite import EarlyLiteSettings
from senet_jax.models.families.lite0 import EfficientNetLiteSettings
from senet_jax.models.inference import transpose
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.models.registry import build_model, output_of
from senet_jax.models.valid_region import ValidRegion
from tests.data.pictures import MINIPHOTOS, needs_miniphotos, picture
from tests.models.initial import initial_variables
from tests.oracles import lite0
from tests.oracles.lite0 import needs_lite0
from tests.programs import quickly
from tests.tolerances import FLOAT32_EPSILON, TIMES_THE_TWIN

SMALL = EfficientNetLiteSettings(
    "small",
    stem_width=8,
    depths=(1, 2, 1, 1, 1, 1, 1),
    widths=(8, 12, 16, 16, 24, 24, 32),
    outputs=48,
)
# Some strides meet odd sides; the second image is smaller than `SMALLEST_SIDE`.
SIZES = [(67, 90), (21, 47)]
FORMS = ("exact", "padded", "transposed")


@functools.cache
def _weights():
    return read_source("pretrained:lite0")[0]


@functools.cache
def _lively():
    """Variables of `SMALL` whose norms are those of other maps than theirs."""
    model, rng = build_model(SMALL), np.random.default_rng(0)
    variables = initial_variables(model, jnp.zeros((1, 32, 32, 3)))
    draw = {
        "scale": lambda leaf: rng.uniform(0.5, 2, leaf.shape),
        "bias": lambda leaf: rng.normal(0, 0.5, leaf.shape),
        "mean": lambda leaf: rng.normal(0, 0.3, leaf.shape),
        "var": lambda leaf: rng.uniform(0.1, 1, leaf.shape),
        "kernel": lambda leaf: leaf,
    }
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.asarray(draw[path[-1].key](leaf), np.float32), variables
    )


def _padded(images, shape):
    return np.stack(
        [
            np.pad(image, ((0, shape[0] - image.shape[0]), (0, shape[1] - image.shape[1]), (0, 0)))
            for image in images
        ]
    )


def _images():
    rng = np.random.default_rng(1)
    return [rng.normal(size=(*size, 3)).astype(np.float32) for size in SIZES]


@pytest.mark.parametrize("transposed", [False, True])
def test_padding_and_transposing_change_nothing(transposed):
    model, variables, images = build_model(SMALL), _lively(), _images()
    apply = quickly(model.apply)
    alone = [apply(variables, image[None]) for image in images]
    assert (np.std([descriptor for descriptor, _ in alone], axis=0) > 0.1).mean() > 0.5
    padded, sizes = _padded(images, (72, 96)), np.array(SIZES, np.int32)
    if transposed:
        variables, padded, sizes = transpose(variables), padded.swapaxes(1, 2), sizes[:, ::-1]
    together, maps = apply(variables, padded, ValidRegion(sizes))
    for index, (descriptor, own) in enumerate(alone):
        height, width = own["local"].shape[1:3]
        local = maps["local"].swapaxes(1, 2) if transposed else maps["local"]
        # Random weights multiply roundings: sums are added up in another order.
        rounded = apply(_lively(), images[index][None] * np.float32(1 + FLOAT32_EPSILON))
        for ours, expected, moved in (
            (together[index], descriptor[0], rounded[0][0]),
            (local[index, :height, :width], own["local"][0], rounded[1]["local"][0]),
        ):
            apart = np.linalg.norm(ours - expected)
            assert apart <= 10 * np.linalg.norm(moved - expected)
            assert apart <= 0.01 * np.linalg.norm(expected)
        outside = np.array(local[index])
        outside[:height, :width] = 0
        assert not outside.any()


def test_the_head_of_an_early_stage_is_on_the_maps_of_the_whole_trunk():
    sizes = {field: getattr(SMALL, field) for field in ("stem_width", "depths", "widths")}
    early = EarlyLiteSettings("early", outputs=16, stages=4, **sizes)
    model, whole = build_model(early), _lively()
    drawn = initial_variables(model, jnp.zeros((1, 32, 32, 3)))
    variables = {
        kind: {**drawn[kind], "trunk": {block: whole[kind]["trunk"][block] for block in blocks}}
        for kind in drawn
        if (blocks := drawn[kind]["trunk"])
    }
    images, apply = _images(), quickly(model.apply)
    of_whole = quickly(lambda *inputs: build_model(SMALL).apply(*inputs)[1]["s4"])
    together, maps = apply(variables, _padded(images, (72, 96)), ValidRegion(np.array(SIZES)))
    for index, image in enumerate(images):
        descriptor, own = apply(variables, image[None])
        expected = of_whole(whole, image[None])
        # Random weights multiply roundings, and this is compiled differently.
        assert np.linalg.norm(own["s4"] - expected) <= 1e-4 * np.linalg.norm(expected)
        assert "s5" not in own and "local" not in own
        height, width = own["neck"].shape[1:3]
        inside = maps["neck"][index, :height, :width]
        for ours, alone in ((inside, own["neck"][0]), (together[index], descriptor[0])):
            assert np.linalg.norm(ours - alone) <= 1e-3 * np.linalg.norm(alone)
    assert (height, width) == (2, 2) and output_of(early, "global").stride(early) == 16


@pytest.mark.parametrize("size", [(1, 1), (5, 70)])
def test_images_that_the_strides_would_leave_nothing_of(size):
    model = build_model(SMALL)
    image = np.random.default_rng(2).normal(size=(1, *size, 3)).astype(np.float32)
    filled = np.pad(image, ((0, 0), *((0, max(0, 32 - side)) for side in size), (0, 0)))
    apply = jax.jit(model.apply)
    ours, maps = apply(_lively(), image)
    assert min(maps["head"].shape[1:3]) == 1
    np.testing.assert_array_equal(ours, apply(_lively(), filled)[0])


def test_where_a_position_of_the_local_features_looks():
    """What it depends on lies around the pixel that it is said to look at."""
    model = build_model(SMALL)
    variables = initial_variables(model, jnp.zeros((1, 32, 32, 3)))
    variables = jax.tree.map(jnp.abs, variables)  # Nothing cancels,
    image, position = jnp.full((1, 320, 320, 3), 1e-20), (9, 10)  # and no ReLU6 is switched.
    output = output_of(SMALL, "local")

    def activity(pixels):
        return jnp.sum(model.apply(variables, pixels)[1]["local"][0, *position])

    depends = np.asarray(jax.jit(jax.grad(activity))(image))[0].any(axis=2)
    for axis, index in enumerate(position):
        seen = np.flatnonzero(depends.any(axis=1 - axis))
        centre = output.stride(SMALL) * index + output.first(SMALL)
        assert 0 < seen[0] < seen[-1] < 319
        assert (seen[0] + seen[-1]) / 2 == centre


def test_the_local_features_are_as_wide_as_it_is_said():
    maps = jax.eval_shape(build_model(SMALL).apply, _lively(), jnp.zeros((1, 64, 80, 3)))[1]
    output = output_of(SMALL, "local")
    assert maps["local"].shape == (1, 4, 5, output.channels(SMALL))
    assert output.stride(SMALL) == 16
    assert maps["head"].shape == (1, 2, 2, SMALL.outputs)


@needs_lite0
@pytest.mark.parametrize("size", [(224, 224), (97, 130)])
def test_maps_are_as_near_to_float64_as_those_of_the_package(size):
    weights = _weights()
    pixels = normalise(picture(*size, seed=1)[None], weights.preprocessing)
    ours = jax.jit(build_model(weights.architecture).apply)(weights.variables(), pixels)[1]
    theirs, exact = (lite0.maps(pixels, dtype) for dtype in (torch.float32, torch.float64))
    assert theirs.keys() == ours.keys() - {"stem", "descriptor"}
    for name, values in exact.items():
        own = np.linalg.norm(theirs[name] - values)
        assert np.linalg.norm(ours[name] - values) <= TIMES_THE_TWIN * own, name


@needs_lite0
@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_descriptors_are_no_further_from_float64_than_those_of_the_package(form):
    weights = _weights()
    describer = Describer.of(weights, "exact" if form == "exact" else "auto")
    images = np.stack([picture(97, 130, seed) for seed in range(describer.devices)])
    pixels = normalise(images, weights.preprocessing)
    if form == "exact":
        ours = describer(images)
    else:
        sizes = np.tile(np.int32(images.shape[1:3]), (len(images), 1))
        images = _padded(images, (104, 136))
        if form == "transposed":
            images, sizes = images.swapaxes(1, 2), sizes[:, ::-1]
        ours = describer(images, sizes, transposed=form == "transposed")
    theirs, exact = (
        np.concatenate([lite0.descriptors(image[None], dtype) for image in pixels])
        for dtype in (torch.float32, torch.float64)
    )
    own = np.linalg.norm(theirs - exact)
    assert np.linalg.norm(ours - exact) <= own
    assert np.linalg.norm(ours - theirs) <= TIMES_THE_TWIN * own


@needs_lite0
@needs_miniphotos
def test_the_preprocessing_is_that_of_the_training():
    """The first batch norm has kept the variances of what it saw; other pixels give others."""
    kept = lite0.network()._bn0.running_var.numpy()
    is_active = kept > 1e-3
    photographs = sorted((MINIPHOTOS / "jpg").iterdir())[:16]
    images = np.stack([cv2.resize(cv2.imread(str(path)), (224, 224)) for path in photographs])

    def ratio(preprocessing):
        pixels = torch.from_numpy(normalise(images, preprocessing)).permute(0, 3, 1, 2)
        with torch.no_grad():
            maps = lite0.network()._conv_stem(pixels)
        seen = maps.transpose(0, 1).flatten(1).var(dim=1).numpy()
        return np.median(seen[is_active] / kept[is_active])

    usual = Preprocessing("RGB", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    assert 0.7 < ratio(_weights().preprocessing) < 1.4
    assert ratio(usual) > 3
