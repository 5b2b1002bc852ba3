import warnings

import numpy as np
import pytest
from skimage.measure import ransac
from skimage.transform import AffineTransform

from senet_jax.rerank.ransac import inliers, samples


def _pair(seed, on_grid):
    """Matches of which some lie alike; on a grid, as those of a network's positions do."""
    rng = np.random.default_rng(seed)
    count, step = rng.integers(4, 150), 16 if on_grid else 1e-3
    sources = rng.uniform(0, 600, (count, 2)) // step * step
    targets = sources if seed % 2 else sources @ (np.eye(2) + rng.normal(0, 0.2, (2, 2)))
    targets = (targets + rng.normal(30, 3, (count, 2))) // step * step
    other = rng.random(count) > rng.uniform(0.1, 1)
    targets[other] = rng.uniform(0, 600, (other.sum(), 2)) // step * step
    return sources, targets


def _by_scikit_image(sources, targets, pixels=20.0, trials=1000, seed=0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, found = ransac(
            (sources, targets), AffineTransform, 3, pixels, max_trials=trials, rng=seed
        )
    return np.zeros(len(sources), bool) if found is None else found


def _ours(sources, targets, pixels=20.0, trials=1000, seed=0, early_stop=True):
    options = {"trials": trials, "seed": seed, "early_stop": early_stop}
    return inliers(sources, targets, pixels=pixels, **options)


@pytest.mark.parametrize("on_grid", [False, True])
def test_the_inliers_of_50_pairs_are_those_of_scikit_image(on_grid):
    found = []
    for seed in range(50):
        sources, targets = _pair(seed, on_grid)
        ours = _ours(sources, targets, trials=300, seed=seed)
        assert ours.tolist() == _by_scikit_image(sources, targets, trials=300, seed=seed).tolist()
        found.append(ours.mean())
    assert min(found) < 0.4 and max(found) > 0.9


@pytest.mark.parametrize("pixels", [0.5, 10.0])
def test_another_threshold(pixels):
    sources, targets = _pair(8, on_grid=False)
    ours = _ours(sources, targets, pixels=pixels)
    assert 0 < ours.sum() < len(ours)
    assert ours.tolist() == _by_scikit_image(sources, targets, pixels=pixels).tolist()


def test_all_trials_are_made_where_nothing_stops_them():
    """Against a loop over the samples, each solved by itself."""
    for seed in range(4):
        sources, targets = _pair(seed, on_grid=False)
        best, of_best = (0, -np.inf), None
        for triple in samples(len(sources), 200, seed):
            model = AffineTransform.from_estimate(sources[triple], targets[triple])
            squares = ((model(sources) - targets) ** 2).sum(axis=1)
            if (np.sum(squares < 400), -squares.sum()) > best:
                best, of_best = (np.sum(squares < 400), -squares.sum()), squares < 400
        ours = _ours(sources, targets, trials=200, seed=seed, early_stop=False)
        assert ours.tolist() == of_best.tolist()


def test_what_determines_no_transformation():
    line = np.stack([np.arange(9.0), 2 * np.arange(9.0)], axis=1)
    anywhere = np.random.default_rng(0).uniform(0, 99, (9, 2))
    for sources, targets in (
        (line, anywhere),
        (np.zeros((9, 2)), anywhere),
        (anywhere, np.zeros((9, 2))),
        (line, line),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours = _ours(sources, targets)
        assert ours.tolist() == _by_scikit_image(sources, targets).tolist()
    for count in range(3):
        assert _ours(anywhere[:count], anywhere[:count]).tolist() == [False] * count
