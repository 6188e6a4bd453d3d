"""Geometry optimizers by name, and the counting of what they cost."""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize.optimize import Optimizer
from numpy.typing import NDArray

from prerelax.engines import EngineCalculator, Level, is_cheap
from prerelax.errors import nearest
from prerelax.molecules.constraints import Constraints
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.external import check_installed
from prerelax.relaxation.learned_difference import LearnedDifference

OPTIMIZERS: dict[str, str] = {
    "bfgs": "ase.optimize:BFGS",
    "lbfgs": "ase.optimize:LBFGS",
    "bfgs-linesearch": "ase.optimize:BFGSLineSearch",
    "fire": "ase.optimize:FIRE",
    "bfgs-hessian": "prerelax.relaxation.preconditioned:HessianBFGS",
    "two-level": "prerelax.relaxation.two_level:TwoLevel",
    "sella": "prerelax.relaxation.external:sella",
    "geometric": "prerelax.relaxation.external:Geometric",
    "pyberny": "prerelax.relaxation.external:Pyberny",
}
"""Optimizer name -> `module:callable`. The callable takes `atoms` with a calculator and `logfile`, and
returns an ASE optimizer; gradients that it spends at a cheaper level stand in its attribute
`n_gradients_cheap`, what the row should say in `note`."""

WITH_CHEAP_LEVEL = frozenset({"bfgs-hessian", "two-level"})
"""Optimizers that take the cheap level's `surface` as well; the option `hessian` is for these."""


def default_optimizer(level: Level) -> str:
    """The optimizer of a level that names none: the one with fewest gradients where they cost seconds, the
    fastest where they cost milliseconds.
    """
    return "bfgs-hessian" if is_cheap(level) else "two-level"


def validate_optimizer(name: str) -> None:
    """Raise ValueError with one sentence where no optimizer has this name, or its package is missing."""
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer '{name}'{nearest(name, OPTIMIZERS)}")
    check_installed(name)


def make_optimizer(
    name: str,
    atoms: Atoms,
    surface: CheapSurface | None = None,
    factors: Mapping[str, float] | None = None,
    constraints: Constraints | None = None,
    learned: LearnedDifference | None = None,
) -> Optimizer:
    """The named optimizer with its own defaults; `bfgs` is ASE's (maxstep 0.2 Å, first Hessian 70 eV/Å²).

    `surface` is the cheap level of those that use one, `factors` scale its force constants in bfgs-hessian,
    `learned` is what two-level knows of the target's difference to it beforehand.
    ASE's optimizers hold the constraints that the atoms have; geomeTRIC is told of `constraints`.
    """
    validate_optimizer(name)
    module, _, attribute = OPTIMIZERS[name].partition(":")
    factory: Callable[..., Optimizer] = getattr(importlib.import_module(module), attribute)
    if name in WITH_CHEAP_LEVEL:
        known = {"learned": learned} if name == "two-level" else {"factors": factors}
        return factory(atoms, surface=surface, logfile=None, **known)
    if constraints and name == "geometric":
        return factory(atoms, logfile=None, constraints=constraints)
    return factory(atoms, logfile=None)


@dataclass(frozen=True)
class Evaluation:
    """One energy+forces evaluation at the target."""

    positions: NDArray[np.float64]
    """[n_atoms, 3] Å"""
    energy_ev: float
    forces: NDArray[np.float64]
    """[n_atoms, 3] eV/Å"""
    wall_s: float = 0.0

    @property
    def fmax_ev_ang(self) -> float:
        """Largest force on an atom, ASE's convergence criterion."""
        return float(np.linalg.norm(self.forces, axis=1).max())


SAME_GEOMETRY_ANG = 1e-6
"""Positions that agree to it are one geometry: a guide of several threads repeats itself no better."""


@dataclass(frozen=True)
class Watch:
    """Who looks on while a molecule is relaxed, and what is known of it already."""

    on_evaluation: Callable[[int, Evaluation], None] = lambda n_gradients, evaluation: None
    """told every gradient that counts, and its count"""
    on_computed: Callable[[Evaluation], None] = lambda evaluation: None
    """told every gradient that the engine computed, those of a check too"""
    known: Sequence[Evaluation] = ()
    """gradients of this molecule at this target that a job before computed"""


class GradientCounter(Calculator):
    """Passes on energies and forces of another calculator and keeps every evaluation, so that all count.

    Asking again at the last geometry costs nothing, as with every ASE calculator. What `watch` knows is
    counted, but not computed again.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces"]

    def __init__(self, inner: EngineCalculator, watch: Watch | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.watch = watch or Watch()
        self.evaluations: list[Evaluation] = []
        self.known_s = 0.0
        """seconds that known gradients took when they were computed"""

    @property
    def n_gradients(self) -> int:
        return len(self.evaluations)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate the other calculator, whatever it raises, and keep what it found."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        known = self._known(self.atoms)
        evaluation = known or self._computed(self.atoms, system_changes)
        energy, forces = evaluation.energy_ev, evaluation.forces.copy()
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        self.evaluations.append(evaluation)
        self.watch.on_evaluation(self.n_gradients, evaluation)
        if known is None:
            self.watch.on_computed(evaluation)

    def uncounted(self, atoms: Atoms) -> Evaluation:
        """At the geometry of `atoms`, not among `evaluations`. Raises what the other calculator does."""
        known = self._known(atoms)
        evaluation = known or self._computed(atoms, all_changes)
        if known is None:
            self.watch.on_computed(evaluation)
        return evaluation

    def _known(self, atoms: Atoms) -> Evaluation | None:
        for known in self.watch.known:
            if np.allclose(known.positions, atoms.positions, rtol=0.0, atol=SAME_GEOMETRY_ANG):
                self.known_s += known.wall_s
                return replace(known, positions=atoms.positions.copy())
        return None

    def _computed(self, atoms: Atoms, changes: list[str]) -> Evaluation:
        began = time.perf_counter()
        self.inner.calculate(atoms, ["energy", "forces"], changes)
        energy, forces = float(self.inner.results["energy"]), np.array(self.inner.results["forces"])
        return Evaluation(atoms.positions.copy(), energy, forces, time.perf_counter() - began)
