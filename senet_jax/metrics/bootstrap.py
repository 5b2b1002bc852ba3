"""How far a mean over queries can be trusted: the benchmarks have 70 of them."""

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
