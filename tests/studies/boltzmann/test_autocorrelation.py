"""Autocorrelation times against a process whose autocorrelation is known."""

import numpy as np
import pytest
from scipy.signal import lfilter

from prerelax.studies.boltzmann.autocorrelation import (
    autocorrelation,
    standard_error,
    statistical_inefficiency,
)


def autoregressive(phi: float, n: int, seed: int = 0) -> np.ndarray:
    """x' = φ x + noise, whose autocorrelation is φ^lag and whose variance is 1."""
    noise = np.random.default_rng(seed).normal(size=n) * np.sqrt(1 - phi**2)
    noise[0] /= np.sqrt(1 - phi**2)
    return lfilter([1], [1, -phi], noise)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.98])
def test_inefficiency_of_an_autoregressive_process(phi: float) -> None:
    values = autoregressive(phi, 100_000)
    assert statistical_inefficiency(values) == pytest.approx((1 + phi) / (1 - phi), rel=0.15)
    assert autocorrelation(values)[:3] == pytest.approx([1, phi, phi**2], abs=0.02)


def test_the_error_of_the_mean_is_that_of_many_chains() -> None:
    means = [autoregressive(0.9, 2000, seed).mean() for seed in range(200)]
    errors = [standard_error(autoregressive(0.9, 2000, seed)) for seed in range(200)]
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.15)


def test_chains_without_information() -> None:
    assert statistical_inefficiency(np.ones(50)) == 1.0
    assert standard_error(np.ones(50)) == 0.0
    assert np.isnan(standard_error([1.0]))
    assert statistical_inefficiency(np.arange(100.0)) > 10  # a drift is no sample
