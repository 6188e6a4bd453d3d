"""Relaxation on a cheap surface that is corrected, gradient by gradient, until it is the target's.

After each target gradient the next geometry is the minimum of the cheap energy plus what has been learned of
the difference to the target (`level_difference`), beginning with what a pilot taught of it
(`learned_difference`): the cheap level accounts for what is not quadratic, soft torsions and contacts above
all. First order: Alexandrov and Lewis, Optim. Eng. 2001, 2, 413 (first-order
model management); a physical surface as the mean of a Gaussian process: Teng, Huang and Bao, J. Chem. Theory
Comput. 2024, 20, 4308. geomeTRIC seeks the minimum (Wang and Song, J. Chem. Phys. 2016, 144, 214108).
"""

import math
from collections.abc import Callable
from typing import IO

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from prerelax.engines import EngineError
from prerelax.molecules.superposition import superimposed
from prerelax.molecules.topology import bonds_from_geometry
from prerelax.relaxation.ahead import Ahead
from prerelax.relaxation.cheap_surface import MODEL, CheapSurface
from prerelax.relaxation.external import GeometricSteps
from prerelax.relaxation.learned_difference import LearnedDifference
from prerelax.relaxation.level_difference import LevelDifference
from prerelax.relaxation.preconditioned import (
    TRUST_BOUNDS_ANG,
    HessianBFGS,
    Matrix,
    Vector,
    internal_space,
    largest_displacement,
    largest_force,
)
from prerelax.relaxation.primitives import (
    ACROSS,
    BEND,
    CONTACT,
    STRAIGHT,
    STRETCH,
    TORSION,
    Primitives,
    primitives,
)

Surface = Callable[[Vector], tuple[float, Vector]]
"""Positions [3 n_atoms] in Å to the energy in eV and gradient [3 n_atoms] in eV/Å."""

INNER_STEPS = 60
INNER_FMAX_EV_ANG = 2e-4
INNER_FMAX_RATIO = 0.02
"""The search on the corrected surface ends where no force is larger than that, or than this share of the
target's."""
INNER_TRUST_ANG = (0.15, 0.03, 0.006)
"""of geomeTRIC's first step, the next where it led nowhere lower"""
REACH = {STRETCH: 0.15, BEND: 0.3, TORSION: 0.7, STRAIGHT: 0.1, ACROSS: 0.3, CONTACT: math.inf}
"""Å, rad and a cosine: how far a coordinate may go from the best geometry at trust 1, by its kind."""
TRUST_BOUNDS = (0.05, 4.0)
NOISE_EV = 5e-4
"""A target's energies are no better than that from geometry to geometry (grids, self-consistency): where the
trapezoid of the forces along a step agrees with them so far, it says what the step gave."""
ROUGH_EV_ANG = 1.0
ROUGH_FALL_EV = 0.4
"""A start is rough where the cheap level's forces on the atoms are larger (root mean square) and its minimum
lies so much lower. At GFN1-xTB that is 1.1 to 3 eV for embeddings, 0 to 0.6 eV for MMFF94 minima."""
ROUGH_FMAX_EV_ANG = 0.05
ROUGH_STEPS = 200
SMALLEST_STEP_ANG = 1e-6
RIGID_EV_ANG2 = 10.0
"""of translations and rotations, along which geomeTRIC would drift: the true Hessian has nothing there."""
POOR_STEPS = 4
"""So many steps that led nowhere better, or fell short of a quarter of what was expected: the cheap level is
not asked again."""


MOST_KNOWN = 12_000
"""Components of known gradients, 130 gradients of 30 atoms; their covariance, held twice, has 1.2 GB then. A
molecule that falls apart comes so far."""

LEFT_TRUST_ANG = 0.1
"""of geomeTRIC's steps when it goes on alone, root mean square; one that moves an atom five times as far
comes of coordinates that could not be turned back into positions"""


