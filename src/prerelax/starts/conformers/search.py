"""The conformers of one molecule: replicas at a ladder of diffusion steps, the best geometries minimised.

A move turns a bond (the warmest level embeds the molecule anew every second time), cleans the geometry by
MMFF94 and denoises it; its energy is GFN2-xTB's at the denoised geometry. Metropolis's criterion at
T = factor × n² on that energy makes every level a walk over denoised geometries, as in Monte Carlo with
minimization (Li and Scheraga, PNAS 1987, 84, 6611). Exchanges need one energy for all levels: the denoiser
is called alike at each, and they differ in temperature alone.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from prerelax.relaxation.molecule import RelaxationResult
from prerelax.starts.conformers import moves
from prerelax.starts.conformers.distinct import SAME_ROUGH_RMSD_ANG, Skeleton, distinct
from prerelax.starts.conformers.replica_exchange import (
    Energies,
    Geometry,
    ReplicaExchange,
    temperature_of_step_k,
)
from prerelax.starts.options import SearchPlan

Denoise = Callable[[Sequence[Geometry]], Sequence[Geometry]]
Minimise = Callable[[Sequence[Geometry]], list[RelaxationResult]]
KEPT_GEOMETRIES = 300
"""of all that were evaluated, the lowest, from which those to be minimised are chosen"""


@dataclass(frozen=True)
class Found:
    """One conformer."""

    positions: Geometry
    energy_ev: float
    converged: bool
    fmax_ev_ang: float


@dataclass
class SearchResult:
    """The conformers of a molecule by ascending energy, and how they were found."""

    conformers: list[Found]
    counts: "Counter[str]" = field(default_factory=Counter)
    """moves, broken (moves without the molecule's bonds or an energy), minimised, left_out (minima with other
    bonds or stereochemistry), gradients"""
    accepted: list[float] = field(default_factory=list)
    """share of a level's moves, coldest first"""
    exchanged: list[float] = field(default_factory=list)
    """share of exchanges of a level with the next"""
    failure: str = ""
    """what the last minimisation that failed said"""


@dataclass(frozen=True)
class Calculations:
    """The calculations that a search asks for."""

    denoise: Denoise | None
    """None: geometries stay at MMFF94's minimum"""
    energies: Energies
    minimise: Minimise
    batch: int = 1
    """geometries minimised side by side"""


