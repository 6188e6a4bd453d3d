"""The relaxation of one molecule: an optimizer at a level of theory, with everything counted."""

import math
import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from ase import Atoms
from ase.optimize.optimize import Optimizer
from numpy.typing import NDArray

from prerelax.engines import (
    EngineError,
    check_molecule,
    is_cheap,
    make_calculator,
)
from prerelax.molecules.constraints import Constraints
from prerelax.molecules.status import Status
from prerelax.relaxation.ahead import Ahead, converged, forces_meet, meets, quadratic
from prerelax.relaxation.cheap_surface import MODEL, CheapSurface
from prerelax.relaxation.convergence import Criteria, Meets
from prerelax.relaxation.first_hessian import model_hessian
from prerelax.relaxation.foresight import Foresight
from prerelax.relaxation.minimum import (
    KICK_ANG,
    MAX_KICKS,
    Curvature,
    curvature_at_cheap_level,
    curvature_at_target,
    kicked_force,
)
from prerelax.relaxation.optimizers import (
    WITH_CHEAP_LEVEL,
    Evaluation,
    GradientCounter,
    Watch,
    make_optimizer,
)
from prerelax.relaxation.preconditioned import largest_force
from prerelax.relaxation.settings import HOLDING, HOLDS_BY_DEFAULT, Relaxation
from prerelax.relaxation.two_level import TwoLevel
from prerelax.relaxation.unconverged import why_not_converged

MOST_SHORTENED = 3
"""How often a step at whose end the target's SCF fails is halved, in one relaxation."""


@dataclass(frozen=True)
class Judged:
    """How near a geometry is to its minimum."""

    energy_left_kcal_mol: float | None = None
    meets: Meets | None = None

    @classmethod
    def of(cls, gradient: NDArray[np.float64], ahead: Ahead) -> "Judged":
        return cls(ahead.energy_left_kcal_mol, meets(gradient, ahead))


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
    n_gradients_check: int | None = None
    """gradients at the target that the check of the minimum took, not in `n_gradients`"""
    n_imaginary: int | None = None
    """imaginary frequencies at the end; None where it was not checked"""
    lowest_frequency_cm: float | None = None
    thermochemistry: dict[str, float] | None = None
    """see `thermochemistry`; None unless all frequencies of the target are known and none is imaginary"""
    energy_ev: float | None = None
    start_energy_ev: float | None = None
    """None too where the optimizer began elsewhere: from a rough start's minimum at the cheap level"""
    fmax_ev_ang: float | None = None
    energy_left_kcal_mol: float | None = None
    """still expected to fall from the end; None where no model has a minimum near by"""
    meets: Meets | None = None
    start_energy_left_kcal_mol: float | None = None
    start_meets: Meets | None = None
    wall_s: float = 0.0
    path: list[Evaluation] = field(default_factory=list)
    """every evaluation in order"""
    hessian: NDArray[np.float64] | None = None
    """[3 n_atoms, 3 n_atoms] eV/Å² at the end, where the target's own checked the minimum"""
    output: str = ""
    """the end of what the program wrote, where it failed"""


