"""Displacements of a minimum along its normal modes, as QM7-X has them (Hoja et al., Sci. Data 2021, 8, 43).

Harmonic energies follow P(E) ∝ exp(−E/⟨E⟩), as QM7-X's do: 100 displacements of one of its molecules have a
mean of 2.60 and a standard deviation of 2.60 eV (Kolmogorov–Smirnov p = 0.5), whereas a canonical ensemble of
48 modes would have a fifth of that width (p = 1e-23). ⟨E⟩ is that of a canonical ensemble, k_B T/2 a mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import units
from ase.data import atomic_masses
from numpy.typing import NDArray

from prerelax.relaxation.minimum import frequency_cm, vibrations

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

"""of QM7-X"""
SOFT_CM = 300.0
"""Modes below it are displaced as if they were at it: a straight line is no rotation of a methyl group.

Of displacements of twelve molecules with 4 heavy atoms 7 % fall apart with 50 cm⁻¹, 3 % with 200, 1.2 % with
300, 0.5 % with 400; of QM7-X's own 0.8 %. With 300 the harmonic energies are 5 % below ⟨E⟩.
"""


@dataclass(frozen=True)
class NormalModes:
    """Vibrations of a minimum."""

    vectors: Matrix
    """[n_modes, 3 n_atoms] displacements in Å for a unit of the normal coordinate, 1 Å amu^½; orthonormal
    once multiplied by the roots of the masses"""
    force_constants: Vector
    """[n_modes] eV/(Å² amu), ascending"""

    @property
    def frequencies_cm(self) -> Vector:
        """[n_modes] imaginary ones negative"""
        return frequency_cm(self.force_constants)


def normal_modes(hessian: Matrix, numbers: NDArray[np.integer], positions: Matrix) -> NormalModes:
    """Of a Hessian [3 n_atoms, 3 n_atoms] in eV/Å² at `positions` [n_atoms, 3] Å, without rigid motions."""
    vectors = vibrations(hessian, numbers, positions)[1].reshape(-1, 3 * len(numbers))
    roots = np.sqrt(np.repeat(atomic_masses[numbers], 3))
    vectors = vectors / np.linalg.norm(vectors * roots, axis=1, keepdims=True)
    return NormalModes(vectors, np.einsum("mi,ij,mj->m", vectors, hessian, vectors))


def displacements(
    modes: NormalModes, n: int, temperature_k: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Vector]:
    """`n` displacements [n, n_atoms, 3] Å from a minimum, and their harmonic energies [n] eV.

    Energies are drawn from P(E) ∝ exp(−E/⟨E⟩) with ⟨E⟩ = n_modes k_B T/2. The direction is uniform on the
    sphere of √k Q, so that all modes have the same energy on average, k_B T/2. Modes below SOFT_CM are moved
    as if they had it, and what they lack is missing in the energies returned. No displacement moves the
    centre of mass or turns the molecule (Eckart).
    """
    n_modes = len(modes.force_constants)
    # Row by row, so that more displacements begin with the same ones; two squares make an exponential.
    normal = rng.normal(size=(n, n_modes + 2))
    energies = n_modes * units.kB * temperature_k / 2 * (normal[:, :2] ** 2).sum(1) / 2
    directions = normal[:, 2:]
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    stiffness = np.maximum(modes.force_constants, _SOFT_FORCE_CONSTANT)
    coordinates = directions * np.sqrt(2 * energies)[:, None] / np.sqrt(stiffness)
    harmonic: Vector = 0.5 * (coordinates**2 @ modes.force_constants)
    return (coordinates @ modes.vectors).reshape(n, -1, 3), harmonic


_SOFT_FORCE_CONSTANT = float((SOFT_CM / frequency_cm(np.ones(1))[0]) ** 2)
