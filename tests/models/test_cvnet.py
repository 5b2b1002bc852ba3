import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from senet_jax.models.cvnet import (
    CentrePivotConv,
    PairRegion,
    Reranker,
    correlations,
    reranker_params,
    resizings,
    stage3_before_relu,
)
from senet_jax.models.families.reranker import RERANKER
from senet_jax.models.inference import fold_batch_norms
from senet_jax.models.registry import build_model
from senet_jax.models.valid_region import WHOLE, ValidRegion
from tests.oracles.cvnet_twin import (
    TRUNK,
    lively_cvnet_weights,
    lively_reranker,
    scores_of_twin,
    stage3_of_twin,
)
from tests.oracles.lively_twin import architecture_named, lively_twin, smooth_images
from tests.tolerances import BATCHED, FEW_ROUNDINGS, ROUNDING, TIMES_THE_TWIN

# Of maps: query and key. The authors' code fails where a scale leaves nothing of a side.
SIZES = [((2, 2), (4, 3)), ((1, 7), (3, 2)), ((9, 6), (1, 1)), ((7, 5), (6, 11))]
SHAPE = (9, 11)
# The distance of a single score is a matter of luck.
PAIRS_OF_A_SIZE = 24


@functools.cache
def _params():
    return reranker_params(lively_cvnet_weights().variables([RERANKER]))


@functools.cache
def _jitted(method):
    return functools.partial(
        jax.jit(functools.partial(Reranker().apply, method=method)), {"params": _params()}
    )


def _maps(stage3):
    """The maps of a map float32[h w c] that is padded with rubbish: float32[3 h' w' d]."""
    more = [(0, whole - side) for whole, side in zip(SHAPE, stage3.shape, strict=False)]
    padded = np.pad(stage3, [*more, (0, 0)], constant_values=3)
    return _jitted("maps")(padded[None], resizings(stage3.shape[:2], SHAPE))[0]


def _scores(queries, keys, sizes):
    region = PairRegion(np.array(sizes, np.int32))
    return np.asarray(_jitted("scores")(jnp.stack(queries), jnp.stack(keys), region))


