"""A curve that never falls through points that need not rise: means of finite chains against temperature."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rising:
    """Points of a rising curve, straight lines between them; beyond them the nearest two go on."""

    x: Floats
    """[n_blocks] rising"""
    y: Floats
    """[n_blocks] rising"""

    @classmethod
    def fit(cls, x: ArrayLike, y: ArrayLike, errors: ArrayLike) -> "Rising":
        """The least-squares fit that never falls (pool adjacent violators; Barlow et al. 1972).

        `x` rises; `errors` are standard errors of `y`. Points that are pooled become one, at their mean.
        """
        at, found = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        error = np.asarray(errors, dtype=float)
        known = np.isfinite(error) & (error > 0)
        error = np.where(known, error, error[known].mean() if known.any() else 1.0)
        weights = 1 / error**2
        fit = isotonic_regression(found, weights=weights)
        parts = [slice(a, b) for a, b in zip(fit.blocks[:-1], fit.blocks[1:], strict=True)]
        centres = [np.average(at[part], weights=weights[part]) for part in parts]
        return cls(np.array(centres), np.array([fit.x[part.start] for part in parts]))

    def inverse(self, value: float) -> tuple[float, bool]:
        """Where the curve has a value, and whether that is beyond its points; nan where it has one point."""
        found = _along(value, self.y, self.x)
        slack = 1e-9 * abs(float(self.x[-1]))
        return found, not self.x[0] - slack <= found <= self.x[-1] + slack

    def at(self, x: float) -> float:
        """The curve's value; nan for a curve of one point."""
        return _along(x, self.x, self.y)


def _along(value: float, known: Floats, wanted: Floats) -> float:
    if len(known) < 2:
        return math.nan
    place = int(np.clip(np.searchsorted(known, value), 1, len(known) - 1))
    share = (value - known[place - 1]) / (known[place] - known[place - 1])
    return float(wanted[place - 1] + share * (wanted[place] - wanted[place - 1]))
