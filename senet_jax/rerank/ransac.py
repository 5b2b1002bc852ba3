"""Affine transformations between matched points, by RANSAC: all samples of a block at once.

The inliers are those of `skimage.measure.ransac` with an `AffineTransform` (scikit-image 0.26): the
same samples are drawn, a sample that determines nothing is passed over, and the same one wins.
"""

import functools
import math
import sys

import numpy as np

SAMPLE = 3
"""As many matches determine an affine transformation."""
# Residuals of a block of samples stay in a core's cache.
_BLOCK = 128
# Of a triangle's doubled area, in units of its points' mean square distance from their centre: what
# is flatter may have no transformation.
_FLAT = 1e-5
# Keypoints lie on grids, so residuals of exactly the threshold are no rarity.
_DOUBTFUL = 1e-9
_EPSILON = np.spacing(1)


def inliers(
    sources: np.ndarray,
    targets: np.ndarray,
    *,
    pixels: float,
    trials: int,
    seed: int,
    early_stop: bool,
) -> np.ndarray:
    """The matches that agree with the best sample: bool[n].

    The best sample has the most inliers, then the smallest sum of squared residuals of all matches,
    and is the first of its kind.

    Args:
        sources: float64[n 2].
        targets: float64[n 2], where the transformation should take them.
        pixels: a residual below this is an inlier's.
        trials: how many samples are drawn at most.
        seed: of the samples.
        early_stop: whether to stop as scikit-image does: when the share of inliers says that a
            better sample is as unlikely as a rounding error, or when nothing is left over.
    """
    count = len(sources)
    best, best_count, best_sum = np.zeros(count, bool), 0, np.inf
    if count < SAMPLE:
        return best
    drawn = samples(count, trials, seed)
    last = trials
    for start in range(0, trials, _BLOCK):
        triples = drawn[start : min(start + _BLOCK, last)]
        residuals, are_models = _residuals(sources, targets, triples, pixels)
        agree = residuals < pixels
        counts, sums = np.count_nonzero(agree, axis=1), (residuals**2).sum(axis=1)
        so_far = np.maximum.accumulate(np.where(are_models, counts, -1))
        for trial in np.flatnonzero(are_models & (counts == so_far) & (counts >= best_count)):
            if start + trial >= last:
                break
            if (counts[trial], -sums[trial]) <= (best_count, -best_sum):
                continue
            best, best_count, best_sum = agree[trial], counts[trial], sums[trial]
            if early_stop:
                last = 0 if best_sum == 0 else min(last, _enough_trials(best_count / count))
        if start + _BLOCK >= last:
            break
    return best


@functools.lru_cache(4096)
def samples(count: int, trials: int, seed: int) -> np.ndarray:
    """The triples that scikit-image draws among so many matches: int16 or int32[trials 3]."""
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(count, SAMPLE, replace=False) for _ in range(trials)]
    kind = np.int16 if count <= np.iinfo(np.int16).max else np.int32
    return np.array(drawn, kind).reshape(trials, SAMPLE)


def _enough_trials(share: float) -> int:
    """After how many samples there was one of inliers alone, but for a probability of 2.2e-16."""
    if share == 0:
        return sys.maxsize
    miss = np.clip(1 - share**SAMPLE, _EPSILON, 1 - _EPSILON)
    return math.ceil(np.log(_EPSILON) / np.log(miss))


def _residuals(
    sources: np.ndarray, targets: np.ndarray, triples: np.ndarray, pixels: float
) -> tuple[np.ndarray, np.ndarray]:
    """How far the transformation of each triple takes each match: float64[t n], pixels.

    Also bool[t], whether the triple has a transformation. Where rounding decides over that, or over
    an inlier, it is computed again in the steps of scikit-image.
    """
    models, is_sure = _models(sources[triples], targets[triples])
    points = _homogeneous(sources)
    x, y = models[:, 0] @ points.T - targets[:, 0], models[:, 1] @ points.T - targets[:, 1]
    residuals, are_models = np.sqrt(x * x + y * y), np.ones(len(triples), bool)
    is_sure &= (np.abs(residuals - pixels) > _DOUBTFUL * pixels).all(axis=1)
    [again] = np.nonzero(~is_sure)
    if len(again):
        models, are_models[again] = _same_models(sources[triples[again]], targets[triples[again]])
        for row, model in zip(again, models, strict=True):
            moved = (points @ model.T)[:, :2]
            residuals[row] = np.sqrt(np.sum((moved - targets) ** 2, axis=1))
    return residuals, are_models


def _models(sources: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The transformations of triples of matches: float64[t 3 2] twice -> [t 2 3].

    Also bool[t], whether there is one for sure.
    """
    (a, b), (c, d) = (sources[:, 1:] - sources[:, :1]).transpose(1, 2, 0)
    area = a * d - b * c
    centred = sources - sources.mean(axis=1, keepdims=True)
    is_sure = np.abs(area) > _FLAT * (centred**2).sum(axis=(1, 2)) / SAMPLE
    is_sure &= (targets != targets[:, :1]).any(axis=(1, 2))
    area = np.where(is_sure, area, 1)[:, None]
    first, second = (targets[:, 1:] - targets[:, :1]).swapaxes(0, 1)
    models = np.empty((len(sources), 2, 3))
    models[:, :, 0] = (d[:, None] * first - b[:, None] * second) / area
    models[:, :, 1] = (a[:, None] * second - c[:, None] * first) / area
    models[:, :, 2] = targets[:, 0] - (models[:, :, :2] @ sources[:, 0, :, None])[..., 0]
    return models, is_sure


def _same_models(sources: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, rounded as in scikit-image: [t 3 3], and bool[t], which it takes for one.

    A triple on a line has none, or many, of which rounding chooses one.
    """
    to_sources, to_targets = _normalising(sources), _normalising(targets)
    are_models = np.all(np.isfinite(to_sources + to_targets), axis=(1, 2))
    to_sources, to_targets = (
        np.where(are_models[:, None, None], matrix, np.eye(3))
        for matrix in (to_sources, to_targets)
    )
    moved = _homogeneous(targets) @ to_targets.swapaxes(1, 2)
    equations = np.zeros((len(sources), 2 * SAMPLE, 7))
    equations[:, :SAMPLE, :3] = _homogeneous(sources) @ to_sources.swapaxes(1, 2)
    equations[:, SAMPLE:, 3:6] = equations[:, :SAMPLE, :3]
    equations[:, :SAMPLE, 6], equations[:, SAMPLE:, 6] = moved[..., 0], moved[..., 1]
    solutions = np.linalg.svd(equations).Vh[:, -1]
    are_models &= ~np.isclose(solutions[:, -1], 0)
    divisors = np.where(are_models, solutions[:, -1], 1)
    models = np.zeros((len(sources), 3, 3))
    models[:, :2] = (-solutions[:, :-1] / divisors[:, None]).reshape(-1, 2, 3)
    models[:, 2, 2] = 1
    models = np.linalg.inv(to_targets) @ models @ to_sources
    return models, are_models


def _normalising(points: np.ndarray) -> np.ndarray:
    """Takes each three points' centre to 0 and their mean square to 1: [t 3 2] -> [t 3 3].

    It is not finite where all three are one point.
    """
    centre = points.mean(axis=1)
    centred = points - centre[:, None]
    matrices = np.tile(np.eye(3), (len(points), 1, 1))
    matrices[:, :2, 2] = -centre
    with np.errstate(divide="ignore", invalid="ignore"):
        matrices[:, :2] /= np.sqrt((centred**2).mean(axis=(1, 2)))[:, None, None]
    return matrices


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)
