import cv2
import jax
import numpy as np
import pytest
import torch

from senet_jax.data.revisitop import Photograph
from senet_jax.features import runner as runner_module
from senet_jax.features import whitening as whitening_module
from senet_jax.features.local_features import LocalFeatures, strongest_positions
from senet_jax.features.networks import KEYPOINTS
from senet_jax.features.whitening import local_feature_cache
from senet_jax.rerank.geometric import verify
from senet_jax.search.whitening import fit_whitening
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.oracles.lively_twin import lively_twin, lively_weights
from tests.oracles.pyramid import MEAN, STD

NAME = "tiny"
SHAPES = [(160, 208), (97, 130), (208, 160)]
LIMIT = 2**30


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for seed, shape in enumerate(SHAPES):
        (folder / f"{seed}.png").write_bytes(encoded(picture(*shape, seed=seed), ".png"))
    (folder / "broken.png").write_bytes(b"text")
    return [Photograph(folder, f"{name}.png") for name in (*range(len(SHAPES)), "broken")]


@pytest.fixture(scope="module", params=["cpu", "gpu"])  # They have forms of their own.
def cache(photographs, request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(jax, "default_backend", lambda: request.param)
        # Compiled functions are kept for a network, whatever the backend.
        patches.setattr(runner_module, "_compiled", runner_module._compiled.__wrapped__)
        folder = tmp_path_factory.mktemp("local")
        cache = local_feature_cache(lively_weights(NAME), photographs, folder, LIMIT)
        cache.fill(photographs[: len(SHAPES)], "local features")
        return cache


def _stage3(photograph):
    """By the twin, unpadded: float32[h w c]."""
    pixels = cv2.imread(str(photograph.path)).astype(np.float32) / 255
    pixels = (pixels - np.float32(MEAN)) / np.float32(STD)
    twin = lively_twin(NAME)
    with torch.no_grad():
        maps = twin.stem(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        return twin.s3(twin.s2(twin.s1(maps)))[0].permute(1, 2, 0).numpy()


def test_features_are_those_of_the_map_after_stage_3(cache, photographs):
    maps = [_stage3(photograph) for photograph in photographs[: len(SHAPES)]]
    positions = [strongest_positions(own, KEYPOINTS) for own in maps]
    activations = [own[tuple(at.T)] for own, at in zip(maps, positions, strict=True)]
    samples = np.concatenate(activations)
    whitening = fit_whitening(samples, min(128, samples.shape[1], len(samples) - 1))
    stride = cache.runner.network.stride
    for photograph, at, own in zip(photographs, positions, activations, strict=False):
        keypoints, descriptors = stride * at[:, ::-1], whitening(own)
        found = LocalFeatures.of(cache[photograph])
        assert found.stride == stride and (found.scales == 1).all()
        # Positions that are nearly as active as each other may change places.
        order, expected = np.lexsort(found.keypoints.T), np.lexsort(keypoints.T)
        np.testing.assert_array_equal(found.keypoints[order], keypoints[expected])
        products = found.descriptors[order] * descriptors[expected]
        # Whitening blows up what hardly varies, and with it the rounding.
        assert products.sum(axis=1).min() > 0.99
        strengths = np.linalg.norm(own, axis=1)[expected]
        np.testing.assert_allclose(found.scores[order], strengths, rtol=1e-3)
        assert (np.diff(found.scores) <= 0).all()


def test_a_photograph_agrees_with_itself(cache, photographs):
    features = LocalFeatures.of(cache[photographs[0]])
    assert verify(features, features).inliers == len(features.keypoints)


def test_keypoints_of_a_box_are_in_pixels_of_the_photograph(cache, photographs):
    boxed = Photograph(photographs[0].folder, "0.png", box=(40.7, 16, 168, 144))
    keypoints = cache[boxed]["keypoints"]
    stride = cache.runner.network.stride
    assert ((keypoints - (40, 16)) % stride == 0).all()
    assert keypoints.min(axis=0).tolist() == [40, 16]
    assert keypoints.max(axis=0).tolist() == [40 + 128 - stride, 16 + 128 - stride]


def test_the_whitening_is_fitted_once_to_a_list(photographs, tmp_path, monkeypatch):
    weights = lively_weights(NAME)
    first = local_feature_cache(weights, photographs, tmp_path, LIMIT).runner.network.whitening
    [file] = (tmp_path / "whitening").iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(whitening_module, "_fitted", None)
        again = local_feature_cache(weights, photographs, tmp_path, LIMIT).runner.network.whitening
    assert again.sha256 == first.sha256
    # A broken file is made again, and another list has another one.
    file.write_bytes(file.read_bytes()[:-9])
    again = local_feature_cache(weights, photographs, tmp_path, LIMIT).runner.network.whitening
    assert again.sha256 == first.sha256
    other = local_feature_cache(weights, photographs[:2], tmp_path, LIMIT).runner.network.whitening
    assert other.sha256 != first.sha256
    assert len(list((tmp_path / "whitening").iterdir())) == 2


def test_no_photograph_can_be_read(photographs, tmp_path):
    with pytest.raises(UserError, match="no image of the database can be read"):
        local_feature_cache(lively_weights(NAME), photographs[-1:], tmp_path, LIMIT)
