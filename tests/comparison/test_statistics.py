"""The bootstrap of the median: the same law as resampling in full, and intervals that cover the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prerelax.comparison.statistics import bootstrap_medians, distribution


@pytest.mark.parametrize("n", [1, 2, 5, 6, 31, 100])
def test_medians_follow_resampling_in_full(n: int) -> None:
    generator = np.random.default_rng(1)
    sample = np.sort(generator.gamma(2.0, size=n))
    full = np.median(generator.choice(sample, (20_000, n)), axis=1)
    drawn = bootstrap_medians(sample, seed=2, n_resamples=20_000)
    quantiles = [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]
    at = np.quantile(full, quantiles)
    share_full = (full[:, None] <= at + 1e-12).mean(axis=0)
    share_drawn = (drawn[:, None] <= at + 1e-12).mean(axis=0)
    np.testing.assert_allclose(share_drawn, share_full, atol=0.02)


def test_intervals_cover_the_true_median() -> None:
    generator = np.random.default_rng(0)
    n_samples, truth = 400, float(np.log(2))
    found = [distribution(generator.exponential(size=60), seed=i) for i in range(n_samples)]
    covered = np.mean([each.ci_low <= truth <= each.ci_high for each in found])
    assert 0.92 <= covered <= 0.985


def test_of_nothing_and_of_gaps() -> None:
    nothing = distribution([np.nan])
    assert nothing.n == 0 and np.isnan([nothing.median, nothing.mean, nothing.ci_low]).all()
    gaps = distribution([3.0, np.nan, 1.0, 2.0])
    assert (gaps.n, gaps.median, gaps.mean, gaps.quartile_25, gaps.quartile_75) == (3, 2.0, 2.0, 1.5, 2.5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_numbers_are_in_order(values: list[float]) -> None:
    d = distribution(values)
    assert min(values) <= d.ci_low <= d.ci_high <= max(values)
    assert d.quartile_25 <= d.median <= d.quartile_75
    assert d == distribution(values[::-1])
