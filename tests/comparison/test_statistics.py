"""Intervals that cover what they claim, of molecules and not of rows."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from prerelax.comparison.statistics import (
    FEWEST,
    distribution,
    mean_interval,
    median_interval,
    paired_p,
    per_molecule,
    times_fewer,
)

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


def counted(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Gradients as a campaign has them: the baseline's 10 to 60, about 40 % of them from the start."""
    baseline = 10 + generator.poisson(10 * generator.gamma(2, 0.5, n))
    own = 1 + generator.poisson(0.4 * baseline * generator.gamma(4, 0.25, n))
    return own.astype(float), baseline.astype(float)


def lognormal(sigma: float) -> Draw:
    def draw(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        baseline = np.exp(3 + 0.3 * generator.standard_normal(n))
        return baseline * np.exp(-1 + sigma * generator.standard_normal(n)), baseline

    return draw


def with_rare_bad_ones(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """One molecule in ten takes 12 gradients from the start, the others 2 or 3; the baseline 8 to 17."""
    own = np.where(generator.random(n) < 0.1, 12, generator.integers(2, 4, n))
    return own.astype(float), generator.integers(8, 18, n).astype(float)


SAVINGS: dict[str, Draw] = {
    "counts of gradients": counted,
    "lognormal, sigma 0.4": lognormal(0.4),
    "lognormal, sigma 0.7": lognormal(0.7),
}


def coverage(draw: Draw, n: int, repeats: int = 1500) -> dict[str, float]:
    """Share of `repeats` samples of n molecules whose interval holds the truth."""
    generator = np.random.default_rng(16)
    own, baseline = draw(generator, 2_000_000)
    saved = 100 * (1 - own / baseline)
    truth = {"median": np.median(saved), "mean": saved.mean(), "times fewer": baseline.sum() / own.sum()}
    held = dict.fromkeys(truth, 0)
    for seed in range(repeats):
        own, baseline = draw(generator, n)
        saved = 100 * (1 - own / baseline)
        found = {
            "median": median_interval(saved),
            "mean": mean_interval(saved, seed),
            "times fewer": times_fewer(own, baseline, seed)[1:],
        }
        for name, (low, high) in found.items():
            held[name] += bool(low <= truth[name] <= high)
    return {name: each / repeats for name, each in held.items()}


@pytest.mark.slow
@pytest.mark.parametrize("savings", SAVINGS)
def test_coverage_by_simulation(savings: str) -> None:
    """Prints the table of docs/results/intervals.md with `pytest -s`."""
    for n in (8, 20, 100):
        found = coverage(SAVINGS[savings], n)
        print(f"\n| {savings} | {n} | " + " | ".join(f"{100 * each:.1f}" for each in found.values()) + " |")
        # 1 500 samples know a coverage to 0.6 percentage points
        assert min(found.values()) >= 0.93 - 0.006, (n, found)
        assert n < 100 or max(found.values()) <= 0.97 + 0.006, (n, found)


@pytest.mark.slow
def test_coverage_with_rare_bad_molecules() -> None:
    """What few samples cannot know, as docs/results/intervals.md says; printed with `pytest -s`."""
    found = {n: coverage(with_rare_bad_ones, n)["times fewer"] for n in (8, 12, 20, 50, 100)}
    print("\n" + " | ".join(f"{n}: {100 * each:.0f}" for n, each in found.items()))
    assert max(found[n] for n in (8, 12, 20)) < 0.93 <= found[100]


def test_coverage_of_few_samples() -> None:
    found = coverage(counted, 20, repeats=200)
    assert min(found.values()) >= 0.9 and max(found.values()) < 1.0


@pytest.mark.parametrize(("n", "below"), [(8, 0), (9, 1), (20, 5), (100, 39)])
def test_order_statistics_of_the_median(n: int, below: int) -> None:
    """Tables of the sign test: Conover, table A3."""
    assert median_interval(np.arange(n)[::-1]) == (below, n - 1 - below)


def test_no_interval_below_eight_molecules() -> None:
    few = np.arange(FEWEST - 1.0)
    assert np.isnan([*median_interval(few), *mean_interval(few)]).all()
    ratio, low, high = times_fewer(few, 2 * few)
    assert ratio == 2.0 and np.isnan([low, high]).all()
    assert np.isnan(paired_p(few, few + 1))
    assert np.isfinite(mean_interval(np.arange(FEWEST))).all()


def test_conformers_are_no_molecules() -> None:
    values = [10.0, 20.0, 30.0, 50.0, np.nan]
    np.testing.assert_array_equal(per_molecule(values, ["a", "a", "b", "b", "c"]), [15.0, 40.0])
    found = distribution(np.repeat(np.arange(3.0), 3), np.repeat(["a", "b", "c"], 3))
    assert found.n == 3 and np.isnan(found.ci_low)
    tripled = distribution(np.repeat(np.arange(20.0), 3), np.repeat(np.arange(20), 3))
    assert tripled == distribution(np.arange(20.0))


def test_ratio_of_totals() -> None:
    own = np.array([5.0, 4, 6, 5, 4, 8, 5, 3, 6])
    ratio, low, high = times_fewer(own, 3 * own + [1, -1, 2, 0, -2, 1, 0, 3, 0])
    assert low < ratio < high and ratio == pytest.approx((3 * own.sum() + 4) / own.sum())
    assert times_fewer(own, 4 * own) == pytest.approx((4.0, 4.0, 4.0))
    assert np.isnan(times_fewer([], [])).all()
    assert np.isnan(times_fewer(np.zeros(9), np.ones(9))).all()


def test_paired_test() -> None:
    baseline = np.arange(10.0, 22.0)
    assert paired_p(baseline / 2, baseline) == pytest.approx(2 / 2**12)
    assert paired_p(baseline + np.tile([1.0, -1.0], 6), baseline) > 0.5
    assert np.isnan(paired_p(baseline, baseline))


@pytest.mark.parametrize("n", range(8, 15))
def test_paired_test_with_ties_and_zeros_is_the_exact_one(n: int) -> None:
    random = np.random.default_rng(n).integers(-2, 5, n).astype(float)
    one, two = np.zeros(n), np.zeros(n)
    one[0], two[:2] = 1.0, (-2.0, -1.0)
    for differences in (random, one, two):
        expected = stats.wilcoxon(differences).pvalue
        assert paired_p(differences, np.zeros(n)) == pytest.approx(expected, rel=1e-9)


def test_of_nothing_and_of_gaps() -> None:
    nothing = distribution([np.nan])
    assert nothing.n == 0 and np.isnan([nothing.median, nothing.mean, nothing.ci_low]).all()
    gaps = distribution([3.0, np.nan, 1.0, 2.0])
    assert (gaps.n, gaps.median, gaps.mean, gaps.quartile_25, gaps.quartile_75) == (3, 2.0, 2.0, 1.5, 2.5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=FEWEST, max_size=40))
def test_numbers_are_in_order(values: list[float]) -> None:
    d = distribution(values)
    assert min(values) <= d.ci_low <= d.ci_high <= max(values)
    assert d.quartile_25 <= d.median <= d.quartile_75
    assert d == distribution(values[::-1])
    low, high = mean_interval(values)
    assert low <= np.mean(values) + 1e-6 and high >= np.mean(values) - 1e-6
