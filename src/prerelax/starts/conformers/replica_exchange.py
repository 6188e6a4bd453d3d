"""Replica exchange (parallel tempering) over states of any kind, one replica at each level of a ladder.

Every level has a temperature and keeps exp(-E / kT) by Metropolis's criterion on symmetric proposals;
neighbours exchange their states with probability min(1, exp[(1/kT_i - 1/kT_j)(E_i - E_j)]), which keeps the
product of all levels' distributions (Swendsen and Wang, Phys. Rev. Lett. 1986, 57, 2607; Hukushima and
Nemoto, J. Phys. Soc. Jpn. 1996, 65, 1604).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import units
from numpy.typing import NDArray

Geometry = NDArray[np.float64]
"""[n_atoms, 3] Å"""
Propose = Callable[[Sequence[Geometry]], Sequence[Geometry | None]]
"""A new state for each level from the present ones; None where the move failed."""
Energies = Callable[[Sequence[Geometry]], Sequence[float]]
"""eV; inf where a state has none"""

FACTOR_K = 0.34
"""of T = factor × n²: the temperature whose mean energy a repeated denoising step n has, measured in
docs/results/boltzmann.md (the paper's pairs: 0.30 to 0.56)"""


def acceptance_probability(difference_ev: float, kt_ev: float) -> float:
    """min(1, exp(-ΔE / kT)); 0 where the proposal has no energy (ΔE = inf). Metropolis et al., 1953."""
    return 1.0 if difference_ev <= 0 else math.exp(-difference_ev / kt_ev)


def temperature_of_step_k(step: int) -> float:
    """The temperature in K that step n of EDM's schedule stands for."""
    return FACTOR_K * step**2


@dataclass
class ReplicaExchange:
    """The replicas, coldest first, and how many of their moves were accepted."""

    temperatures_k: Sequence[float]
    states: list[Geometry]
    """one for each level"""
    energies_ev: list[float]
    rng: np.random.Generator
    accepted: NDArray[np.int64] = field(init=False)
    """[n_levels] moves taken"""
    exchanged: NDArray[np.int64] = field(init=False)
    """[n_levels - 1] exchanges with the next warmer level"""
    attempted: NDArray[np.int64] = field(init=False)
    n_cycles: int = 0

    def __post_init__(self) -> None:
        n = len(self.temperatures_k)
        self.accepted, self.exchanged = np.zeros(n, dtype=int), np.zeros(n - 1, dtype=int)
        self.attempted = np.zeros(n - 1, dtype=int)

    def cycle(self, propose: Propose, energies: Energies) -> list[tuple[Geometry, float]]:
        """One move of every replica, then exchanges of every second pair of neighbours.

        Returns the proposals that have an energy, accepted or not.
        """
        proposed = {level: state for level, state in enumerate(propose(self.states)) if state is not None}
        found = dict(zip(proposed, energies(list(proposed.values())), strict=True))
        for level in range(len(self.states)):
            threshold = self.rng.random()
            energy = found.get(level, math.inf)
            kt_ev = units.kB * self.temperatures_k[level]
            if threshold < acceptance_probability(energy - self.energies_ev[level], kt_ev):
                self.states[level], self.energies_ev[level] = proposed[level], energy
                self.accepted[level] += 1
        self._exchange(self.n_cycles % 2)
        self.n_cycles += 1
        return [(proposed[level], energy) for level, energy in found.items() if math.isfinite(energy)]

    def _exchange(self, first: int) -> None:
        for cold in range(first, len(self.states) - 1, 2):
            warm = cold + 1
            threshold = self.rng.random()
            self.attempted[cold] += 1
            if threshold < exchange_probability(
                self.energies_ev[cold],
                self.energies_ev[warm],
                self.temperatures_k[cold],
                self.temperatures_k[warm],
            ):
                states, energies = self.states, self.energies_ev
                states[cold], states[warm] = states[warm], states[cold]
                energies[cold], energies[warm] = energies[warm], energies[cold]
                self.exchanged[cold] += 1


def exchange_probability(
    cold_ev: float, warm_ev: float, cold_temperature_k: float, warm_temperature_k: float
) -> float:
    """min(1, exp[(1/kT_cold - 1/kT_warm)(E_cold - E_warm)])."""
    difference = (1 / cold_temperature_k - 1 / warm_temperature_k) / units.kB
    exponent = difference * (cold_ev - warm_ev)
    return 1.0 if exponent >= 0 else math.exp(exponent)
