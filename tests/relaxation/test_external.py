"""Optimizers of other programs, told energies and gradients."""

import numpy as np
from ase.units import Bohr, Hartree

from prerelax.relaxation.external import GeometricSteps

WATER = np.array([[0.0, 0.0, 0.12], [0.0, 0.77, -0.47], [0.0, -0.75, -0.49]])


def springs(positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy in eV and gradient [3, 3] in eV/Å of springs between the atoms."""
    energy, gradient = 0.0, np.zeros((3, 3))
    for i, j, length, constant in ((0, 1, 0.96, 40.0), (0, 2, 0.96, 40.0), (1, 2, 1.58, 0.3)):
        apart = positions[i] - positions[j]
        distance = np.linalg.norm(apart)
        energy += constant / 2 * (distance - length) ** 2
        along = constant * (distance - length) * apart / distance
        gradient[i] += along
        gradient[j] -= along
    return energy, gradient


def test_geometric_goes_on_where_energies_are_noise() -> None:
    """Each energy seems higher than the last, by less than geomeTRIC's 1e-6 Hartree.

    It took no step any more: each was rejected, down to 1e-13 Å.
    """
    steps, positions = GeometricSteps(["O", "H", "H"], WATER), WATER
    for call in range(30):
        energy, gradient = springs(positions)
        if call > 3:
            energy = 9e-7 * Hartree * call
        positions = steps.next_positions(energy / Hartree, gradient * Bohr / Hartree)
    assert np.abs(springs(positions)[1]).max() < 1e-3