def relax_molecule(
    numbers: NDArray[np.integer],
    positions: NDArray[np.floating],
    charge: int,
    multiplicity: int,
    relaxation: Relaxation,
    *,
    threads: int = 1,
    watch: Watch | None = None,
    constraints: str | None = None,
) -> RelaxationResult:
    """Relax one molecule; whatever happens to it ends in the result's status, never in an exception.

    `numbers` [n_atoms], `positions` [n_atoms, 3] in Å; `watch` is told of every gradient.
    `constraints` (`prerelax.molecules.constraints`) hold what the geometry has; convergence is then that of
    the forces along which it may move, and the end is not checked.
    Raises ValueError for a wrong engine, optimizer or Hessian only.
    """
    began = time.perf_counter()
    run = _Run(numbers, positions, charge, multiplicity, relaxation, threads, watch)
    failure: EngineError | None = None
    try:
        run.hold(constraints)
        check_molecule(run.atoms.numbers, run.atoms.positions, charge, multiplicity)
        run.relax()
        if relaxation.max_steps > 0:  # a single point is asked for no minimum
            run.look_ahead_at_ends()
        final: Evaluation | None = run.last()
    except Exception as error:
        failure = _as_engine_error(error, run)
        final = run.counter.evaluations[-1] if run.counter.evaluations else None
    finally:
        run.close()
    status, message = _verdict(failure, final, run)
    path = run.counter.evaluations
    return RelaxationResult(
        status=status,
        message="; ".join(part for part in (message, *run.notes()) if part),
        positions=None if final is None else final.positions,
        converged=status == "ok" and run.is_converged,
        n_gradients=run.counter.n_gradients,
        n_steps=run.n_steps,
        n_gradients_cheap=run.n_gradients_cheap,
        n_gradients_check=run.n_gradients_check if run.check != "none" else None,
        n_imaginary=run.curvature.n_imaginary if run.curvature else None,
        lowest_frequency_cm=run.curvature.lowest_frequency_cm if run.curvature else None,
        thermochemistry=run.thermochemistry(multiplicity),
        energy_ev=None if final is None else final.energy_ev,
        start_energy_ev=path[0].energy_ev if run.is_start_evaluated else None,
        fmax_ev_ang=None if final is None else final.fmax_ev_ang,
        energy_left_kcal_mol=run.end.energy_left_kcal_mol,
        meets=run.end.meets,
        start_energy_left_kcal_mol=run.start.energy_left_kcal_mol,
        start_meets=run.start.meets,
        wall_s=time.perf_counter() - began + run.counter.known_s,
        path=path,
        hessian=run.curvature.hessian if run.curvature else None,
        output=failure.output if failure else "",
    )


