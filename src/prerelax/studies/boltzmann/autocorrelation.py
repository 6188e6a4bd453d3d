"""How many independent samples a Markov chain is worth.

Sokal, Monte Carlo Methods in Statistical Mechanics (Cargèse lectures, 1997), section 3: the autocorrelation
function is summed up to the first window of at least WINDOW autocorrelation times.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

WINDOW = 5.0
"""Sokal's constant c for autocorrelations that decay about exponentially."""


def autocorrelation(values: ArrayLike) -> NDArray[np.float64]:
    """Normalised autocorrelation function [n] of a chain [n] at every lag; zeros beyond lag 0 if constant."""
    deviations = np.asarray(values, dtype=float)
    deviations = deviations - deviations.mean()
    n = len(deviations)
    spectrum = np.fft.rfft(deviations, 2 * n)  # padded: the chain is not periodic
    covariance = np.fft.irfft(spectrum * spectrum.conj(), 2 * n)[:n]
    if covariance[0] <= 0:
        return np.eye(1, n, dtype=np.float64).ravel()
    result: NDArray[np.float64] = covariance / covariance[0]
    return result


def statistical_inefficiency(values: ArrayLike) -> float:
    """1 + 2 × the sum of the autocorrelations: the steps of a chain [n] that make one independent sample.

    Twice Sokal's integrated autocorrelation time; 1 for independent values. Cannot be seen to exceed n.
    """
    sums = 2.0 * np.cumsum(autocorrelation(values)) - 1.0
    window = np.arange(len(sums)) >= WINDOW * sums / 2.0
    return float(np.clip(sums[window.argmax() if window.any() else -1], 1.0, len(sums)))


def standard_error(values: ArrayLike) -> float:
    """Of the mean of a chain [n], its autocorrelation counted; nan for fewer than two values."""
    chain = np.asarray(values, dtype=float)
    if len(chain) < 2:
        return math.nan
    return math.sqrt(chain.var(ddof=1) * statistical_inefficiency(chain) / len(chain))
