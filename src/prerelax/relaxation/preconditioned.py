"""Quasi-Newton relaxation that begins with the Hessian of a cheap level instead of a multiple of one.

The step is Newton's in the space without translations and rotations, on a Hessian made positive definite by
the absolute values of its eigenvalues, within a trust radius (Nocedal and Wright, Numerical Optimization, 2nd
ed., chapters 4 and 6); the Hessian is updated by BFGS.
"""

from collections.abc import Mapping
from typing import IO

import numpy as np
from ase import Atoms
from ase.optimize.optimize import Optimizer
from numpy.typing import NDArray

from prerelax.relaxation.cheap_surface import MODEL, CheapSurface
from prerelax.relaxation.first_hessian import first_hessian
from prerelax.relaxation.force_constants import scaled_force_constants

EIGENVALUE_FLOOR_EV_ANG2 = 0.5
"""Smallest force constant believed."""
SHIFT_BISECTIONS = 12
TRUST_ANG = 0.3
"""largest displacement of an atom in the first step, and bounds to which the trust radius adapts"""
TRUST_BOUNDS_ANG = (0.02, 0.5)
RISE_EV = 1e-3
"""A step that raises the energy by more and does not lower the largest force is taken back."""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def internal_space(positions: Matrix) -> Matrix:
    """[3 n_atoms, n_internal] orthonormal: what is left of all displacements of `positions` [n_atoms, 3]
    without translations and rotations; a line of atoms loses five directions, a single atom all of its three.
    """
    centred = positions - positions.mean(axis=0)
    n = len(positions)
    rigid = [np.tile(axis, n) for axis in np.eye(3)]
    rigid += [np.cross(axis, centred).ravel() for axis in np.eye(3)]
    vectors, sizes, _ = np.linalg.svd(np.array(rigid).T)
    rank = int(np.sum(sizes > 1e-3 * sizes[0]))
    space: Matrix = vectors[:, rank:]
    return space