class TwoLevel(HessianBFGS):
    """`two-level`: minimises the cheap surface plus its correction; without a surface it is geomeTRIC."""

    def __init__(
        self,
        atoms: Atoms,
        surface: CheapSurface | None = None,
        logfile: IO[str] | str | None = None,
        learned: LearnedDifference | None = None,
    ) -> None:
        super().__init__(atoms, surface, logfile=logfile)
        self.learned = learned
        self.start_note = ""
        self.difference: LevelDifference | None = None
        self.expected_fall_ev = math.nan
        """how much lower the corrected surface's minimum lies than the best geometry; nan before the first"""
        self._coordinates: Primitives | None = None
        self._known: list[tuple[Vector, Vector]] = []
        """geometries and the differences of their gradients"""
        self._reach: Vector = np.zeros(0)
        self._trust = 1.0
        self._at_border = False
        self._poor = 0
        self._without: GeometricSteps | None = None
        self._seen: bytes = b""
        self._minimum: Vector | None = None

    def leave_rough_start(self) -> None:
        """Relax at the cheap level first where the start is rough, before any of the target's gradients.

        An embedding that no force field has relaxed is; where bonds would change, the start stays.
        """
        if self.surface is None or len(self.atoms) == 1:
            return
        start, surface = self.atoms.get_positions(), self.surface
        try:
            told = first = surface(start.ravel())
            if math.sqrt(np.sum(told[1] ** 2) / len(start)) < ROUGH_EV_ANG:
                return
            steps = GeometricSteps(self.atoms.get_chemical_symbols(), start, smooth=True)
            here = start.ravel()
            for _ in range(ROUGH_STEPS):
                here = next_geometry(steps, *told)
                told = surface(here)
                if largest_force(told[1]) < ROUGH_FMAX_EV_ANG:
                    break
        except EngineError:
            return
        end, numbers = superimposed(here.reshape(-1, 3), start), self.atoms.numbers
        if first[0] - told[0] < ROUGH_FALL_EV:
            return
        if np.array_equal(bonds_from_geometry(numbers, start), bonds_from_geometry(numbers, end)):
            self.atoms.set_positions(end)
            self.start_note = f"begun from its minimum at {surface.name}: the start was rough"

    def ahead(self) -> Ahead:
        """What is expected between the present geometry, whose gradient is known, and the minimum.

        Nothing is, where another geometry is better or the cheap level is not asked any more.
        """
        unknown = Ahead(np.zeros(3 * len(self.atoms)), math.inf)
        if self._without is not None or self.surface is None or self.note or len(self.atoms) == 1:
            return unknown
        try:
            self.take_in()
            minimum = self._corrected_minimum()
        except EngineError:
            return unknown  # the next step says so
        assert self._best is not None
        if self._best[0].tobytes() != self._seen or self._at_border:
            return unknown
        return Ahead(minimum - self._best[0], max(self.expected_fall_ev, 0.0))

    def step(self) -> None:
        """Take in the gradient at the present geometry and go to the corrected surface's minimum."""
        if self._without is not None:
            self._step_without_guide()
            return
        if len(self.atoms) == 1:
            super().step()  # no internal coordinates
            return
        if self.surface is None:
            self.note = f"steps of geomeTRIC: {MODEL} has no energy surface for two-level"
            self._begin_without_guide()
            return
        try:
            self._guided_step()
        except EngineError as error:
            if self._best is None:
                self.note = f"went on without {self.surface.name}, which failed ({error.message})"
                self._begin_without_guide()
                return
            self._leave_guide(f"{self.surface.name}, which failed on the way ({error.message})")

    def _guided_step(self) -> None:
        assert self.surface is not None
        self.take_in()
        if self._poor >= POOR_STEPS:
            self._leave_guide(f"{self.surface.name}, which misled {self._poor} times")
            return
        if len(self._known) * 3 * len(self.atoms) > MOST_KNOWN:
            self._leave_guide(f"{self.surface.name}, which led to no minimum in {len(self._known)} gradients")
            return
        minimum = self._corrected_minimum()
        self.atoms.set_positions(minimum.reshape(-1, 3))

    def shorten(self) -> bool:
        """Go half the way back to the best geometry, where the target failed; False where none is known."""
        if self._best is None or self._without is not None:
            return False
        self._trust = max(self._trust / 2, TRUST_BOUNDS[0])
        middle = (self.atoms.get_positions().ravel() + self._best[0]) / 2
        self.atoms.set_positions(middle.reshape(-1, 3))
        return True

    def take_in(self) -> None:
        """Learn from the gradient at the present geometry, once."""
        assert self.surface is not None
        x = self.atoms.get_positions().ravel()
        if x.tobytes() == self._seen:
            return
        energy, gradient = self.atoms.get_potential_energy(), -self.atoms.get_forces().ravel()
        if self.difference is None:
            self.difference = self._difference_in(primitives(self.atoms.numbers, x.reshape(-1, 3)), x)
        known = x, without_rigid(gradient - self.surface(x)[1], x)
        self.difference.learn(*known)
        self._known.append(known)
        if self._best is None:
            self.begin(x, gradient)
            if self.note:
                raise EngineError("scf_failed", self.note)
            self._best = (x, energy, gradient)
        else:
            self._keep_better(x, energy, gradient)
            self._find_new_coordinates()
        self._seen, self._minimum = x.tobytes(), None

    def _difference_in(self, coordinates: Primitives, x: Vector) -> LevelDifference:
        self._coordinates = coordinates
        self._reach = np.array([REACH[int(kind)] for kind in coordinates.kinds])
        expected = self.learned.expected(coordinates) if self.learned else None
        return LevelDifference(coordinates, x, expected=expected)

    def _find_new_coordinates(self) -> None:
        """Where the best geometry has folded, or a bend of it is straight now or no longer, learn again.

        The contacts and coordinates are then its own. Gradients of places where these are none are forgotten.
        """
        assert self._coordinates is not None and self._best is not None
        x, numbers = self._best[0], self.atoms.numbers
        folded = self._coordinates.with_new_contacts(numbers, x)
        coordinates = (folded or self._coordinates).with_bends_of(numbers, x) or folded
        if coordinates is not None:
            self.difference = self._difference_in(coordinates, x)
            self._known = [known for known in self._known if coordinates.is_regular_at(known[0])]
            for known in self._known:
                self.difference.learn(*known)

    def _keep_better(self, x: Vector, energy: float, gradient: Vector) -> None:
        """Adapt the trust to what the last step gave of what was expected, and keep the lower geometry."""
        assert self._best is not None
        before, energy_before, gradient_before = self._best
        fall = energy_before - energy
        by_forces = -float((gradient + gradient_before) @ (x - before)) / 2
        if abs(fall - by_forces) < NOISE_EV:
            fall = by_forces
        smallest, largest = TRUST_BOUNDS
        kept = fall > 0
        calmer = largest_force(gradient) < largest_force(gradient_before)
        if not kept or (fall < 0.25 * self.expected_fall_ev and not calmer):
            self._trust = max(self._trust * (0.6 if kept else 0.5), smallest)
            self._poor += 1
        elif fall > 0.75 * self.expected_fall_ev and self._at_border:
            self._trust = min(2 * self._trust, largest)
        if kept:
            self._best = (x, energy, gradient)

    def _corrected_minimum(self) -> Vector:
        """[3 n_atoms] Å: the corrected surface's minimum, or where it leaves what is trusted."""
        if self._minimum is not None:
            return self._minimum
        assert self.surface is not None and self.difference is not None and self._best is not None
        begin, _, target_gradient = self._best
        surface, difference = self.surface, self.difference
        cheap, correction = surface(begin)[0], difference(begin)[0]

        def corrected(x: Vector) -> tuple[float, Vector]:
            energy, gradient = surface(x)
            more, by = difference(x)
            return energy - cheap + more - correction, without_rigid(gradient + by, x)

        enough = max(INNER_FMAX_EV_ANG, INNER_FMAX_RATIO * largest_force(target_gradient))
        hessian = self.cheap_hessian + difference.hessian(begin)
        first = corrected(begin)
        for radius in INNER_TRUST_ANG:
            steps = self._geometric(begin, hessian, radius, smooth=True)
            found = self._search(begin, first, corrected, steps, enough)
            if found[1] < 0.0:
                break
        self.expected_fall_ev = -found[1]
        minimum = superimposed(found[0].reshape(-1, 3), begin.reshape(-1, 3)).ravel()
        if largest_displacement(minimum - begin) < SMALLEST_STEP_ANG:
            minimum = begin + self._newton(begin, target_gradient)
        self._minimum = minimum
        return minimum

    def _search(
        self,
        here: Vector,
        told: tuple[float, Vector],
        corrected: Surface,
        steps: GeometricSteps,
        enough: float,
    ) -> tuple[Vector, float]:
        """The lowest geometry on the way to the corrected surface's minimum, and its energy in eV."""
        best, lowest = here, told[0]
        for _ in range(INNER_STEPS):
            ahead = next_geometry(steps, *told)
            inside = self._inside(here, ahead)
            here = here + inside * (ahead - here)
            told = corrected(here)
            self._at_border = inside < 1.0
            if told[0] < lowest:
                best, lowest = here, told[0]
            if self._at_border or largest_force(told[1]) < enough:
                break
        return best, lowest

    def _newton(self, x: Vector, gradient: Vector) -> Vector:
        """The quadratic step, for where the search finds nothing lower: nearer than it resolves."""
        assert self.difference is not None
        self.trust = max(self.trust / 2, TRUST_BOUNDS_ANG[0])
        self.hessian = self.cheap_hessian + self.difference.hessian(x)
        self.model = self.hessian
        return HessianBFGS.proposal(self, x, 0.0, gradient)

    def _inside(self, here: Vector, ahead: Vector) -> float:
        """The share of the way from `here` to `ahead` that stays within the reach of the best geometry."""
        assert self._coordinates is not None and self._best is not None
        coordinates = self._coordinates
        centre = coordinates.values(self._best[0])

        def too_far(share: float) -> bool:
            values = coordinates.values(here + share * (ahead - here))
            gone = np.abs(coordinates.change(values, centre)) / self._reach
            return bool(np.any(gone > self._trust))

        if not too_far(1.0):
            return 1.0
        low, high = 0.0, 1.0
        for _ in range(10):
            middle = (low + high) / 2
            low, high = (low, middle) if too_far(middle) else (middle, high)
        return low

    def _geometric(
        self, x: Vector, hessian: Matrix, trust_ang: float, smooth: bool = False
    ) -> GeometricSteps:
        space = internal_space(x.reshape(-1, 3))
        stiff = RIGID_EV_ANG2 * (np.eye(x.size) - space @ space.T)
        hessian = space @ (space.T @ hessian @ space) @ space.T + stiff
        symbols = self.atoms.get_chemical_symbols()
        begun_with = hessian * (Bohr**2 / Hartree)
        return GeometricSteps(symbols, x.reshape(-1, 3), begun_with, trust_ang, smooth=smooth)

    def _begin_without_guide(self) -> None:
        """As geomeTRIC, from its own guess of the Hessian."""
        self._without = GeometricSteps(self.atoms.get_chemical_symbols(), self.atoms.get_positions())
        self._step_without_guide()

    def _leave_guide(self, why: str) -> None:
        """Go on from the best geometry as an ordinary optimizer that has the Hessian known by now."""
        assert self._best is not None and self.difference is not None
        self.note = f"went on without {why}"
        x, energy, gradient = self._best
        self._without = self._geometric(x, self.cheap_hessian + self.difference.hessian(x), LEFT_TRUST_ANG)
        ahead = superimposed(next_geometry(self._without, energy, gradient).reshape(-1, 3), x.reshape(-1, 3))
        if largest_displacement(ahead.ravel() - x) > 5 * LEFT_TRUST_ANG:  # no step of geomeTRIC's own
            symbols = self.atoms.get_chemical_symbols()
            self._without = GeometricSteps(symbols, x.reshape(-1, 3), trust_ang=LEFT_TRUST_ANG)
            ahead = next_geometry(self._without, energy, gradient).reshape(-1, 3)
        self.atoms.set_positions(ahead)

    def _step_without_guide(self) -> None:
        assert self._without is not None
        energy, gradient = self.atoms.get_potential_energy(), -self.atoms.get_forces().ravel()
        self.atoms.set_positions(next_geometry(self._without, energy, gradient).reshape(-1, 3))


def without_rigid(gradient: Vector, x: Vector) -> Vector:
    """The gradient without net force and torque, which are a target's noise: grids do not turn with it."""
    space = internal_space(x.reshape(-1, 3))
    result: Vector = space @ (space.T @ gradient)
    return result


def next_geometry(search: GeometricSteps, energy_ev: float, gradient: Vector) -> Vector:
    """[3 n_atoms] Å, from the gradient [3 n_atoms] in eV/Å."""
    scaled = gradient.reshape(-1, 3) * (Bohr / Hartree)
    return search.next_positions(energy_ev / Hartree, scaled).ravel()
