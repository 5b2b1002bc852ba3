import cv2
import jax
import numpy as np
import pytest
import torch

from senet_jax.data.revisitop import Photograph
from senet_jax.rerank.geometric import fit_whitening, local_features, strongest_positions, verify
from senet_jax.rerank.local_features import FEATURES, LocalFeatureNetwork
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.oracles.lively_twin import lively_twin, lively_weights
from tests.oracles.pyramid import MEAN, STD

NAME = "tiny"
SHAPES = [(160, 208), (97, 130), (208, 160)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for seed, shape in enumerate(SHAPES):
        (folder / f"{seed}.png").write_bytes(encoded(picture(*shape, seed=seed), ".png"))
    (folder / "broken.png").write_bytes(b"text")
    return [Photograph(folder, f"{name}.png") for name in (*range(len(SHAPES)), "broken")]


@pytest.fixture(scope="module", params=["cpu", "gpu"])  # They have forms of their own.
def network(photographs, request):
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(jax, "default_backend", lambda: request.param)
        return LocalFeatureNetwork(lively_weights(NAME), photographs)


def _stage3(photograph):
    """By the twin, unpadded: float32[h w c]."""
    pixels = cv2.imread(str(photograph.path)).astype(np.float32) / 255
    pixels = (pixels - np.float32(MEAN)) / np.float32(STD)
    twin = lively_twin(NAME)
    with torch.no_grad():
        maps = twin.stem(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        return twin.s3(twin.s2(twin.s1(maps)))[0].permute(1, 2, 0).numpy()


def test_features_are_those_of_the_map_after_stage_3(network, photographs):
    maps = [_stage3(photograph) for photograph in photographs[: len(SHAPES)]]
    activations = [m[tuple(strongest_positions(m, FEATURES).T)] for m in maps]
    samples = np.concatenate(activations)
    width = min(128, samples.shape[1], len(samples) - 1)
    stride = network._stride
    for photograph, own in zip(photographs, maps, strict=False):
        expected = local_features(own, fit_whitening(samples, width), stride, FEATURES)
        found = network(photograph)
        # Positions that are nearly as active as each other may change places.
        order, expected_order = (np.lexsort(f.points.T) for f in (found, expected))
        np.testing.assert_array_equal(found.points[order], expected.points[expected_order])
        products = found.descriptors[order] * expected.descriptors[expected_order]
        # Whitening blows up what hardly varies, and with it the rounding.
        assert products.sum(axis=1).min() > 0.99


def test_a_photograph_agrees_with_itself(network, photographs):
    features = network(photographs[0])
    assert verify(features, features).inliers == len(features.points)
    assert network(photographs[0]) is features  # Not computed again.


def test_no_photograph_can_be_read(photographs):
    with pytest.raises(UserError, match="no image of the database can be read"):
        LocalFeatureNetwork(lively_weights(NAME), photographs[-1:])
