"""Time of `gv` against that of scikit-image, of the same pairs, interleaved in one process.

Pairs have as many features as DELG keeps of photographs, and those of a list: a few show the same,
most do not. 70 queries of 100 candidates under two protocols are 14,000 pairs. Prints the ratio,
and how many pairs have the same inliers.

    python -m benchmarks.gv
    python -m benchmarks.gv --pairs=200 --features=300
"""

import argparse
import time
import warnings

import numpy as np
import scipy.spatial
from skimage.measure import ransac
from skimage.transform import AffineTransform

from senet_jax.features.local_features import LocalFeatures
from senet_jax.rerank.gv import AffineVerification

METHOD = AffineVerification()
ALL_PAIRS = 70 * 100 * 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--features", type=int, default=1000)
    parser.add_argument("--width", type=int, default=128)
    flags = parser.parse_args()
    rng = np.random.default_rng(0)
    ours = theirs = 0.0
    same = 0
    for pair in range(flags.pairs):
        share = rng.uniform(0.2, 0.8) if pair % 5 == 0 else 0.0
        query, item = _scenes(rng, flags.features, flags.width, share)
        start = time.perf_counter()
        matches = METHOD.matches(query, item)
        middle = time.perf_counter()
        points = _by_scikit_image(query, item)
        theirs += time.perf_counter() - middle
        ours += middle - start
        same += np.array_equal(points, matches.query_points)
    print(f"{flags.pairs} pairs, {same} with the same inliers; {flags.features} features each")
    for name, seconds in (("gv", ours), ("scikit-image", theirs)):
        each = seconds / flags.pairs
        print(f"{name}: {1000 * each:.1f} ms a pair, {each * ALL_PAIRS / 60:.1f} min for 14,000")
    print(f"ratio: {ours / theirs:.3f}")


def _scenes(
    rng: np.random.Generator, count: int, width: int, share: float
) -> tuple[LocalFeatures, LocalFeatures]:
    """Features of two photographs that share some; the others have matches by chance alone."""
    points, descriptors = rng.uniform(0, 1000, (2, count, 2)), rng.standard_normal((count, width))
    # Some of the matches by chance are near enough.
    other = 0.9 * descriptors + rng.standard_normal((count, width)) * rng.uniform(0, 2, (count, 1))
    shared = rng.random(count) < share
    turned = points[0] @ (np.eye(2) + rng.normal(0, 0.1, (2, 2))) + rng.normal(0, 3, (count, 2))
    points[1, shared] = turned[shared]
    return _features(points[0], descriptors), _features(points[1], other)


def _features(points: np.ndarray, descriptors: np.ndarray) -> LocalFeatures:
    descriptors = descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)
    ones = np.ones(len(points), np.float32)
    return LocalFeatures(
        points.astype(np.float32), descriptors.astype(np.float32), ones, ones, stride=16
    )


def _by_scikit_image(query: LocalFeatures, item: LocalFeatures) -> np.ndarray:
    """The steps of DELG's public code: the query's points that agree."""
    tree = scipy.spatial.KDTree(item.descriptors)
    _, nearest = tree.query(query.descriptors, distance_upper_bound=METHOD.distance)
    nearest = np.asarray(nearest)
    matched = nearest < len(item.keypoints)
    of_query, of_item = query.keypoints[matched], item.keypoints[nearest[matched]]
    if len(of_query) <= 3:
        return of_query[:0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, agree = ransac(
            (of_item.astype(float), of_query.astype(float)),
            AffineTransform,
            min_samples=3,
            residual_threshold=METHOD.pixels,
            max_trials=METHOD.trials,
            rng=METHOD.seed,
        )
    return of_query[:0] if agree is None else of_query[agree]


if __name__ == "__main__":
    main()
