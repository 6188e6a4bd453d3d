"""The relaxation of one molecule: an optimizer at a level of theory, with everything counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms, __version__
from numpy.typing import NDArray

from prerelax.engines import (
    EngineError,
    Level,
    check_molecule,
    close_calculator,
    level_settings,
    make_calculator,
)
from prerelax.records import Status
from prerelax.relaxation.cheap_surface import MODEL, CheapSurface, cheap_level
from prerelax.relaxation.force_constants import DFT_FACTORS
from prerelax.relaxation.optimizers import (
    WITH_CHEAP_LEVEL,
    Evaluation,
    GradientCounter,
    make_optimizer,
)

DEFAULT_FMAX_EV_ANG = 0.03
DEFAULT_MAX_STEPS = 1000
METHOD_VERSION = 1
"""Raised when a change here alters results, so that journals of before are not taken for today's."""
HESSIAN_VERSION = 4
"""The same for the optimizers with a cheap level."""


@dataclass(frozen=True)
class Relaxation:
    """How molecules are relaxed: level, optimizer and convergence."""

    level: Level
    optimizer: str = "bfgs"
    fmax_ev_ang: float = DEFAULT_FMAX_EV_ANG
    """converged when no atom feels a larger force"""
    max_steps: int = DEFAULT_MAX_STEPS
    hessian: str = "auto"
    """the cheap level of the optimizers that use one: auto or one of CHEAP_LEVELS"""

    def settings(self) -> dict[str, Any]:
        """Everything a result depends on beside the molecule, ready for JSON."""
        settings = {
            **level_settings(self.level),
            "optimizer": self.optimizer,
            "fmax_ev_ang": self.fmax_ev_ang,
            "max_steps": self.max_steps,
            "ase": __version__,
            "method_version": METHOD_VERSION,
        }
        if self.optimizer in WITH_CHEAP_LEVEL:
            settings |= {
                "hessian": self.cheap_level(),
                "hessian_version": HESSIAN_VERSION,
                "force_constant_factors": self.force_constant_factors(),
            }
        return settings

    def cheap_level(self) -> str:
        """The cheap level that the option `hessian` means at this target. Raises ValueError."""
        return cheap_level(self.hessian, self.level)

    def force_constant_factors(self) -> dict[str, float]:
        """By which the cheap level's force constants are multiplied; none where the target is cheap too."""
        ab_initio = self.level.engine not in ("tblite", "mlff")
        return DFT_FACTORS.get(self.cheap_level(), {}) if ab_initio else {}


@dataclass(frozen=True)
class RelaxationResult:
    """What one relaxation gave; the numbers are None where it never came that far."""

    status: Status
    message: str = ""
    positions: NDArray[np.float64] | None = None
    """[n_atoms, 3] Å: the relaxed geometry, or the last one that was evaluated; None if there was none"""
    converged: bool = False
    n_gradients: int = 0
    n_steps: int = 0
    n_gradients_cheap: int = 0
    energy_ev: float | None = None
    start_energy_ev: float | None = None
    fmax_ev_ang: float | None = None
    wall_s: float = 0.0
    path: list[Evaluation] = field(default_factory=list)
    """every evaluation in order"""


def relax_molecule(
    numbers: NDArray[np.integer],
    positions: NDArray[np.floating],
    charge: int,
    multiplicity: int,
    relaxation: Relaxation,
    *,
    threads: int = 1,
    on_evaluation: Callable[[int, Evaluation], None] | None = None,
) -> RelaxationResult:
    """Relax one molecule; whatever happens to it ends in the result's status, never in an exception.

    `numbers` [n_atoms], `positions` [n_atoms, 3] in Å; `on_evaluation` is told every gradient and its count.
    Raises ValueError for a wrong engine, optimizer or Hessian only.
    """
    began = time.perf_counter()
    atoms = Atoms(numbers=numbers, positions=positions)
    inner = make_calculator(relaxation.level, charge=charge, multiplicity=multiplicity, threads=threads)
    counter = atoms.calc = GradientCounter(inner, on_evaluation)
    surface = _surface(relaxation, atoms.numbers, charge, multiplicity, threads)
    factors = relaxation.force_constant_factors() if surface else None
    optimizer = make_optimizer(relaxation.optimizer, atoms, surface, factors)
    failure: EngineError | None = None
    try:
        check_molecule(atoms.numbers, atoms.positions, charge, multiplicity)
        optimizer.run(fmax=relaxation.fmax_ev_ang, steps=relaxation.max_steps)
        final: Evaluation | None = Evaluation(
            atoms.get_positions(), atoms.get_potential_energy(), atoms.get_forces()
        )
    except Exception as error:
        failure = _as_engine_error(error, relaxation.optimizer)
        final = counter.evaluations[-1] if counter.evaluations else None
    finally:
        close_calculator(inner)
    status, message = _verdict(failure, final, relaxation)
    message = "; ".join(part for part in (message, getattr(optimizer, "note", "")) if part)
    return RelaxationResult(
        status=status,
        message=message,
        positions=None if final is None else final.positions,
        converged=status == "ok",
        n_gradients=counter.n_gradients,
        n_steps=optimizer.nsteps,
        n_gradients_cheap=getattr(optimizer, "n_gradients_cheap", 0),
        energy_ev=None if final is None else final.energy_ev,
        start_energy_ev=counter.evaluations[0].energy_ev if counter.evaluations else None,
        fmax_ev_ang=None if final is None else final.fmax_ev_ang,
        wall_s=time.perf_counter() - began,
        path=counter.evaluations,
    )


def _surface(
    relaxation: Relaxation, numbers: NDArray[np.integer], charge: int, multiplicity: int, threads: int
) -> CheapSurface | None:
    if relaxation.optimizer not in WITH_CHEAP_LEVEL:
        return None
    name = relaxation.cheap_level()
    return None if name == MODEL else CheapSurface(name, numbers, charge, multiplicity, threads)


def _as_engine_error(error: Exception, optimizer: str) -> EngineError:
    if isinstance(error, EngineError):
        return error
    if isinstance(error, MemoryError):
        return EngineError("resource_error", "out of memory: give the job more memory or fewer workers")
    return EngineError("unknown_error", f"{optimizer}: {type(error).__name__}: {error}")


def _verdict(
    failure: EngineError | None, final: Evaluation | None, relaxation: Relaxation
) -> tuple[Status, str]:
    """Status and message; convergence is judged here, by one rule for every optimizer."""
    if failure is not None or final is None:
        assert failure is not None
        return failure.status, failure.message
    if final.fmax_ev_ang < relaxation.fmax_ev_ang:
        return "ok", ""
    return "not_converged", (
        f"fmax is {final.fmax_ev_ang:.3f} eV/Å after at most {relaxation.max_steps} steps "
        f"(asked: {relaxation.fmax_ev_ang:g}); allow more steps or start nearer"
    )
