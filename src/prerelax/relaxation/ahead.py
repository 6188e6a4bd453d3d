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


def unmet(criteria: Criteria, gradient: Vector, ahead: Ahead | None) -> list[str]:
    """The criteria that do not hold, each with its figure and its limit, for people.

    `gradient` [3 n_atoms] eV/Å; without `ahead` those of the forces alone. The steps' count no more where the
    forces are a hundredth of their limits. (So Gaussian: a flat surface asks for long steps that change
    nothing.)
    """
    force, to_force = _sizes(gradient), units.Hartree / units.Bohr
    limits = criteria.gradient_max * to_force, criteria.gradient_rms * to_force
    seen = [
        ("the largest component of a force is", force[0], limits[0], "eV/Å"),
        ("the forces' root mean square is", force[1], limits[1], "eV/Å"),
    ]
    if ahead is not None:
        if not np.isfinite(ahead.fall_ev):
            return [*_above(seen), "no minimum is expected near by"]
        left, limit = ahead.fall_ev / KCAL_MOL, criteria.energy_left_kcal_mol
        if limit is not None:
            seen.append(("the energy still expected to fall is", left, limit, "kcal/mol"))
        if force[0] > limits[0] / 100 or force[1] > limits[1] / 100:
            step = _sizes(ahead.step)
            bounds = criteria.step_max * units.Bohr, criteria.step_rms * units.Bohr
            seen.append(("the largest component of the step to the minimum is", step[0], bounds[0], "Å"))
            seen.append(("that step's root mean square is", step[1], bounds[1], "Å"))
    return _above(seen)


def _above(seen: list[tuple[str, float, float, str]]) -> list[str]:
    return [
        f"{what} {value:.3g} {unit} (at most {limit:.3g})"
        for what, value, limit, unit in seen
        if not value <= limit
    ]


def forces_meet(criteria: Criteria, gradient: Vector) -> bool:
    """Whether the two criteria of the gradient [3 n_atoms] in eV/Å hold."""
    return not unmet(criteria, gradient, None)


def converged(criteria: Criteria, gradient: Vector, ahead: Ahead) -> bool:
    """Whether all criteria hold."""
    return not unmet(criteria, gradient, ahead)


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
