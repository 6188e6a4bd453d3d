"""The first density at a new geometry, from the solutions at earlier ones."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

MEMORY = 6
"""solutions kept"""
DAMPING = 1e-6
"""of the fit's coefficients, as a share of the squared changes of the overlap"""

Array = NDArray[np.float64]


@dataclass
class Solution:
    """Overlap matrix and the occupied orbitals of each spin [n_functions, n_occupied] at one geometry."""

    overlap: Array
    occupied: list[Array]


class Guess:
    """Occupied orbitals extrapolated over the geometries seen so far.

    The new overlap matrix is fitted by the old ones; the same combination of the projectors C Cᵀ S is
    applied to the last orbitals, and the result made orthonormal. After the predictor of Kühne et al.,
    Phys. Rev. Lett. 98, 066401 (2007), with the coefficients fitted to the geometry as in Polack et al.,
    Mol. Phys. 118, e1779834 (2020), since the steps of an optimizer are not evenly spaced.
    """

    def __init__(self) -> None:
        self._solutions: deque[Solution] = deque(maxlen=MEMORY)

    def forget(self) -> None:
        self._solutions.clear()

    def learn(self, overlap: Array, occupied: list[Array]) -> None:
        self._solutions.append(Solution(overlap, occupied))

    def orbitals(self, overlap: Array) -> list[Array] | None:
        """Orthonormal occupied orbitals of each spin where the overlap matrix is `overlap`; None at first."""
        if not self._solutions:
            return None
        last = self._solutions[-1]
        coefficients = self._coefficients(overlap)
        predicted = []
        for spin, orbitals in enumerate(last.occupied):
            combined = np.zeros_like(orbitals)
            for share, solution in zip(coefficients, self._solutions, strict=True):
                held = solution.occupied[spin]
                combined += share * held @ (held.T @ (solution.overlap @ orbitals))
            predicted.append(_orthonormal(combined, overlap))
        return predicted

    def _coefficients(self, overlap: Array) -> Array:
        """[n_solutions], summing to 1: the combination of old overlap matrices nearest to the new one."""
        *earlier, last = self._solutions
        if not earlier:
            return np.ones(1)
        changes = np.array([(solution.overlap - last.overlap).ravel() for solution in earlier])
        gram = changes @ changes.T
        gram[np.diag_indices(len(gram))] += DAMPING * np.trace(gram) / len(gram) + 1e-14
        shares = np.linalg.solve(gram, changes @ (overlap - last.overlap).ravel())
        return np.append(shares, 1.0 - shares.sum())


def _orthonormal(orbitals: Array, overlap: Array) -> Array:
    values, vectors = eigh(orbitals.T @ overlap @ orbitals)
    result: Array = orbitals @ (vectors / np.sqrt(values))
    return result
