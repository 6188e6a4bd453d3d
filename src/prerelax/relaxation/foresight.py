"""What is still expected of a relaxation whose optimizer has no surface of its own to tell by.

At a DFT target the cheap surface, corrected by the last gradients of the target, is followed to its minimum:
soft molecules move several tenths of an Å on the last 0.1 kcal/mol, where no quadratic model holds. At a
cheap target that would cost as much as the relaxation; there a model Hessian tells. How far both are right:
docs/results/minima.md.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from prerelax.engines import EngineError
from prerelax.relaxation.ahead import Ahead, quadratic
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.first_hessian import first_hessian, model_hessian
from prerelax.relaxation.force_constants import scaled_force_constants
from prerelax.relaxation.optimizers import Evaluation
from prerelax.relaxation.two_level import TwoLevel

REMEMBERED = 5
"""Gradients of the target, the last ones, that correct the cheap surface."""
MODEL_TOO_STIFF = 3.0
"""Lindh's model overrates the force constants along what is left of a relaxation, by so many times."""


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

    @property
    def n_gradients(self) -> int:
        """Spent at the cheap level."""
        return self.surface.n_gradients if self.surface else 0

    def ahead(self, path: Sequence[Evaluation]) -> Ahead:
        """From the last of these evaluations at the target, by all of them."""
        if self.surface is None:
            return self._by_model(path[-1])
        try:
            for remembered in (REMEMBERED, 1):  # of several, another one may be the lowest
                along = _along_surface(self.numbers, path[-remembered:], self.surface)
                if np.isfinite(along.fall_ev):
                    return along
        except EngineError:
            pass  # the cheap level cannot treat these geometries; its Hessian's stand-in can
        return self._by_hessian(path[-1], self.surface)

    def _by_model(self, end: Evaluation) -> Ahead:
        """The steps stay the model's own: Gaussian's criteria of the step are meant for such."""
        model = quadratic(model_hessian(self.numbers, end.positions), -end.forces.ravel(), end.positions)
        return Ahead(model.step, MODEL_TOO_STIFF * model.fall_ev)

    def _by_hessian(self, end: Evaluation, surface: CheapSurface) -> Ahead:
        """½ gᵀH⁻¹g by the cheap level's force constants, scaled to the target's."""
        first = first_hessian(self.numbers, end.positions, surface)
        hessian = first.matrix
        if self.factors and first.source == surface.name:
            hessian = scaled_force_constants(hessian, self.numbers, end.positions, self.factors)
        return quadratic(hessian, -end.forces.ravel(), end.positions)


def _along_surface(numbers: NDArray[np.integer], path: Sequence[Evaluation], surface: CheapSurface) -> Ahead:
    """As `two-level` would expect it, had it come this way. Raises EngineError."""
    atoms = Atoms(numbers, path[0].positions)
    guide = TwoLevel(atoms, surface)
    for evaluation in path:
        atoms.set_positions(evaluation.positions)
        atoms.calc = SinglePointCalculator(atoms, energy=evaluation.energy_ev, forces=evaluation.forces)
        guide.take_in()
    return guide.ahead()
