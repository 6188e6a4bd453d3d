"""Median, quartiles and bootstrap interval of a sample, at the cost of one sort."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_RESAMPLES = 2000
_CHUNK = 500


@dataclass(frozen=True)
class Distribution:
    """A sample of `n` finite values in a few numbers; all nan where n = 0."""

    n: int
    mean: float
    median: float
    quartile_25: float
    quartile_75: float
    ci_low: float
    """lower end of the 95 % bootstrap interval of the median"""
    ci_high: float


def distribution(values: ArrayLike, seed: int = 0) -> Distribution:
    """Summary of `values`; missing ones (nan) are left out."""
    finite = np.asarray(values, dtype=float)
    finite = np.sort(finite[np.isfinite(finite)])
    if len(finite) == 0:
        return Distribution(0, *[float("nan")] * 6)
    low, median, high = np.quantile(finite, [0.25, 0.5, 0.75])
    ci_low, ci_high = np.quantile(bootstrap_medians(finite, seed), [0.025, 0.975])
    numbers = (finite.mean(), median, low, high, ci_low, ci_high)
    return Distribution(len(finite), *map(float, numbers))


def mean_interval(values: ArrayLike, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of finite `values` [n]; nan where n = 0."""
    sample = np.asarray(values, dtype=float)
    if len(sample) == 0:
        return float("nan"), float("nan")
    weights = np.random.default_rng(seed).multinomial(
        len(sample), np.full(len(sample), 1 / len(sample)), N_RESAMPLES
    )
    low, high = np.quantile(weights @ sample / len(sample), [0.025, 0.975])
    return float(low), float(high)


def bootstrap_medians(
    ordered: NDArray[np.float64], seed: int = 0, n_resamples: int = N_RESAMPLES
) -> NDArray[np.float64]:
    """Medians [n_resamples] of resamples, drawn with replacement, of the ascending sample `ordered` [n].

    Only the middle of each resample is drawn: a resample's ranks are n independent uniform numbers, whose
    m-th smallest follows Beta(m, n - m + 1) and whose next one, given that, is the smallest of n - m on the
    rest. The medians are distributed as those of resamples drawn in full (Efron, Ann. Stat. 1979, 7, 1).
    """
    n = len(ordered)
    generator = np.random.default_rng(seed)
    medians = np.empty(n_resamples)
    for begin in range(0, n_resamples, _CHUNK):
        size = min(_CHUNK, n_resamples - begin)
        middle = (n + 1) // 2
        rank = generator.beta(middle, n - middle + 1, size)
        median = ordered[_places(rank, n)]
        if n % 2 == 0:
            following = rank + (1 - rank) * generator.beta(1, n - middle, size)
            median = (median + ordered[_places(following, n)]) / 2
        medians[begin : begin + size] = median
    return medians


def _places(ranks: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    return np.minimum((ranks * n).astype(np.int64), n - 1)
