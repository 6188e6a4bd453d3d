"""Whether a relaxed geometry is a minimum: curvature at the cheap level or at the target itself.

An optimizer that starts on a symmetric saddle point (planar ammonia) stays on it: its gradient is zero.
Harmonic frequencies as Wilson, Decius and Cross, Molecular Vibrations (1955), in mass-weighted coordinates
without translations and rotations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import units
from ase.data import atomic_masses
from numpy.typing import NDArray

from prerelax.relaxation.first_hessian import finite_difference_hessian
from prerelax.relaxation.preconditioned import internal_space, largest_displacement

IMAGINARY_CM = 50.0
"""Imaginary frequencies below it are flat directions within the convergence of a relaxation."""
PROBE_ANG = 0.02
"""Largest displacement of an atom where the target's curvature along a mode is measured."""
KICK_ANG = 0.15
"""Largest displacement of an atom that leaves a saddle point."""
MAX_KICKS = 3

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Gradient = Callable[[Vector], Vector]
"""Positions [3 n_atoms] in Å to the gradient [3 n_atoms] in eV/Å."""


@dataclass(frozen=True)
class Curvature:
    """What was found at a stationary point."""

    n_imaginary: int
    lowest_frequency_cm: float | None
    """imaginary ones negative; None without vibrations"""
    mode: Vector
    """[3 n_atoms] the lowest one's displacements, the largest atom's being 1"""
    frequencies_cm: Vector | None = None
    """[n] all of the target's, where all were asked for"""
    hessian: Matrix | None = None
    """[3 n_atoms, 3 n_atoms] eV/Å² the target's, where it was asked for"""


def vibrations(hessian: Matrix, numbers: NDArray[np.integer], positions: Matrix) -> tuple[Vector, Matrix]:
    """Frequencies [n] in cm⁻¹, ascending, imaginary ones negative, and modes [n, 3 n_atoms] as Curvature's.

    `hessian` [3 n_atoms, 3 n_atoms] eV/Å², `positions` [n_atoms, 3] Å; n leaves out rigid motions.
    """
    roots = np.sqrt(np.repeat(atomic_masses[numbers], 3))
    rigid = _orthonormal(_complement(internal_space(positions)) * roots[:, None])
    space = _complement(rigid)
    values, vectors = np.linalg.eigh(space.T @ (hessian / np.outer(roots, roots)) @ space)
    modes = ((space @ vectors) / roots[:, None]).T
    modes /= np.array([largest_displacement(mode) for mode in modes])[:, None]
    return frequency_cm(values), modes


def frequency_cm(curvature: Vector) -> Vector:
    """Wavenumbers from mass-weighted curvatures in eV/(Å² amu); negative for negative curvature."""
    unit = units._hbar * units.m / np.sqrt(units._e * units._amu)
    result: Vector = np.sign(curvature) * np.sqrt(np.abs(curvature)) * unit / units.invcm
    return result


def kicked_force(curvature: Curvature, numbers: NDArray[np.integer]) -> float:
    """eV/Å: the largest force on an atom that is to be expected where a kick along the mode ends."""
    unit = units._hbar * units.m / np.sqrt(units._e * units._amu) / units.invcm
    stiffness = ((curvature.lowest_frequency_cm or 0.0) / unit) ** 2
    forces = np.repeat(atomic_masses[numbers], 3) * stiffness * KICK_ANG * curvature.mode
    return float(np.linalg.norm(forces.reshape(-1, 3), axis=1).max(initial=0.0))


def curvature_at_target(target: Gradient, numbers: NDArray[np.integer], positions: Matrix) -> Curvature:
    """From the target's own Hessian: 6 n_atoms of its gradients. Raises EngineError as `target` does."""
    hessian = finite_difference_hessian(target, positions.ravel(), central=True)
    frequencies, modes = vibrations(hessian, numbers, positions)
    if len(frequencies) == 0:
        return Curvature(0, None, np.zeros(positions.size), frequencies, hessian)
    n_imaginary = int(np.sum(frequencies < -IMAGINARY_CM))
    return Curvature(n_imaginary, float(frequencies[0]), modes[0], frequencies, hessian)


def curvature_at_cheap_level(
    cheap: Gradient, target: Gradient, numbers: NDArray[np.integer], positions: Matrix
) -> Curvature:
    """From a cheap level's Hessian; what it calls imaginary is measured at the target, two gradients each.

    The lowest frequency is the target's where one was measured, otherwise None: the cheap level's own is not
    the target's. Raises EngineError.
    """
    x = positions.ravel()
    hessian = finite_difference_hessian(cheap, x, central=True)
    frequencies, modes = vibrations(hessian, numbers, positions)
    masses = np.repeat(atomic_masses[numbers], 3)
    measured = []
    for mode in modes[frequencies < -IMAGINARY_CM]:
        difference = target(x + PROBE_ANG * mode) - target(x - PROBE_ANG * mode)
        curvature = mode @ difference / (2 * PROBE_ANG * (masses @ mode**2))
        measured.append((float(frequency_cm(curvature)), mode))
    if not measured:
        return Curvature(0, None, np.zeros(x.size))
    n_imaginary = sum(frequency < -IMAGINARY_CM for frequency, _ in measured)
    lowest, mode = min(measured, key=lambda pair: pair[0])
    return Curvature(n_imaginary, lowest, mode)


def _orthonormal(vectors: Matrix) -> Matrix:
    return np.asarray(np.linalg.qr(vectors)[0])


def _complement(space: Matrix) -> Matrix:
    """[n, n - m] orthonormal: what is orthogonal to the m orthonormal columns of `space` [n, m]."""
    full = np.linalg.qr(space, mode="complete")[0]
    result: Matrix = full[:, space.shape[1] :]
    return result
