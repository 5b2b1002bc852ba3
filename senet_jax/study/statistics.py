"""What can be said of variants by a few seeds and many queries. Pure."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from scipy import stats

from senet_jax.metrics.bootstrap import crossed_interval

POWER, LEVEL = 0.8, 0.05
_MOST_SEEDS = 1000

Values = Mapping[int, np.ndarray]
"""For each seed float64[q]."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds and queries.

    Attributes:
        mean: of all.
        low: the lower end of its 95 % interval, over seeds and queries.
        high: the upper end.
        of_seeds: the mean of each seed.
    """

    mean: float
    low: float
    high: float
    of_seeds: tuple[float, ...]

    @property
    def deviation(self) -> float:
        """The standard deviation over seeds, NaN of one."""
        return float(np.std(self.of_seeds, ddof=1)) if len(self.of_seeds) > 1 else math.nan


def score_text(found: Estimate | None) -> str:
    """A mAP x 100 with its interval, a dash where there is none."""
    if found is None:
        return "-"
    return f"{100 * found.mean:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def estimate(values: Values) -> Estimate | None:
    """The mean of some seeds; None of no seed, or where no query is scored."""
    if not values or not len(next(iter(values.values()))):
        return None
    stacked = np.stack([values[seed] for seed in sorted(values)])
    low, high = crossed_interval(stacked)
    of_seeds = tuple(map(float, stacked.mean(axis=1)))
    return Estimate(float(stacked.mean()), float(low), float(high), of_seeds)


def paired_difference(first: Values, second: Values) -> Estimate | None:
    """The second minus the first, seed by seed and query by query; None without a common seed."""
    common = sorted(first.keys() & second.keys())
    return estimate({seed: second[seed] - first[seed] for seed in common})


def detectable(deviation: float, seeds: int) -> float:
    """The difference that so many seeds tell from none, four times in five.

    By a paired t-test of two sides at 5 %. NaN where there is but one seed, or no deviation known.

    Args:
        deviation: of the paired differences of seeds.
        seeds: how many.
    """
    if seeds < 2 or not deviation >= 0:
        return math.nan
    if deviation == 0:
        return 0.0
    low, high = 0.0, 1.0
    while _power(high, seeds) < POWER:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, seeds) < POWER else (low, middle)
    return high * deviation


def seeds_needed(deviation: float, difference: float) -> int | None:
    """How many seeds tell a difference from none, four times in five; see `detectable`.

    None where the deviation is not known, or a thousand do not.
    """
    if not deviation >= 0:
        return None
    for seeds in range(2, _MOST_SEEDS + 1):
        if deviation == 0 or _power(difference / deviation, seeds) >= POWER:
            return seeds
    return None


def _power(effect: float, seeds: int) -> float:
    """Of a paired t-test, for a difference in units of its deviation.

    Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), chapter 2, by
    the noncentral t distribution.
    """
    critical = stats.t.ppf(1 - LEVEL / 2, seeds - 1)
    shift = effect * math.sqrt(seeds)
    # Of what is nothing in the far tail SciPy at times gives NaN.
    below = np.nan_to_num(stats.nct.cdf(-critical, seeds - 1, shift))
    return float(stats.nct.sf(critical, seeds - 1, shift) + below)
