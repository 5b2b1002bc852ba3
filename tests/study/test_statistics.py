import itertools
import math

import numpy as np
import pytest

from senet_jax.metrics.bootstrap import crossed_interval
from senet_jax.study.statistics import (
    detectable,
    estimate,
    paired_difference,
    score_text,
    seeds_needed,
)


def _naive(values, resamples=3000):
    """The bootstrap over both, a loop for each draw."""
    rng = np.random.default_rng(1)
    seeds, queries = values.shape
    means = []
    for _ in range(resamples):
        rows = [rng.integers(seeds) for _ in range(seeds)]
        columns = [rng.integers(queries) for _ in range(queries)]
        means.append(np.mean([values[row, column] for row in rows for column in columns]))
    return np.percentile(means, (2.5, 97.5))


def test_the_interval_is_that_of_a_naive_bootstrap():
    rng = np.random.default_rng(0)
    values = rng.random((4, 12)) + rng.normal(0, 0.2, (4, 1)) + rng.normal(0, 0.2, (1, 12))
    found, naive = crossed_interval(values), _naive(values)
    width = naive[1] - naive[0]
    assert np.abs(found - naive).max() < 0.05 * width
    # Over queries alone, as if there had been no other seeds, it would be far too short.
    of_queries = np.diff(crossed_interval(values.mean(axis=0, keepdims=True)))[0]
    assert of_queries < 0.8 * width


def test_of_all_resamples_of_two_by_two():
    values = np.array([[0.0, 1.0], [2.0, 7.0]])
    draws = list(itertools.product(range(2), repeat=2))
    means = [values[np.ix_(rows, columns)].mean() for rows in draws for columns in draws]
    found = crossed_interval(values)
    assert found.tolist() == [min(means), max(means)]


def test_paired_by_seed_and_query():
    rng = np.random.default_rng(0)
    first = {seed: rng.random(50) for seed in (0, 1, 2, 5)}
    second = {seed: values + 0.01 for seed, values in first.items() if seed != 1}
    found = paired_difference(first, second)
    assert found.mean == pytest.approx(0.01)
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))
    assert len(found.of_seeds) == 3
    assert paired_difference(second, first).mean == pytest.approx(-0.01)
    assert paired_difference({0: np.ones(3)}, {1: np.ones(3)}) is None


def test_of_nothing():
    assert estimate({}) is None
    assert estimate({0: np.zeros(0)}) is None
    assert score_text(None) == "-"
    assert math.isnan(estimate({0: np.ones(3)}).deviation)
    assert math.isnan(detectable(0.02, 1))
    assert seeds_needed(math.nan, 0.01) is None
    assert seeds_needed(1.0, 1e-6) is None


def test_the_power_is_that_of_trials():
    deviation, seeds = 0.02, 5
    difference = detectable(deviation, seeds)
    assert seeds_needed(deviation, difference * 1.0001) == seeds
    assert seeds_needed(deviation, difference * 0.99) == seeds + 1
    # What is far larger than its deviation is told by the fewest.
    assert [seeds_needed(0.001, each) for each in (0.02, 0.05, 0.1)] == [2, 2, 2]
    trials = np.random.default_rng(0).normal(difference, deviation, (20_000, seeds))
    critical = 2.776445  # Of Student's t with 4 degrees of freedom, two sides, 5 %.
    t = trials.mean(axis=1) / (trials.std(axis=1, ddof=1) / math.sqrt(seeds))
    assert np.mean(np.abs(t) > critical) == pytest.approx(0.8, abs=0.01)
