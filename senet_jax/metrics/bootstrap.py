"""How far a mean over queries can be trusted: the benchmarks have 70 of them."""

import functools

import numpy as np

RESAMPLES = 10_000


def mean_interval(values: np.ndarray) -> np.ndarray:
    """The 95 % interval of a mean, by the percentile bootstrap over its values.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3. The
    resamples are the same for every call with as many values, so equal values give equal intervals.
    Of paired differences it is the paired interval.

    Args:
        values: float64[n], at least one.

    Returns:
        float64[2], the lower and the upper end.
    """
    resamples = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    return np.percentile(values[resamples].mean(axis=1), (2.5, 97.5))


def crossed_interval(values: np.ndarray) -> np.ndarray:
    """The 95 % interval of a mean over seeds and queries, both of which are draws.

    As `mean_interval`, but each resample draws seeds and, on its own, queries: every query was
    asked of every seed. Source: Owen, "The pigeonhole bootstrap" (Annals of Applied Statistics
    2007). From few seeds it is too short by about the square root of (s - 1) / s.

    Args:
        values: float64[s q], at least one of each.

    Returns:
        float64[2], the lower and the upper end.
    """
    seeds, queries = (_weights(count, axis) for axis, count in enumerate(values.shape))
    means = np.einsum("rs,rs->r", seeds, queries @ values.T)
    return np.percentile(means, (2.5, 97.5))


@functools.lru_cache(maxsize=8)
def _weights(count: int, axis: int) -> np.ndarray:
    """How often each of `count` values is drawn in a resample, as a share: float64[r count]."""
    rng = np.random.default_rng([axis, count])
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