def newton_step(hessian: Matrix, gradient: Vector, positions: Matrix, radius: float) -> Vector:
    """[3 n_atoms] the step to the quadratic model's minimum, saddles turned into minima; no rigid motion.

    No atom moves further than `radius` Å: as much is added to every force constant as that takes, which
    shortens soft motions and leaves stiff ones as they are.
    """
    space = internal_space(positions)
    values, vectors = np.linalg.eigh(space.T @ hessian @ space)
    modes = space @ vectors
    forces, stiffness = -(modes.T @ gradient), np.maximum(np.abs(values), EIGENVALUE_FLOOR_EV_ANG2)

    def step(shift: float) -> Vector:
        result: Vector = modes @ (forces / (stiffness + shift))
        return result

    if largest_displacement(step(0.0)) <= radius:
        return step(0.0)
    low, high = 0.0, 1.0
    while largest_displacement(step(high)) > radius:
        low, high = high, 4 * high
    for _ in range(SHIFT_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if largest_displacement(step(middle)) > radius else (low, middle)
    return step(high)


def largest_displacement(step: Vector) -> float:
    """Å, of any atom in a step [3 n_atoms]."""
    return float(np.linalg.norm(step.reshape(-1, 3), axis=1).max()) if step.size else 0.0


def positive_definite(hessian: Matrix) -> Matrix:
    """The Hessian with the absolute values of its eigenvalues, none below the floor."""
    values, vectors = np.linalg.eigh(hessian)
    result: Matrix = (vectors * np.maximum(np.abs(values), EIGENVALUE_FLOOR_EV_ANG2)) @ vectors.T
    return result


def bfgs_update(hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """The Hessian with the gradient's `change` along `step` taken in; unchanged for negative curvature."""
    image = hessian @ step
    if change @ step < 1e-8 or image @ step < 1e-8:
        return hessian
    return hessian + np.outer(change, change) / (change @ step) - np.outer(image, image) / (image @ step)


class HessianBFGS(Optimizer):
    """`bfgs-hessian`: BFGS from the Hessian of `surface`, or from the model Hessian where that is None.

    `factors` scale the force constants of the surface's Hessian to the target's.
    """

    def __init__(
        self,
        atoms: Atoms,
        surface: CheapSurface | None = None,
        factors: Mapping[str, float] | None = None,
        logfile: IO[str] | str | None = None,
    ) -> None:
        self.surface = surface
        self.factors = factors
        self.note = ""
        self.hessian_source = surface.name if surface else MODEL
        self.trust = TRUST_ANG
        self.cheap_hessian: Matrix = np.zeros((0, 0))
        """[3 n_atoms, 3 n_atoms] eV/Å² at the start geometry, as it came"""
        self.hessian: Matrix = self.cheap_hessian
        """the same with scaled force constants"""
        self.model: Matrix = self.cheap_hessian
        """the same made positive definite, and updated"""
        self._best: tuple[Vector, float, Vector] | None = None
        self._expected = 0.0
        super().__init__(atoms, logfile=logfile)

    @property
    def n_gradients_cheap(self) -> int:
        return self.surface.n_gradients if self.surface else 0

    def step(self) -> None:
        """Take in the gradient at the present geometry and move on from the best one."""
        x = self.atoms.get_positions().ravel()
        energy, gradient = self.atoms.get_potential_energy(), -self.atoms.get_forces().ravel()
        if self._best is None:
            self.begin(x, gradient)
            self._best = (x, energy, gradient)
        else:
            self._judge(x, energy, gradient)
        move = self.proposal(*self._best)
        self.atoms.set_positions((self._best[0] + move).reshape(-1, 3))

    def begin(self, x: Vector, gradient: Vector) -> None:
        """Make the first Hessian at the start geometry."""
        positions = x.reshape(-1, 3)
        first = first_hessian(self.atoms.numbers, positions, self.surface)
        self.note, self.hessian_source = first.note, first.source
        self.hessian = self.cheap_hessian = first.matrix
        if self.factors and self.surface and first.source == self.surface.name:
            self.hessian = scaled_force_constants(first.matrix, self.atoms.numbers, positions, self.factors)
        self.model = positive_definite(self.hessian)

    def learn(self, x: Vector, gradient: Vector, x_new: Vector, gradient_new: Vector) -> None:
        """Take in what a step has shown, whether it is kept or not."""
        self.model = bfgs_update(self.model, x_new - x, gradient_new - gradient)

    def proposal(self, x: Vector, energy: float, gradient: Vector) -> Vector:
        """[3 n_atoms] Å: the next step from the best geometry; sets what energy is expected of it."""
        step = newton_step(self.model, gradient, x.reshape(-1, 3), self.trust)
        self._expected = float(gradient @ step + step @ self.model @ step / 2)
        return step

    def _judge(self, x: Vector, energy: float, gradient: Vector) -> None:
        """Learn from the last step, adapt the trust radius, keep the better geometry."""
        assert self._best is not None
        x_old, energy_old, gradient_old = self._best
        self.learn(x_old, gradient_old, x, gradient)
        length = largest_displacement(x - x_old)
        change = energy - energy_old
        smallest, largest = TRUST_BOUNDS_ANG
        if change > RISE_EV and largest_force(gradient) > largest_force(gradient_old):
            self.trust = max(min(self.trust, length) / 2, smallest)
            if self.trust > smallest:
                return
        elif self._expected < -RISE_EV:
            ratio = change / self._expected
            if ratio < 0.25:
                self.trust = max(length / 2, smallest)
            elif ratio > 0.75 and length > 0.8 * self.trust:
                self.trust = min(1.5 * self.trust, largest)
        self._best = (x, energy, gradient)


def largest_force(gradient: Vector) -> float:
    """eV/Å on any atom, from a gradient [3 n_atoms]."""
    return float(np.linalg.norm(gradient.reshape(-1, 3), axis=1).max())
