import numpy as np
import pytest

from senet_jax.convert.sources import read_source
from senet_jax.features.keypoints import Keypoints
from senet_jax.models.lightglue import THRESHOLD
from senet_jax.rerank import keypoint_matcher
from senet_jax.rerank.keypoint_matcher import Matcher
from tests.models.small_disk import SMALL, small_weights
from tests.oracles.keypoints import COUNT, FIXTURE, found_keypoints, needs_lightglue, pair
from tests.tolerances import TIMES_THE_TWIN

WEIGHTS = small_weights()


def some_keypoints(count, seed):
    generator = np.random.default_rng(seed)
    points = generator.uniform(0, (300, 200), (count, 2)).astype(np.float32)
    descriptors = generator.standard_normal((count, SMALL.outputs)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Keypoints(points, descriptors, np.array([0, 0, 300, 200], np.float32), WEIGHTS)


def test_pairs_match_alike_alone_and_among_others(monkeypatch):
    """Whatever fills a batch up, and whatever a pair is filled up to."""
    monkeypatch.setattr(keypoint_matcher, "MULTIPLE", 8)
    monkeypatch.setattr(keypoint_matcher, "CPU_KEYPOINTS", 64)
    counts = [(9, 9), (16, 13), (5, 12), (30, 11), (16, 16), (0, 7), (14, 15)]
    pairs = [
        (some_keypoints(q, 2 * i), some_keypoints(k, 2 * i + 1)) for i, (q, k) in enumerate(counts)
    ]
    pairs.append((pairs[0][0], pairs[0][0]))
    matcher = Matcher(WEIGHTS)
    together = matcher(pairs)
    monkeypatch.setattr(keypoint_matcher, "MULTIPLE", 32)
    total = 0
    for pair_of_images, (indices, scores) in zip(pairs, together, strict=True):
        [(alone, alone_scores)] = matcher([pair_of_images])
        assert indices.tolist() == alone.tolist()
        np.testing.assert_allclose(scores, alone_scores, rtol=1e-4)
        assert (scores > THRESHOLD).all()
        for column, image in enumerate(pair_of_images):
            assert len(set(indices[:, column])) == len(indices)
            assert (indices[:, column] < len(image.points)).all()
        total += len(indices)
    assert len(together[5][0]) == 0 and total > 5
    # An image is itself, keypoint by keypoint.
    assert (together[-1][0][:, 0] == together[-1][0][:, 1]).mean() > 0.5


@needs_lightglue
@pytest.mark.slow
def test_the_package_matches_the_same():
    fixture = np.load(FIXTURE)
    weights, _ = read_source("pretrained:disk")
    images = [found_keypoints(weights, image) for image in pair()]
    [(indices, scores)] = Matcher(weights)([images])
    own = {
        tuple(np.concatenate([images[0].points[a], images[1].points[b]]).astype(int)): score
        for (a, b), score in zip(indices, scores, strict=True)
    }
    points = {bits: [fixture[f"points_{name}_{bits}"] for name in "ab"] for bits in (32, 64)}
    of_package, truth = (
        {
            tuple(np.concatenate([points[bits][0][a], points[bits][1][b]]).tolist()): score
            for (a, b), score in zip(
                fixture[f"matches_{bits}"], fixture[f"match_scores_{bits}"], strict=True
            )
        }
        for bits in (32, 64)
    )
    assert own.keys() == of_package.keys() == truth.keys() and len(truth) > COUNT / 4
    ours, theirs = (
        np.abs([scores[key] - truth[key] for key in truth]) for scores in (own, of_package)
    )
    # The largest error of all is that of one score between two keypoints, with any rounding.
    for share in (0.5, 0.95):
        assert np.quantile(ours, share) <= TIMES_THE_TWIN * np.quantile(theirs, share)
    assert ours.max() < 1e-4