@functools.cache
def _stage3():
    """Maps of two images that are large enough to cut others out of, float32[h w c]."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(2)
        maps = stage3_of_twin(lively_twin(TRUNK), smooth_images((2, 3, 128, 160)))
    return maps.permute(0, 2, 3, 1).numpy()


def _cuts(size, image):
    (height, width), maps = size, _stage3()[image]
    places = [divmod(index, 8) for index in range(PAIRS_OF_A_SIZE)]
    return [maps[row : row + height, column : column + width] for column, row in places]


@functools.cache
def _pairs(index):
    """Pairs of a size: the padded maps of queries and of keys, and the sizes."""
    query, key = SIZES[index]
    maps = [[_maps(stage3) for stage3 in _cuts(size, i)] for i, size in enumerate((query, key))]
    return *maps, [(*query, *key)] * PAIRS_OF_A_SIZE


@functools.cache
def _scores_of_twins(index):
    query, key = SIZES[index]
    cuts = _cuts(query, 0), _cuts(key, 1)
    return [scores_of_twin(*cuts, dtype) for dtype in (torch.float32, torch.float64)]


def _assert_as_near_to_float64_as_the_twins(ours, indices):
    """Of all sizes together: at one of them the twin may be near by luck."""
    theirs, exact = (
        np.concatenate(scores) for scores in zip(*map(_scores_of_twins, indices), strict=True)
    )
    assert np.ptp(exact) > 0.1
    distance = max(np.linalg.norm(theirs - exact), ROUNDING * np.linalg.norm(exact))
    assert np.linalg.norm(ours - exact) <= TIMES_THE_TWIN * distance


def test_padded_pairs_of_all_sizes_at_once():
    pairs = [_pairs(index) for index in range(len(SIZES))]
    queries, keys, sizes = ([*itertools.chain(*values)] for values in zip(*pairs, strict=True))
    scores = _scores(queries, keys, sizes)
    _assert_as_near_to_float64_as_the_twins(scores, range(len(SIZES)))


def test_padded_pairs_one_by_one():
    pairs = [pair for index in range(len(SIZES)) for pair in zip(*_pairs(index), strict=True)]
    scores = [_scores([query], [key], [size])[0] for query, key, size in pairs]
    _assert_as_near_to_float64_as_the_twins(scores, range(len(SIZES)))


def test_pairs_without_padding():
    indices, scores = (1, 3), []
    for index in indices:
        queries, keys, sizes = _pairs(index)
        (height, width), (rows, columns) = SIZES[index]
        scores += _scores(
            [maps[:, :height, :width] for maps in queries],
            [maps[:, :rows, :columns] for maps in keys],
            sizes,
        ).tolist()
    _assert_as_near_to_float64_as_the_twins(scores, indices)


def test_query_and_key_are_not_the_same():
    """Otherwise no test could tell whether they are confused."""
    images = _cuts((6, 9), 0)[:4], _cuts((9, 5), 1)[:4]
    there = scores_of_twin(*images, torch.float64)
    back = scores_of_twin(*images[::-1], torch.float64)
    assert np.abs(there - back).min() > 1e-3


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 7), (5, 8)])
def test_maps_are_those_of_the_twin(size):
    stage3 = _cuts(size, 0)[0]
    ours = _maps(stage3)
    assert ours.shape == (3, *SHAPE, 256)
    assert not ours[:, size[0] :].any() and not ours[:, :, size[1] :].any()
    with torch.no_grad():
        tensor = torch.from_numpy(stage3.copy()).permute(2, 0, 1)[None]
        for scale, theirs in enumerate(lively_reranker().scales(tensor)):
            unit = theirs / theirs.norm(dim=1, keepdim=True)
            unit = torch.nn.functional.interpolate(unit, size, mode="bilinear", align_corners=True)
            found = ours[scale, : size[0], : size[1]]
            np.testing.assert_allclose(found, unit[0].permute(1, 2, 0), atol=FEW_ROUNDINGS)


@pytest.mark.parametrize("size", [(1, 3), (2, 9), (64, 48), (5, 47)])
def test_resizing_aligns_corners(size):
    """There and back; half of an odd number of places is rounded to the even number."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=size).astype(np.float32)
    sides = {0.25: {1: 1, 2: 1, 3: 2, 5: 2, 9: 4, 47: 24, 48: 24, 64: 32}, 1.0: {}}
    for scale, resizing in zip((0.25, 0.5, 1.0), resizings(size, size), strict=True):
        rows, columns = resizing.shrink
        small = rows @ maps @ columns.T
        if scale in sides:
            assert small.shape == tuple(sides[scale].get(side, side) for side in size)
        np.testing.assert_allclose(small, _interpolated(maps, small.shape), atol=2e-6)
        rows, columns = resizing.grow
        np.testing.assert_allclose(rows @ small @ columns.T, _interpolated(small, size), atol=2e-6)


