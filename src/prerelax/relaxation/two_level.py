"""Relaxation on a cheap surface that is corrected, gradient by gradient, until it is the target's.

After each target gradient the model is the cheap energy plus a linear and a quadratic term: the difference of
the two gradients at the best geometry, and a Hessian of the difference learnt by symmetric rank-one updates.
The next geometry is the model's minimum, so that the cheap level accounts for what is not quadratic. First
order: Alexandrov and Lewis, Optim. Eng. 2001, 2, 413 (first-order model management).
"""

from typing import Any

import numpy as np
from ase import Atoms

from prerelax.engines import EngineError
from prerelax.relaxation.preconditioned import (
    EIGENVALUE_FLOOR_EV_ANG2,
    HessianBFGS,
    Matrix,
    Vector,
    bfgs_update,
    largest_displacement,
    largest_force,
    newton_step,
    within,
)

INNER_STEPS = 60
INNER_FMAX_EV_ANG = 0.003


class TwoLevel(HessianBFGS):
    """`two-level`: minimises the cheap surface plus its correction; without a surface like HessianBFGS."""

    def __init__(self, atoms: Atoms, **options: Any) -> None:
        super().__init__(atoms, **options)
        self.difference: Matrix | None = None
        """Hessian of target minus cheap level, [3 n_atoms, 3 n_atoms] eV/Å²"""
        self._cheap: dict[bytes, tuple[float, Vector]] = {}

    def learn(self, x: Vector, gradient: Vector, x_new: Vector, gradient_new: Vector) -> None:
        super().learn(x, gradient, x_new, gradient_new)
        if not self._surface_holds:
            return
        if self.difference is None:
            self.difference = np.zeros((x.size, x.size))
        try:
            change = (gradient_new - gradient) - (self._at(x_new)[1] - self._at(x)[1])
        except EngineError as error:
            self._give_up(error)
            return
        self.difference = sr1_update(self.difference, x_new - x, change)

    def proposal(self, x: Vector, energy: float, gradient: Vector) -> Vector:
        if not self._surface_holds:
            return super().proposal(x, energy, gradient)
        try:
            return self._corrected_minimum(x, gradient)
        except EngineError as error:
            self._give_up(error)
            return super().proposal(x, energy, gradient)

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
        assert self.surface is not None and self.hessian is not None
        difference = np.zeros((x.size, x.size)) if self.difference is None else self.difference
        cheap_energy, cheap_gradient = self._at(x)
        linear = gradient - cheap_gradient
        move, total, slope, hessian = np.zeros(x.size), 0.0, gradient, self.hessian
        for _ in range(INNER_STEPS):
            if largest_force(slope) < INNER_FMAX_EV_ANG:
                break
            step = newton_step(hessian, slope, (x + move).reshape(-1, 3), EIGENVALUE_FLOOR_EV_ANG2)
            step = within(step, self.trust)
            trial = move + step
            if largest_displacement(trial) > self.trust:
                move = within(trial, self.trust)
                break
            energy, cheap = self.surface(x + trial)
            new_slope = cheap + linear + difference @ trial
            hessian = bfgs_update(hessian, step, new_slope - slope)
            move, slope = trial, new_slope
            total = float(energy - cheap_energy + linear @ move + move @ difference @ move / 2)
        self._expected = total
        return move


def sr1_update(hessian: Matrix, step: Vector, change: Vector) -> Matrix:
    """Symmetric rank-one update (Nocedal and Wright, 6.24), skipped where its denominator is nearly zero."""
    rest = change - hessian @ step
    denominator = rest @ step
    if abs(denominator) < 1e-8 * np.linalg.norm(rest) * np.linalg.norm(step):
        return hessian
    return hessian + np.outer(rest, rest) / denominator
