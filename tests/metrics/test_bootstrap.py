import random

import numpy as np
import pytest

from senet_jax.metrics.bootstrap import mean_interval


def _naive_interval(values, resamples=4000):
    draw = random.Random(1)
    means = sorted(sum(draw.choice(values) for _ in values) / len(values) for _ in range(resamples))
    return means[round(0.025 * resamples)], means[round(0.975 * resamples)]


def test_against_resampling_by_loops():
    """The ends of 4,000 and of 10,000 resamples are known to 5 and 3 % of the standard error."""
    values = np.random.default_rng(0).beta(0.5, 0.5, 30)
    standard_error = values.std() / np.sqrt(len(values))
    np.testing.assert_allclose(
        mean_interval(values), _naive_interval(values.tolist()), rtol=0, atol=0.2 * standard_error
    )


def test_of_many_values_it_is_the_normal_interval():
    """Other seeds move the ends of 10,000 resamples by about 3 % of the standard error."""
    values = np.random.default_rng(0).normal(5, 2, 400)
    standard_error = values.std() / np.sqrt(len(values))
    low, high = (mean_interval(values) - values.mean()) / standard_error
    assert (low, high) == pytest.approx((-1.96, 1.96), abs=0.15)


def test_it_is_the_same_every_time_and_keeps_to_the_values():
    values = np.array([0.1, 0.9, 0.4])
    np.testing.assert_array_equal(mean_interval(values), mean_interval(values))
    assert mean_interval(np.array([0.3])).tolist() == [0.3, 0.3]
    low, high = mean_interval(values)
    assert 0.1 <= low < values.mean() < high <= 0.9


def test_differences_of_pairs_have_a_narrower_interval_than_their_sides():
    """Queries differ far more among each other than two runs on one query."""
    rng = np.random.default_rng(0)
    before = rng.uniform(0, 1, 70)
    after = before + rng.normal(0.02, 0.01, 70)
    low, high = mean_interval(after - before)
    assert 0 < low < 0.02 < high + 0.005
    low, high = mean_interval(before)
    assert high - low > 0.1
