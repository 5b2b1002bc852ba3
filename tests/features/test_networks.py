import dataclasses
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import torch

from senet_jax.data.revisitop import Photograph
from senet_jax.features import origin
from senet_jax.features import runner as runner_module
from senet_jax.features.networks import DenseNetwork, GlobalNetwork, LocalNetwork, Part
from senet_jax.features.origin import origin_of_features
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import find_architecture
from senet_jax.rerank.pair_scores import map_cache
from senet_jax.system.errors import UserError
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture
from tests.features.extraction_command import ROOT
from tests.oracles import pyramid
from tests.oracles.cvnet_twin import TRUNK, lively_cvnet_weights, lively_reranker, stage3_of_twin
from tests.oracles.lively_twin import lively_twin, lively_weights
from tests.tolerances import TIMES_THE_TWIN

# The second is transposed; the third is much smaller than the shape that it is padded to.
SHAPES = [(128, 192), (61, 37), (5, 9), (97, 160)]


@pytest.mark.parametrize("backend", ["cpu", "gpu"])  # They have forms of their own.
def test_maps_of_cvnet_are_as_near_to_float64_as_the_twins(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    # Compiled functions are kept for a network, whatever the backend.
    monkeypatch.setattr(runner_module, "_compiled", runner_module._compiled.__wrapped__)
    for seed, shape in enumerate(SHAPES):
        (tmp_path / f"{seed}.png").write_bytes(encoded(picture(*shape, seed=seed), ".png"))
    photographs = [Photograph(tmp_path, f"{seed}.png") for seed in range(len(SHAPES))]
    cache = map_cache(lively_cvnet_weights(), tmp_path / "maps", 2**30)
    assert cache.runner.devices == jax.local_device_count() > 1
    cache.fill(photographs, "maps")
    for seed, shape in enumerate(SHAPES):
        ours = cache[photographs[seed]]["maps"]
        image = picture(*shape, seed=seed)
        theirs, exact = (_maps_of_twin(image, dtype) for dtype in (torch.float32, torch.float64))
        assert ours.shape == exact.shape and ours.dtype == np.float32
        assert np.linalg.norm(ours - exact) <= TIMES_THE_TWIN * np.linalg.norm(theirs - exact)
        needed = cache.runner.network.value_bytes(shape)
        assert (
            0
            < (tmp_path / "maps" / f"{cache.key(photographs[seed])}.npz").stat().st_size - (needed)
            < 1000
        )


def _maps_of_twin(image, dtype):
    pixels = torch.from_numpy(image.copy()).to(dtype) / 255
    pixels = (pixels - torch.tensor(pyramid.MEAN, dtype=dtype)) / torch.tensor(
        pyramid.STD, dtype=dtype
    )
    trunk, reranker = lively_twin(TRUNK), lively_reranker()
    try:
        with torch.no_grad():
            stage3 = stage3_of_twin(trunk.to(dtype), pixels.permute(2, 0, 1)[None])
            maps = []
            for scale in reranker.to(dtype).scales(stage3):
                unit = scale / scale.norm(dim=1, keepdim=True)
                unit = torch.nn.functional.interpolate(
                    unit, stage3.shape[2:], mode="bilinear", align_corners=True
                )
                maps.append(unit[0].permute(1, 2, 0).double().numpy())
    finally:
        trunk.float(), reranker.float()
    return np.stack(maps)


def test_weights_without_a_reranker_are_refused(tmp_path):
    with pytest.raises(UserError, match="tiny_learnable have no reranker; convert a checkpoint"):
        map_cache(lively_weights("tiny_learnable"), tmp_path, 0)
    with pytest.raises(
        UserError, match="tiny_classifier gives no dense features of images, but local"
    ):
        map_cache(lively_weights("tiny_classifier"), tmp_path, 0)


def test_broken_values_of_a_reranker_are_named():
    weights = lively_cvnet_weights()
    tensors = {**weights.tensors, "params/reranker/mlp_1/bias": np.full(2, np.nan, np.float32)}
    with pytest.raises(UserError, match=r"reranker/mlp_1/bias holds 2 values .* not finite"):
        dataclasses.replace(weights, tensors=tensors)


def test_the_part_of_an_image_is_cut_out_upright():
    maps = np.arange(4 * 6 * 2).reshape(4, 6, 2)
    upright = Part(((17, 33),), transposed=False, corner=(0, 0))
    np.testing.assert_array_equal(upright.cut(maps, 8), maps[:3, :5])
    lying = Part(((17, 33),), transposed=True, corner=(0, 0))
    np.testing.assert_array_equal(lying.cut(maps, 8), maps[:3, :5].swapaxes(0, 1))


def test_an_origin_tells_all_that_values_depend_on(monkeypatch):
    weights = lively_cvnet_weights()
    dense = DenseNetwork(weights.architecture, weights.preprocessing)
    changed = [
        dataclasses.replace(weights, **changes)
        for changes in (
            {"sha256": "a"},
            {"sha256": "b"},
            {"preprocessing": dataclasses.replace(weights.preprocessing, channel_order="RGB")},
            {"architecture": dataclasses.replace(weights.architecture, stage_strides=(1, 1, 1, 1))},
        )
    ]
    origins = [origin_of_features(each, dense.settings()) for each in changed]
    others = (GlobalNetwork, LocalNetwork)
    networks = [network(dense.architecture, dense.preprocessing) for network in others]
    networks.append(dataclasses.replace(dense, mode="exact"))
    origins += [origin_of_features(weights, network.settings()) for network in networks]
    monkeypatch.setattr(origin, "versions", lambda: {"jax": "0.0"})
    origins.append(origin_of_features(weights, dense.settings()))
    assert all(origins.count(each) == 1 for each in origins) and len(origins) == 8


FILL = """
import pathlib
import sys
from senet_jax.data.revisitop import Photograph
from senet_jax.features.whitening import local_feature_cache
from senet_jax.rerank.pair_scores import map_cache
from senet_jax.weights import load_weights
folder, devices = pathlib.Path(sys.argv[1]), int(sys.argv[2])
weights = load_weights(folder / "weights")
photographs = [Photograph(folder, f"{number}.png") for number in range(5)]
place = folder / sys.argv[2]
for cache in (
    map_cache(weights, place / "maps", 2**30),
    local_feature_cache(weights, photographs, place / "local", 2**30),
):
    assert cache.runner.devices == devices
    cache.fill(photographs, "features")
"""


@pytest.mark.slow
def test_two_devices_leave_the_bytes_of_one(tmp_path):
    """By as many threads: how many share a product of matrices decides over its last bits."""
    save_weights(tmp_path / "weights", lively_cvnet_weights())
    for number in range(5):
        shape = (60, 90) if number % 2 else (90, 60)
        content = encoded(picture(*shape, seed=number), ".png")
        (tmp_path / f"{number}.png").write_bytes(content)
    for devices in (1, 2):
        flags = f"--xla_force_host_platform_device_count={devices}"
        subprocess.run(
            [sys.executable, "-c", FILL, tmp_path, str(devices)],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": flags, "NPROC": "4"},
            check=True,
        )
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*.npz"))}
        for root in (tmp_path / "1", tmp_path / "2")
    )
    assert len(one) == 5 + 5 + 1 and one == two


def test_keypoints_lie_where_positions_look():
    network = LocalNetwork(find_architecture("lite0"), Preprocessing())
    maps = np.zeros((1, 5, 6, 672), np.float32)
    maps[0, 1, 2] = 1
    parts = [Part(sizes=((80, 96),), transposed=False, corner=(5, 7))]
    [value] = network.values([maps], parts)
    assert value["keypoints"].tolist() == [[16 * 2 + 15 + 5, 16 * 1 + 15 + 7]]
    assert (value["scales"], value["stride"]) == (1, 16)


def test_keypoints_of_a_shrunk_photograph_are_in_pixels_of_the_photograph():
    network = LocalNetwork(find_architecture("lite0"), Preprocessing())
    maps = np.zeros((1, 5, 6, 672), np.float32)
    maps[0, 1, 2] = 1
    [value] = network.values([maps], [Part(((80, 96),), False, corner=(5, 7), step=4.0)])
    # The middle of a pixel that covers four by four.
    assert value["keypoints"].tolist() == [[5 + 4 * 47 + 1.5, 7 + 4 * 31 + 1.5]]
    assert (value["scales"], value["stride"]) == (0.25, 64)
