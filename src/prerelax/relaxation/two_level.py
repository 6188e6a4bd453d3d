"""Relaxation on a cheap surface that is corrected, gradient by gradient, until it is the target's.

After each target gradient the model is the cheap energy plus a linear and a quadratic term: the difference of
the two gradients at the best geometry, and a Hessian of the difference. The next geometry is the model's
minimum, so that the cheap level accounts for what is not quadratic. First order: Alexandrov and Lewis, Optim.
Eng. 2001, 2, 413 (first-order model management).

The Hessian of the difference begins with the scaling of the force constants and learns from each step by the
least change that explains it, measured relative to the Hessian itself, since force constants err by a
fraction of themselves (a weighted Powell update: Greenstadt, Math. Comp. 1970, 24, 1).
"""

from collections.abc import Mapping
from typing import IO

import numpy as np
from ase import Atoms

from prerelax.engines import EngineError
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.preconditioned import (
    HessianBFGS,
    Matrix,
    Vector,
    bfgs_update,
    largest_displacement,
    largest_force,
    newton_step,
)

INNER_STEPS = 60
INNER_FMAX_EV_ANG = 0.003
SMALLEST_INNER_STEP_ANG = 1e-3
INNER_RISE_EV = 1e-5
DAMPING_EV_ANG2 = 0.3
"""Force constant that holds every atom near the last geometry: along soft modes, where the two levels may
disagree about everything, the model's minimum lies too far."""

REACH = 3.0
"""The corrected surface's minimum may be this many times as far as that of the quadratic model of
`bfgs-hessian`: further off it is an artefact of the correction."""
UPDATE_SWEEPS = 4
WEIGHT_FLOOR_EV_ANG2 = 0.3
RELATIVE_BOUNDS = (-0.6, 1.5)
"""A cheap force constant is off by no more: what a long step seems to show beyond it is not curvature."""


class TwoLevel(HessianBFGS):
    """`two-level`: minimises the cheap surface plus its correction; without a surface like HessianBFGS."""

    def __init__(
        self,
        atoms: Atoms,
        surface: CheapSurface | None = None,
        factors: Mapping[str, float] | None = None,
        logfile: IO[str] | str | None = None,
    ) -> None:
        super().__init__(atoms, surface, factors, logfile)
        self.difference: Matrix = np.zeros((0, 0))
        """Hessian of target minus cheap level, [3 n_atoms, 3 n_atoms] eV/Å²"""
        self._first_difference = self.difference
        self._changes: list[tuple[Vector, Vector]] = []
        """steps and how much more the target's gradient changed along them than the cheap level's"""
        self._cheap: dict[bytes, tuple[float, Vector]] = {}

    def begin(self, x: Vector, gradient: Vector) -> None:
        super().begin(x, gradient)
        self.difference = self._first_difference = self.hessian - self.cheap_hessian

    def learn(self, x: Vector, gradient: Vector, x_new: Vector, gradient_new: Vector) -> None:
        super().learn(x, gradient, x_new, gradient_new)
        if self._surface_holds:
            try:
                change = (gradient_new - gradient) - (self._at(x_new)[1] - self._at(x)[1])
                self._changes.append((x_new - x, change))
                self.difference = self._explained()
            except EngineError as error:
                self._give_up(error)

    def proposal(self, x: Vector, energy: float, gradient: Vector) -> Vector:
        if self._surface_holds:
            try:
                return self._corrected_minimum(x, gradient)
            except EngineError as error:
                self._give_up(error)
        return super().proposal(x, energy, gradient)

    def _explained(self) -> Matrix:
        """The first difference changed as little as all steps ask for, the last step counting most."""
        difference = self._first_difference
        for _ in range(UPDATE_SWEEPS):
            for step, change in self._changes:
                difference = relative_update(difference, self.cheap_hessian + difference, step, change)
        return difference

    @property
    def _surface_holds(self) -> bool:
        return self.surface is not None and self.hessian_source == self.surface.name

    def _give_up(self, error: EngineError) -> None:
        assert self.surface is not None
        self.note = f"went on without {self.surface.name}, which failed on the way ({error.message})"
        self.hessian_source = "target"

    def _at(self, x: Vector) -> tuple[float, Vector]:
        """The cheap level at a geometry of the target's path, evaluated once."""
        assert self.surface is not None
        key = x.tobytes()
        if key not in self._cheap:
            self._cheap[key] = self.surface(x)
        return self._cheap[key]

    def _corrected_minimum(self, x: Vector, gradient: Vector) -> Vector:
        """The step to the corrected surface's minimum, or to where the trust radius ends."""
        assert self.surface is not None
        cheap_energy, cheap_gradient = self._at(x)
        linear = gradient - cheap_gradient
        quadratic = self.difference + DAMPING_EV_ANG2 * np.eye(x.size)
        move, slope, hessian = np.zeros(x.size), gradient, self.cheap_hessian + quadratic
        newton = newton_step(self.model, gradient, x.reshape(-1, 3), self.trust)
        reach = min(self.trust, REACH * largest_displacement(newton))
        self._expected, radius = 0.0, reach
        for _ in range(INNER_STEPS):
            radius = min(radius, reach - largest_displacement(move))
            if largest_force(slope) < INNER_FMAX_EV_ANG or radius < SMALLEST_INNER_STEP_ANG:
                break
            step = newton_step(hessian, slope, (x + move).reshape(-1, 3), radius)
            trial = move + step
            energy, cheap = self.surface(x + trial)
            new_slope = cheap + linear + quadratic @ trial
            total = float(energy - cheap_energy + linear @ trial + trial @ quadratic @ trial / 2)
            hessian = bfgs_update(hessian, step, new_slope - slope)
            if total > self._expected + INNER_RISE_EV:
                radius = largest_displacement(step) / 2
                continue
            move, slope, self._expected = trial, new_slope, total
        if not move.any():  # nearer to the minimum than the search on the cheap surface resolves
            self._expected = float(gradient @ newton + newton @ self.model @ newton / 2)
            return newton
        return move


def relative_update(difference: Matrix, hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """The least change of `difference` that explains the gradient's `change` along `step`.

    Least in the Frobenius norm of H^(-1/2) Δ H^(-1/2), H being `hessian` made positive definite; its
    eigenvalues, relative errors of the cheap level, are kept within RELATIVE_BOUNDS. All matrices are
    [3 n_atoms, 3 n_atoms] in eV/Å².
    """
    values, vectors = np.linalg.eigh(hessian)
    roots = np.sqrt(np.maximum(np.abs(values), WEIGHT_FLOOR_EV_ANG2))
    step, change = roots * (vectors.T @ step), (vectors.T @ change) / roots
    relative = (vectors.T @ difference @ vectors) / np.outer(roots, roots)
    rest, scale = change - relative @ step, step @ step
    if scale > 1e-12:
        outer = np.outer(rest, step)
        relative += (outer + outer.T) / scale - (rest @ step) * np.outer(step, step) / scale**2
    lowest, highest = RELATIVE_BOUNDS
    errors, modes = np.linalg.eigh(relative)
    relative = (modes * np.clip(errors, lowest, highest)) @ modes.T
    image = vectors * roots
    updated: Matrix = image @ relative @ image.T
    return updated
