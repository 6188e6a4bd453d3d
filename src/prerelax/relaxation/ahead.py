"""How far a geometry is from its minimum, by a model of the surface, and whether that is near enough.

The energy left is ½ gᵀH⁻¹g, the fall of the quadratic model, or that of the corrected cheap surface where the
optimizer has one.
"""

from dataclasses import dataclass

import numpy as np
from ase import units
from numpy.typing import NDArray

from prerelax.relaxation.convergence import GAUSSIAN, Criteria, Meets
from prerelax.relaxation.preconditioned import internal_space

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

KCAL_MOL = units.kcal / units.mol
FLAT_EV_ANG2 = 1e-3
"""A force constant below it says nothing about the way to the minimum."""


@dataclass(frozen=True)
class Ahead:
    """What a model of the surface expects between a geometry and its minimum."""

    step: Vector
    """[3 n_atoms] Å"""
    fall_ev: float
    """inf where the model has no minimum near by"""

    @property
    def energy_left_kcal_mol(self) -> float | None:
        return self.fall_ev / KCAL_MOL if np.isfinite(self.fall_ev) else None


def quadratic(hessian: Matrix, gradient: Vector, positions: Matrix) -> Ahead:
    """By ½ gᵀH⁻¹g, translations and rotations left out: `hessian` [3 n_atoms, 3 n_atoms] eV/Å², not damped.

    `gradient` [3 n_atoms] eV/Å, `positions` [n_atoms, 3] Å. Flat and negative curvature has no minimum.
    """
    space = internal_space(positions)
    values, vectors = np.linalg.eigh(space.T @ hessian @ space)
    modes = space @ vectors
    forces = -(modes.T @ gradient)
    if values.size and values[0] < FLAT_EV_ANG2:
        return Ahead(np.zeros(gradient.size), np.inf)
    return Ahead(modes @ (forces / values), float(forces @ (forces / values)) / 2)


def forces_meet(criteria: Criteria, gradient: Vector) -> bool:
    """Whether the two criteria of the gradient [3 n_atoms] in eV/Å hold."""
    largest, rms = _sizes(gradient * (units.Bohr / units.Hartree))
    return largest <= criteria.gradient_max and rms <= criteria.gradient_rms


def converged(criteria: Criteria, gradient: Vector, ahead: Ahead) -> bool:
    """Whether all criteria hold; the steps' count no more where the forces are a hundredth of their limits.

    (So Gaussian: a flat surface asks for long steps that change nothing.)
    """
    if not forces_meet(criteria, gradient) or not np.isfinite(ahead.fall_ev):
        return False
    limit = criteria.energy_left_kcal_mol
    if limit is not None and ahead.fall_ev > limit * KCAL_MOL:
        return False
    tiny = Criteria(criteria.gradient_max / 100, criteria.gradient_rms / 100, np.inf, np.inf)
    largest, rms = _sizes(ahead.step / units.Bohr)
    return forces_meet(tiny, gradient) or (largest <= criteria.step_max and rms <= criteria.step_rms)


def meets(gradient: Vector, ahead: Ahead) -> Meets:
    """The strictest of Gaussian's sets that a geometry meets."""
    met: Meets = "none"
    for name, criteria in GAUSSIAN.items():
        if converged(criteria, gradient, ahead):
            met = name
    return met


def _sizes(vector: Vector) -> tuple[float, float]:
    """Largest component and root mean square."""
    if not vector.size:
        return 0.0, 0.0
    return float(np.abs(vector).max()), float(np.sqrt(np.mean(vector**2)))