def _interpolated(maps, size):
    tensor = torch.from_numpy(maps).double()[None, None]
    return torch.nn.functional.interpolate(tensor, size, mode="bilinear", align_corners=True)[0, 0]


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (3, 1), (3, 2)])
def test_centre_pivot_is_a_sparse_convolution_in_four_dimensions(kernel, stride, fast):
    """Of its dense 4-D kernel only what is central in one image's axes is not zero."""
    rng = np.random.default_rng(0)
    shape, inputs, outputs = (5, 4, 3, 6), 2, 3
    tensor = rng.normal(size=(*shape, inputs))
    params = {
        name: {
            "kernel": rng.normal(size=(kernel, kernel, inputs, outputs)),
            "bias": rng.normal(size=outputs),
        }
        for name in ("over_query", "over_key")
    }
    radius = kernel // 2
    dense = np.zeros((kernel,) * 4 + (inputs, outputs))
    dense[:, :, radius, radius] += params["over_query"]["kernel"]
    dense[radius, radius] += params["over_key"]["kernel"]
    padded = np.pad(tensor, [(radius, radius)] * 4 + [(0, 0)])
    expected = np.zeros((*(-(-n // stride) for n in shape), outputs))
    for place in np.ndindex(expected.shape[:4]):
        window = padded[tuple(slice(p * stride, p * stride + kernel) for p in place)]
        expected[place] = np.tensordot(window, dense, 5)
    expected += params["over_query"]["bias"] + params["over_key"]["bias"]
    tensor = jnp.asarray(tensor[None], jnp.float32)
    ours = CentrePivotConv(outputs, kernel, stride, fast).apply(
        {"params": jax.tree.map(np.float32, params)},
        tensor[:, :, :, ::stride, ::stride].transpose(0, 3, 4, 1, 2, 5),
        tensor[:, ::stride, ::stride],
    )
    np.testing.assert_allclose(ours[0], expected, rtol=1e-5, atol=1e-5)


def test_channels_are_the_querys_scales_times_the_keys():
    rng = np.random.default_rng(0)
    query, key = (rng.normal(size=(1, 2, *size, 5)).astype(np.float32) for size in ((2, 3), (4, 1)))
    there, back = correlations(query, key), correlations(key, query, key_first=True)
    np.testing.assert_allclose(there, np.transpose(back, (0, 3, 4, 1, 2, 5)), atol=FEW_ROUNDINGS)
    product = query[0, 0, 1, 2] @ key[0, 1, 3, 0], query[0, 1, 1, 2] @ key[0, 0, 3, 0]
    assert product[0] != product[1]
    found = np.asarray(there)[0, 1, 2, 3, 0, 1:3]
    np.testing.assert_allclose(found, np.maximum(product, 0), rtol=FEW_ROUNDINGS, atol=1e-6)


@pytest.mark.parametrize("norm", [1e-2, 1e-3])
def test_the_epsilon_of_tiny_norms_is_that_of_their_product(norm):
    """`q.k / (|q| |k| + 1e-8)` of the authors' code, not the cosine."""
    stage3 = _cuts((3, 3), 0)[0]
    with torch.no_grad():
        tensor = torch.from_numpy(stage3.copy()).permute(2, 0, 1)[None]
        *_, full = lively_reranker().scales(tensor)
    factor = np.float32(norm / full.norm(dim=1).mean())
    maps = _maps(stage3 * factor)[None, :, :3, :3]
    ours = np.asarray(correlations(maps, maps)[0, ..., 8])
    full = full[0].double().numpy() * factor
    products = np.einsum("chw,cuv->hwuv", full, full)
    norms = np.einsum("hw,uv->hwuv", *[np.linalg.norm(full, axis=0)] * 2)
    expected, cosine = (np.maximum(products / (norms + e), 0) for e in (1e-8, 0))
    assert np.abs(ours - expected).max() < 0.2 * np.abs(cosine - expected).max()


def test_a_map_of_zeros_is_like_nothing():
    zeros = np.zeros((3, 4, 96), np.float32)
    maps = _maps(zeros)
    assert not maps.any()
    [score] = _scores([maps], [_maps(_cuts((5, 5), 0)[0])], [(3, 4, 5, 5)])
    assert 0 < score < 1


@pytest.mark.parametrize("shape", [(32, 32), (37, 61), (9, 113)])
@pytest.mark.parametrize("fast", [False, True])
def test_stage_3_before_its_last_relu(shape, fast):
    architecture, weights = architecture_named(TRUNK), lively_cvnet_weights()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        images = smooth_images((2, 3, *shape))
        expected = stage3_of_twin(lively_twin(TRUNK), images).permute(0, 2, 3, 1).numpy()
    images = images.permute(0, 2, 3, 1).numpy()
    variables, region = weights.variables(), WHOLE
    size = [-(-side // architecture.stride(3)) for side in shape]
    if fast:
        variables = fold_batch_norms(variables)
        images = np.pad(images, [(0, 0), (0, 11), (0, 3), (0, 0)])
        region = ValidRegion(np.array([shape] * 2, np.int32))
    options = dict.fromkeys(("folded", "fast_blocks"), fast)
    ours = jax.jit(functools.partial(stage3_before_relu, build_model(architecture, **options)))(
        variables, images, region
    )
    assert (expected < 0).mean() > 0.2
    np.testing.assert_allclose(
        ours[:, : size[0], : size[1]], expected, atol=BATCHED * np.abs(expected).max()
    )