class _Run:
    """One molecule's relaxation, the check of its end, and relaxation again after a kick."""

    def __init__(
        self,
        numbers: NDArray[np.integer],
        positions: NDArray[np.floating],
        charge: int,
        multiplicity: int,
        relaxation: Relaxation,
        threads: int,
        watch: Watch | None,
    ) -> None:
        self.relaxation = relaxation
        self.atoms = Atoms(numbers=numbers, positions=positions)
        inner = make_calculator(
            relaxation.evaluated_level, charge=charge, multiplicity=multiplicity, threads=threads
        )
        self.counter = self.atoms.calc = GradientCounter(inner, watch)
        self._cheap = partial(
            CheapSurface, numbers=self.atoms.numbers, charge=charge, multiplicity=multiplicity
        )
        self._surfaces: list[CheapSurface] = []
        self.surface = self._surface() if relaxation.chosen_optimizer in WITH_CHEAP_LEVEL else None
        self._foresight = Foresight(
            self.atoms.numbers,
            None if is_cheap(relaxation) else self._surface(),
            relaxation.force_constant_factors(),
        )
        self.check = relaxation.check_of(len(self.atoms))
        self.curvature: Curvature | None = None
        self.start = self.end = Judged()
        self.ahead_of_end: Ahead | None = None
        self._expected: tuple[bytes, Ahead] | None = None
        """of the geometry with these bytes"""
        self.is_converged = False
        self.n_steps = 0
        self.n_gradients_check = 0
        self._checked_with = 0
        self._fmax_off_saddle = math.inf
        """eV/Å: near a flat saddle point forces are small, though the way down has only begun"""
        self._start = self.atoms.get_positions()
        self._start_note = self._optimizer_note = self._check_note = self._held_note = ""
        self._shortened_note = ""
        self.optimizer = relaxation.chosen_optimizer
        self.held = Constraints()

    def hold(self, constraints: str | None) -> None:
        """Hold these constraints from now on. Raises EngineError where the optimizer cannot."""
        if not constraints:
            return
        try:
            self.held = Constraints.read(constraints, n_atoms=len(self.atoms))
        except ValueError as error:
            raise EngineError("input_error", str(error)) from None
        if self.optimizer not in HOLDING:
            if self.relaxation.optimizer is not None:
                able = ", ".join(sorted(HOLDING))
                raise EngineError(
                    "input_error", f"the optimizer {self.optimizer} holds no constraints; take one of {able}"
                )
            self.optimizer, self.surface = HOLDS_BY_DEFAULT, None
        self.atoms.set_constraint(self.held.of_ase(self.atoms.positions))
        self.check = "none"
        self._held_note = f"held: {self.held}"

    def relax(self) -> None:
        """Relax, and where it is asked for check the end and leave a saddle point."""
        self._optimize()
        for kicks in range(MAX_KICKS + 1):
            if self.check == "none" or not self.is_converged:
                return
            self.curvature = self._check()
            if self.curvature is None or not self.curvature.n_imaginary:
                return
            self._check_note = (
                f"a saddle point, not a minimum: imaginary frequencies: {self.curvature.n_imaginary}, "
                f"the largest {-(self.curvature.lowest_frequency_cm or 0.0):.0f}i cm-1"
                + ("" if self.relaxation.kick else " (kick: true leaves it)")
            )
            if not self.relaxation.kick or kicks == MAX_KICKS:
                return
            self.atoms.positions += KICK_ANG * self.curvature.mode.reshape(-1, 3)
            self._fmax_off_saddle = kicked_force(self.curvature, self.atoms.numbers) / 2
            self.n_steps += 1
            self._optimize()
            self._check_note = f"relaxed again from a saddle point ({kicks + 1} of at most {MAX_KICKS} kicks)"
            self.curvature = None

    def last(self) -> Evaluation:
        """The present geometry, evaluated if it is not yet."""
        return Evaluation(
            self.atoms.get_positions(), self.atoms.get_potential_energy(), self.atoms.get_forces()
        )

    @property
    def n_gradients_cheap(self) -> int:
        surface = self.surface.n_gradients if self.surface else 0
        return surface + self._foresight.n_gradients + self._checked_with

    def thermochemistry(self, multiplicity: int) -> dict[str, float] | None:
        """Of the end, where the target's own frequencies are known."""
        if self.curvature is None or self.curvature.frequencies_cm is None:
            return None
        from prerelax.relaxation.thermochemistry import thermochemistry

        energy = self.counter.evaluations[-1].energy_ev
        return thermochemistry(self.curvature.frequencies_cm, self.atoms, energy, multiplicity)

    @property
    def is_start_evaluated(self) -> bool:
        """Whether the first gradient is the start's own."""
        path = self.counter.evaluations
        return bool(path) and np.array_equal(path[0].positions, self._start)

    def notes(self) -> list[str]:
        return [
            self._start_note,
            self._shortened_note,
            self._optimizer_note,
            self._check_note,
            self._held_note,
        ]

    def _optimize(self) -> None:
        factors = self.relaxation.force_constant_factors() if self.surface else None
        optimizer = make_optimizer(
            self.optimizer, self.atoms, self.surface, factors, self.held, self.relaxation.learned_difference()
        )
        self._optimizer = optimizer
        criteria = self.relaxation.criteria
        if criteria is not None:
            optimizer.gradient_converged = partial(self._meets, criteria)
        if isinstance(optimizer, TwoLevel) and self.relaxation.max_steps > 0:
            optimizer.leave_rough_start()
            self._start_note = self._start_note or optimizer.start_note
        try:
            fmax = min(self.relaxation.fmax_ev_ang, self._fmax_off_saddle)
            self._run(optimizer, fmax)
            self.is_converged = (
                self._meets(criteria, -self.last().forces.ravel())
                if criteria is not None
                else self.last().fmax_ev_ang < self.relaxation.fmax_ev_ang
            )
        finally:
            self.n_steps += optimizer.nsteps
            self._optimizer_note = getattr(optimizer, "note", "")

    def _run(self, optimizer: Optimizer, fmax: float) -> None:
        """Run the optimizer. Where the target fails after a step of two-level, half of the step is taken."""
        for shortened in range(MOST_SHORTENED + 1):
            try:
                optimizer.run(fmax=fmax, steps=self.relaxation.max_steps - self.n_steps - optimizer.nsteps)
                return
            except EngineError as error:
                may_retry = error.status in ("scf_failed", "input_error") and shortened < MOST_SHORTENED
                if not (may_retry and isinstance(optimizer, TwoLevel) and optimizer.shorten()):
                    raise
                self._shortened_note = f"steps at whose end the target failed, halved: {shortened + 1}"

    def _meets(self, criteria: Criteria, gradient: NDArray[np.float64]) -> bool:
        """Whether the present geometry is converged; asked by the optimizer before each step."""
        gradient = np.ravel(gradient)
        if largest_force(gradient) > self._fmax_off_saddle:
            return False
        if self.held:
            return forces_meet(criteria, gradient)
        return forces_meet(criteria, gradient) and converged(criteria, gradient, self._ahead())

    def _ahead(self) -> Ahead:
        """What is still expected at the present geometry.

        Found once for each: asked again, the cheap level answers with other noise, and the verdict of a
        geometry next to a criterion would depend on who asks.
        """
        here = self.atoms.get_positions().tobytes()
        if self._expected is None or self._expected[0] != here:
            self._expected = here, self._expect()
        return self._expected[1]

    def _expect(self) -> Ahead:
        """By the optimizer's own model; without one, by a Hessian of the cheap level."""
        if isinstance(self._optimizer, TwoLevel):
            ahead = self._optimizer.ahead()
            if np.isfinite(ahead.fall_ev):
                return ahead
        return self._foresight.ahead(self.counter.evaluations)

    def look_ahead_at_ends(self) -> None:
        """How far the start and the end are from the minimum, as far as a model tells."""
        path = self.counter.evaluations
        if not path or self.held:
            return
        end = -path[-1].forces.ravel()
        self.ahead_of_end = self._ahead()
        self.end = Judged.of(end, self.ahead_of_end)
        if not self.is_start_evaluated:
            return
        if len(path) == 1:
            self.start = self.end
            return
        begin = -path[0].forces.ravel()
        model = quadratic(model_hessian(self.atoms.numbers, path[0].positions), begin, path[0].positions)
        self.start = Judged.of(begin, model)

    def _surface(self) -> CheapSurface | None:
        guide = self.relaxation.chosen_cheap_level
        if guide == MODEL:
            return None
        self._surfaces.append(self._cheap(guide))
        return self._surfaces[-1]

    def close(self) -> None:
        """End what the engines of the target and of the cheap level keep."""
        self.counter.inner.close()
        for surface in self._surfaces:
            surface.close()

    def _check(self) -> Curvature | None:
        """The curvature here; None, with a note, where it cannot be had."""
        numbers, positions = self.atoms.numbers, self.atoms.get_positions()
        surface = None
        try:
            if self.check == "target":
                return curvature_at_target(self._at_target, numbers, positions)
            surface = self._surface()
            if surface is None:
                if self.relaxation.check_minimum is not None:
                    self._check_note = "not checked: the cheap level has no energy surface"
                return None
            cheap = surface
            return curvature_at_cheap_level(lambda x: cheap(x)[1], self._at_target, numbers, positions)
        except EngineError as error:
            self._check_note = f"not checked: {error.message}"
            return None
        finally:
            self._checked_with += surface.n_gradients if surface else 0

    def _at_target(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gradients of the check, counted apart from the relaxation's."""
        self.n_gradients_check += 1
        displaced = Atoms(numbers=self.atoms.numbers, positions=x.reshape(-1, 3))
        return -np.ravel(self.counter.uncounted(displaced).forces)


def _as_engine_error(error: Exception, run: "_Run") -> EngineError:
    optimizer = run.optimizer
    if isinstance(error, EngineError):
        if error.status != "input_error" or not run.counter.evaluations:
            return error
        what, _, _ = error.message.partition(":")  # the molecule was well at its start
        return EngineError(
            "scf_failed",
            f"a step of {optimizer} led where nothing can be computed ({what}); begin nearer to the minimum",
        )
    if isinstance(error, MemoryError):
        return EngineError("resource_error", "out of memory: give the job more memory or fewer workers")
    return EngineError("unknown_error", f"{optimizer}: {type(error).__name__}: {error}")


def _verdict(failure: EngineError | None, final: Evaluation | None, run: "_Run") -> tuple[Status, str]:
    """Status and message; convergence is judged here, by one rule for every optimizer."""
    if failure is not None or final is None:
        assert failure is not None
        return failure.status, failure.message
    if run.is_converged or run.relaxation.max_steps == 0:  # a single point is what it is
        return "ok", ""
    return "not_converged", why_not_converged(
        run.relaxation, run.counter.evaluations, final, run.ahead_of_end
    )
