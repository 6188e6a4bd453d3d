"""What is still expected of a relaxation whose optimizer has no surface of its own to tell by.

At a DFT target the cheap surface, corrected by the last gradients of the target, is followed to its minimum:
soft molecules move several tenths of an Å on the last 0.1 kcal/mol, where no quadratic model holds. At a
cheap target that would cost as much as the relaxation; there a model Hessian tells. How far both are right:
docs/results/minima.md.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from prerelax.engines import EngineError
from prerelax.molecules.superposition import superimposed
from prerelax.relaxation.ahead import FLAT_EV_ANG2, Ahead, quadratic
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.external import GeometricSteps
from prerelax.relaxation.first_hessian import first_hessian, model_hessian
from prerelax.relaxation.force_constants import scaled_force_constants
from prerelax.relaxation.level_difference import LevelDifference
from prerelax.relaxation.optimizers import Evaluation
from prerelax.relaxation.preconditioned import (
    Matrix,
    Vector,
    bfgs_update,
    internal_space,
    largest_force,
)
from prerelax.relaxation.primitives import primitives
from prerelax.relaxation.two_level import (
    INNER_FMAX_EV_ANG,
    INNER_FMAX_RATIO,
    INNER_STEPS,
    next_geometry,
    without_rigid,
)

REMEMBERED = 20
"""Gradients of the target, the last ones, that correct the cheap surface and the model."""
MODEL_TOO_STIFF = 3.0
"""Lindh's model overrates the force constants along what is left of a relaxation, by so many times,"""
STILL_TOO_STIFF = 1.4
"""and by so many more where the gradients so far have updated it. Both fitted to 100 relaxations of 50
drug-like molecules at GFN2-xTB."""

CALM_EV_ANG = 1e-3
"""Forces on the corrected surface below it are noise, of both levels. Where the search has come so far and
they grow to twice as much again, it has slid over the edge of a shallow minimum: the end is what was calm."""

SOFT_EV_ANG2 = 0.05
"""stands for what Lindh's model has no force constant for: out of the plane of three neighbours, between
molecules."""


class Foresight:
    """For one molecule: `surface` is its cheap level, None where only a model Hessian is to be had."""

    def __init__(
        self,
        numbers: NDArray[np.integer],
        surface: CheapSurface | None,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self.numbers = numbers
        self.surface = surface
        self.factors = factors or {}
        self._cheap: dict[bytes, Vector] = {}
        """the cheap level's gradients at the target's geometries"""

    @property
    def n_gradients(self) -> int:
        """Spent at the cheap level."""
        return self.surface.n_gradients if self.surface else 0

    def ahead(self, path: Sequence[Evaluation]) -> Ahead:
        """From the last of these evaluations at the target, by all of them."""
        if self.surface is None:
            return self._by_model(path)
        try:
            along = self._along_surface(path[-REMEMBERED:], self.surface)
            if np.isfinite(along.fall_ev):
                return along
        except EngineError:
            pass  # the cheap level cannot treat these geometries; its Hessian's stand-in can
        by_hessian = self._by_hessian(path[-1], self.surface)
        if np.isfinite(by_hessian.fall_ev):
            return by_hessian
        return self._by_model(path)  # a saddle of the cheap level's need not be one of the target's

    def _along_surface(self, path: Sequence[Evaluation], surface: CheapSurface) -> Ahead:
        """To the minimum of the surface that has the target's gradients on this path.

        inf where nothing lower is found. Raises EngineError. geomeTRIC begins with its own guess of the
        Hessian, which is stiffer than the cheap level's along soft coordinates: it stays in the basin.
        """
        end, n_atoms = path[-1], len(self.numbers)
        begin, gradient = end.positions.ravel(), -end.forces.ravel()
        nothing = Ahead(np.zeros(begin.size), np.inf)
        if n_atoms == 1:
            return nothing
        difference = LevelDifference(primitives(self.numbers, end.positions), begin)
        for seen in path:
            x = seen.positions.ravel()
            cheap = self._cheap_gradient(x, surface)
            difference.learn(x, without_rigid(-seen.forces.ravel() - cheap, x))
        known = surface(begin)[0] + difference(begin)[0]
        enough = max(INNER_FMAX_EV_ANG, INNER_FMAX_RATIO * largest_force(gradient))
        symbols = [chemical_symbols[number] for number in self.numbers]
        steps = GeometricSteps(symbols, end.positions, smooth=True)
        here, told = begin, (0.0, without_rigid(gradient, begin))
        best, lowest = here, 0.0
        calm, calmest = (best, lowest), CALM_EV_ANG
        for _ in range(INNER_STEPS):
            here = next_geometry(steps, *told)
            (energy, cheap), (more, by) = surface(here), difference(here)
            told = energy + more - known, without_rigid(cheap + by, here)
            force = largest_force(told[1])
            if told[0] < lowest:
                best, lowest = here, told[0]
            if force < enough:
                break
            if force < calmest:
                calm, calmest = (here, told[0]), force
            elif calmest < CALM_EV_ANG and force > 2 * CALM_EV_ANG:
                best, lowest = calm
                break
        if lowest >= 0.0:
            return nothing
        minimum = superimposed(best.reshape(-1, 3), end.positions).ravel()
        return Ahead(minimum - begin, -lowest)

    def _cheap_gradient(self, x: Vector, surface: CheapSurface) -> Vector:
        if x.tobytes() not in self._cheap:
            self._cheap[x.tobytes()] = surface(x)[1]
        return self._cheap[x.tobytes()]

    def _by_model(self, path: Sequence[Evaluation]) -> Ahead:
        """By Lindh's model, made softer and updated by the gradients so far.

        The steps stay the model's own: Gaussian's criteria of the step are meant for such.
        """
        end = path[-1]
        gradient, space = -end.forces.ravel(), internal_space(end.positions)
        updated = model = _without_flat(model_hessian(self.numbers, end.positions), space)
        for before, after in pairwise(path[-REMEMBERED:]):
            step = space @ (space.T @ (after.positions - before.positions).ravel())
            change = space @ (space.T @ (before.forces - after.forces).ravel())
            updated = bfgs_update(updated, step, MODEL_TOO_STIFF * change)
        fall = STILL_TOO_STIFF * MODEL_TOO_STIFF * quadratic(updated, gradient, end.positions).fall_ev
        return Ahead(quadratic(model, gradient, end.positions).step, fall)

    def _by_hessian(self, end: Evaluation, surface: CheapSurface) -> Ahead:
        """½ gᵀH⁻¹g by the cheap level's force constants, scaled to the target's."""
        first = first_hessian(self.numbers, end.positions, surface)
        hessian = first.matrix
        if self.factors and first.source == surface.name:
            hessian = scaled_force_constants(hessian, self.numbers, end.positions, self.factors)
        return quadratic(hessian, -end.forces.ravel(), end.positions)


def _without_flat(hessian: Matrix, space: Matrix) -> Matrix:
    """The model Hessian with a soft force constant where it has none in this space."""
    values, vectors = np.linalg.eigh(space.T @ hessian @ space)
    flat = (space @ vectors)[:, values < FLAT_EV_ANG2]
    result: Matrix = hessian + SOFT_EV_ANG2 * flat @ flat.T
    return result