class Search:
    """Searches one molecule."""

    def __init__(
        self,
        molecule: moves.Conformation,
        start: Geometry,
        plan: SearchPlan,
        rng: np.random.Generator,
        calculations: Calculations,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.molecule, self.start, self.plan, self.rng = molecule, start, plan, rng
        self.calculations, self.clock = calculations, clock
        self.began = clock()
        self.skeleton = Skeleton.of(molecule.mol)
        self.visited: list[tuple[Geometry, float]] = []
        self.tried: list[Geometry] = []
        """minimised, as they were before"""
        self.found: list[Found] = []
        self.failure = ""
        self.counts: Counter[str] = Counter()

    def run(self) -> SearchResult:
        """Move until the cycles or their share of the time are used up, then minimise the lowest geometries;
        repeat both while time is left.
        """
        replicas = self._replicas()
        until = 0.0
        while True:
            limit = self.plan.seconds
            until += self.plan.search_share * (limit - until) if limit is not None else 0.0
            n_before = len(self.tried)
            if replicas is not None and self._has_moves():
                self._move(replicas, None if limit is None else until)
            self._minimise()
            done = replicas is None or not self._has_moves() or replicas.n_cycles >= self.plan.cycles
            if limit is None or self._later_than(limit) or (done and len(self.tried) == n_before):
                break
            until = max(until, self.clock() - self.began)
        return self._result(replicas)

    def _move(self, replicas: ReplicaExchange, until: float | None) -> None:
        while replicas.n_cycles < self.plan.cycles and not self._later_than(until):
            self.visited += replicas.cycle(self._propose, self.energies)
            if len(self.visited) > 2 * KEPT_GEOMETRIES:
                self._forget()

    def _result(self, replicas: ReplicaExchange | None) -> SearchResult:
        found = self.found
        kept = distinct(self.skeleton, [f.positions for f in found], [f.energy_ev for f in found])
        result = SearchResult([found[index] for index in kept], self.counts, failure=self.failure)
        if replicas is not None and replicas.n_cycles:
            result.accepted = (replicas.accepted / replicas.n_cycles).tolist()
            result.exchanged = (replicas.exchanged / np.maximum(1, replicas.attempted)).tolist()
        return result

    def energies(self, geometries: Sequence[Geometry]) -> Sequence[float]:
        found = self.calculations.energies(geometries)
        self.counts["broken"] += sum(not math.isfinite(energy) for energy in found)
        self.counts["gradients"] += len(found)
        return found

    def _later_than(self, seconds: float | None) -> bool:
        return seconds is not None and self.clock() - self.began > seconds

    def _has_moves(self) -> bool:
        return bool(self.molecule.torsions) or self.molecule.mol.GetRingInfo().NumRings() > 0

    def _replicas(self) -> ReplicaExchange | None:
        """The coldest at the geometry given, the others at embedded ones; None where there is no energy."""
        steps = self.plan.steps if self._has_moves() else self.plan.steps[:1]
        embedded = [moves.embedded(self.molecule, self.rng) for _ in steps[1:]]
        starts = [self.start, *(self.start if new is None else new for new in embedded)]
        states = [
            start if made is None else made for made, start in zip(self._made(starts), starts, strict=True)
        ]
        energies = list(self.energies(states))
        known = [(s, e) for s, e in zip(states, energies, strict=True) if math.isfinite(e)]
        self.visited += known
        if not known:
            return None
        lowest = min(known, key=lambda pair: pair[1])
        for level, energy in enumerate(energies):
            if not math.isfinite(energy):
                states[level], energies[level] = lowest
        return ReplicaExchange([temperature_of_step_k(n) for n in steps], states, energies, self.rng)

    def _propose(self, states: Sequence[Geometry]) -> Sequence[Geometry | None]:
        self.counts["moves"] += len(states)
        moved: list[Geometry] = []
        for level, state in enumerate(states):
            anew = level == len(states) - 1 and (self.rng.random() < 0.5 or not self.molecule.torsions)
            new = moves.embedded(self.molecule, self.rng) if anew else None
            if new is None and self.molecule.torsions:
                new = moves.turned(self.molecule, state, self.rng)
            moved.append(state if new is None else new)
        return self._made(moved)

    def _made(self, geometries: Sequence[Geometry]) -> list[Geometry | None]:
        """Cleaned and denoised geometries, one for each level; None where a bond broke or formed."""
        cleaned = [moves.at_mmff94_minimum(self.molecule, positions) for positions in geometries]
        denoise = self.calculations.denoise
        made = cleaned if denoise is None else denoise(cleaned)
        whole = [positions if self.molecule.is_whole(positions) else None for positions in made]
        self.counts["broken"] += sum(positions is None for positions in whole)
        return whole

    def _forget(self) -> None:
        self.visited = sorted(self.visited, key=lambda pair: pair[1])[:KEPT_GEOMETRIES]

    def _minimise(self) -> None:
        """Minimise the lowest of the visited geometries that have not been tried before."""
        self._forget()
        geometries, energies = [pair[0] for pair in self.visited], [pair[1] for pair in self.visited]
        lowest = distinct(self.skeleton, geometries, energies, None, math.inf, SAME_ROUGH_RMSD_ANG)
        chosen = [geometries[index] for index in lowest if self._is_new(geometries[index])]
        chosen = chosen[: self.plan.minimised - len(self.tried)]
        while chosen and not (self.found and self._later_than(self.plan.seconds)):
            group, chosen = chosen[: self.calculations.batch], chosen[self.calculations.batch :]
            self.tried += group
            for result in self.calculations.minimise(group):
                self.counts["minimised"] += 1
                self.counts["gradients"] += result.n_gradients
                conformer = self._conformer(result)
                if conformer is None:
                    self.counts["left_out"] += 1
                    self.failure = result.message or "other bonds or stereochemistry than the molecule"
                else:
                    self.found.append(conformer)

    def _is_new(self, positions: Geometry) -> bool:
        distances = (self.skeleton.rmsd_ang(positions, tried) for tried in self.tried)
        return all(distance >= SAME_ROUGH_RMSD_ANG for distance in distances)

    def _conformer(self, result: RelaxationResult) -> Found | None:
        if result.status not in ("ok", "not_converged") or result.positions is None:
            return None
        assert result.energy_ev is not None and result.fmax_ev_ang is not None
        if not self.molecule.is_whole(result.positions) or not self.molecule.has_stereo(result.positions):
            return None
        return Found(result.positions, result.energy_ev, result.converged, result.fmax_ev_ang)
