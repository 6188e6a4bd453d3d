"""What a sample of molecules says: median, mean, totals, each with an interval that covers what it claims.

The molecule is what was drawn at random, so it is what counts: its conformers are averaged first, for they
are no independent samples. Below `FEWEST` molecules no interval is given. Which interval is used where was
decided by simulation: docs/results/intervals.md, and the test that prints its table.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

N_RESAMPLES = 2000
FEWEST = 8
"""molecules that an interval is given for"""
MOST_PERMUTED = 13
"""molecules at most whose 2^n signs are all counted out in a signed-rank test"""
_CONFIDENCE = 0.95
_CONFIDENCE_OF_FEW, _MANY = 0.965, 20
"""asked of the studentised bootstrap below so many molecules, where it covers less than what is asked"""
_NOTHING = (float("nan"), float("nan"))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """A sample of `n` finite values, one a molecule, in a few numbers; all nan where n = 0."""

    n: int
    mean: float
    median: float
    quartile_25: float
    quartile_75: float
    ci_low: float
    """lower end of the 95 % interval of the median; nan below FEWEST molecules"""
    ci_high: float


def distribution(values: ArrayLike, molecules: ArrayLike | None = None) -> Distribution:
    """Summary of `values` [n_rows]; missing ones (nan) are left out.

    `molecules` [n_rows] names the molecule of each row, None where every row is another one.
    """
    sample = np.sort(per_molecule(values, molecules))
    if len(sample) == 0:
        return Distribution(0, *[float("nan")] * 6)
    low, median, high = np.quantile(sample, [0.25, 0.5, 0.75])
    numbers = (sample.mean(), median, low, high, *median_interval(sample))
    return Distribution(len(sample), *map(float, numbers))


def per_molecule(values: ArrayLike, molecules: ArrayLike | None = None) -> Floats:
    """Finite `values` [n_rows], averaged over the conformers of each molecule."""
    rows = np.asarray(values, dtype=float)
    finite = np.isfinite(rows)
    if molecules is None:
        every: Floats = rows[finite]
        return every
    codes, _ = pd.factorize(np.asarray(molecules, dtype=object)[finite])
    counts = np.bincount(codes)
    means: Floats = np.bincount(codes, weights=rows[finite], minlength=len(counts)) / counts
    return means


def sums_per_molecule(values: ArrayLike, molecules: ArrayLike) -> Floats:
    """Finite `values` [n_rows], added up over the conformers of each molecule."""
    rows = np.asarray(values, dtype=float)
    finite = np.isfinite(rows)
    codes, _ = pd.factorize(np.asarray(molecules, dtype=object)[finite])
    sums: Floats = np.bincount(codes, weights=rows[finite], minlength=0).astype(float)
    return sums


def median_interval(values: ArrayLike) -> tuple[float, float]:
    """95 % interval of the median between two order statistics; nan below FEWEST values.

    It covers at least 95 % whatever the distribution (Conover, Practical Nonparametric Statistics, 3.2): with
    8 molecules it is the whole range.
    """
    sample = np.sort(np.asarray(values, dtype=float))
    n = len(sample)
    if n < FEWEST:
        return _NOTHING
    # the largest number of values below the interval whose chance is at most 2.5 %
    below = int(stats.binom.ppf((1 - _CONFIDENCE) / 2, n, 0.5)) - 1
    if stats.binom.cdf(below + 1, n, 0.5) <= (1 - _CONFIDENCE) / 2:
        below += 1
    return float(sample[below]), float(sample[n - 1 - below])


def mean_interval(values: ArrayLike, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of finite `values` [n]; nan below FEWEST of them."""
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    if n < FEWEST:
        return _NOTHING
    weights = _resamples(n, seed)
    means = weights @ sample / n
    errors = _standard_error(weights @ sample**2 / n - means**2, n)
    return _studentised(float(sample.mean()), float(sample.std(ddof=1) / np.sqrt(n)), means, errors, n)


def times_fewer(own: ArrayLike, baseline: ArrayLike, seed: int = 0) -> tuple[float, float, float]:
    """Σ `baseline` / Σ `own` [n] each, finite and not negative, and its 95 % interval.

    The interval is of the logarithm, by the ratio's linear approximation. nan where there is nothing to
    divide by; no interval below FEWEST pairs.
    """
    a, b = np.asarray(own, dtype=float), np.asarray(baseline, dtype=float)
    n = len(a)
    if n == 0 or a.sum() <= 0 or b.sum() <= 0:
        return float("nan"), *_NOTHING
    ratio = float(b.sum() / a.sum())
    if n < FEWEST:
        return ratio, *_NOTHING
    weights = _resamples(n, seed)
    a_mean, b_mean = weights @ a / n, weights @ b / n
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(b_mean / a_mean)
        squares = weights @ b**2 / b_mean**2 - 2 * (weights @ (a * b)) / (a_mean * b_mean)
        errors = _standard_error((squares + weights @ a**2 / a_mean**2) / n, n)
    error = np.sqrt(np.sum((b / b.mean() - a / a.mean()) ** 2) / (n * (n - 1)))
    low, high = _studentised(np.log(ratio), float(error), logs, errors, n)
    return ratio, float(np.exp(low)), float(np.exp(high))


def paired_p(own: ArrayLike, other: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test between counts [n] of the same molecules.

    nan below FEWEST molecules and where no count differs. Exact for few molecules, ties and zeros included.
    """
    differences = np.asarray(own, dtype=float) - np.asarray(other, dtype=float)
    if len(differences) < FEWEST or not differences.any():
        return float("nan")
    if len(differences) > MOST_PERMUTED:
        return float(stats.wilcoxon(differences).pvalue)
    # What `wilcoxon` does for so few, all signs at once: fifty times faster. Zeros have no rank.
    ranks, differ = np.zeros(len(differences)), differences != 0
    ranks[differ] = stats.rankdata(np.abs(differences[differ])) * np.sign(differences[differ])
    permuted = stats.permutation_test(
        (ranks,), np.sum, permutation_type="samples", n_resamples=2 ** len(ranks), vectorized=True
    )
    return float(permuted.pvalue)


def _resamples(n: int, seed: int) -> Floats:
    """[N_RESAMPLES, n] how often each molecule is in each resample; fewer resamples where n is large."""
    rows = max(200, min(N_RESAMPLES, 20_000_000 // n))
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), rows)
    return weights.astype(float)


def _standard_error(variances: Floats, n: int) -> Floats:
    errors: Floats = np.sqrt(np.maximum(variances, 0.0) / (n - 1))
    return errors


def _studentised(
    estimate: float, error: float, estimates: Floats, errors: Floats, n: int
) -> tuple[float, float]:
    """Interval by the studentised bootstrap, or Student's where that is wider.

    Savings are skewed: Student's interval alone, and the bootstrap's percentiles and BCa, cover too little
    (Efron and Tibshirani, An Introduction to the Bootstrap, 12.5). Resamples of one value over and over have
    no error to divide by and are left out.
    """
    if error <= 1e-12 * max(abs(estimate), 1.0):
        return estimate, estimate
    usable = np.isfinite(estimates) & np.isfinite(errors) & (errors > 1e-9 * error)
    outside = 1 - (_CONFIDENCE if n >= _MANY else _CONFIDENCE_OF_FEW)
    tails = [outside / 2, 1 - outside / 2]
    low, high = np.quantile((estimates[usable] - estimate) / errors[usable], tails)
    student = float(stats.t.ppf(tails[1], n - 1))
    return estimate - max(high, student) * error, estimate - min(low, -student) * error
