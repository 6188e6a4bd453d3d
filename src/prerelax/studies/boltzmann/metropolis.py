"""Metropolis Monte Carlo over all Cartesian coordinates, as a chain that can be stopped and taken up again.

Metropolis et al., J. Chem. Phys. 1953, 21, 1087. The proposal moves every coordinate by a normal random
number (Chem. Sci. 2024, 15, 13506). Only during the burn-in does its width follow the acceptance (Robbins and
Monro, Ann. Math. Stat. 1951, 22, 400): afterwards the proposal is fixed and symmetric, and detailed balance
holds.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import units
from numpy.typing import NDArray

from prerelax.errors import UserError
from prerelax.reading import read_arrays
from prerelax.records.atomic_write import write_atomically
from prerelax.starts.conformers.replica_exchange import acceptance_probability

Energy = Callable[[NDArray[np.float64]], float]
"""Positions [n_atoms, 3] Å to eV; inf where there is no molecule."""

BEST_ACCEPTANCE = 0.234
"""of random-walk proposals in many dimensions (Roberts, Gelman and Gilks, Ann. Appl. Probab. 1997, 7, 110)"""
STIFFEST_EV_ANG2 = 60.0
"""A bond to hydrogen as an oscillator, for the first guess of the step."""
FIXED_FRACTION = 0.2
"""of the burn-in runs at the final width already: what is left of the adaptation has time to be forgotten"""


@dataclass(frozen=True)
class MetropolisPlan:
    """How a chain runs. Raises UserError for numbers that make no chain."""

    temperature_k: float
    steps: int = 24_000
    """proposals, the burn-in included (the paper's)"""
    burn_in: int = 5_000
    """first proposals, of which nothing counts (the paper's)"""
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.temperature_k > 0 and math.isfinite(self.temperature_k)):
            raise UserError(f"a temperature is above 0 K, not {self.temperature_k}")
        if not 0 <= self.burn_in < self.steps:
            raise UserError(f"{self.steps} steps with a burn-in of {self.burn_in} leave nothing to count")

    @property
    def kt_ev(self) -> float:
        return float(self.temperature_k * units.kB)


@dataclass
class Chain:
    """Where a chain stands, and what it has seen."""

    positions: NDArray[np.float64]
    """[n_atoms, 3] Å"""
    energy_ev: float
    step_ang: float
    """standard deviation of every coordinate's proposal"""
    generator: np.random.Generator
    energies_ev: list[float] = field(default_factory=list)
    """of the geometry after every proposal, taken or not, burn-in included"""
    n_accepted: int = 0
    """after the burn-in"""
    n_without_energy: int = 0
    """proposals that could not be evaluated and were not taken"""
    wall_s: float = 0.0

    @property
    def n_done(self) -> int:
        return len(self.energies_ev)

    def acceptance(self, plan: MetropolisPlan) -> float:
        """Share of the proposals after the burn-in that were taken; nan before."""
        counted = self.n_done - plan.burn_in
        return self.n_accepted / counted if counted > 0 else math.nan


def begin_chain(positions: NDArray[np.floating], energy: Energy, plan: MetropolisPlan, name: str) -> Chain:
    """A chain at `positions` [n_atoms, 3] Å; `name`, temperature and seed name its random numbers."""
    words = f"{plan.seed}\0{plan.temperature_k!r}\0{name}"
    digest = hashlib.sha256(words.encode()).digest()
    start = np.array(positions, dtype=float)
    first_step = 2.38 * math.sqrt(plan.kt_ev / STIFFEST_EV_ANG2 / max(1, start.size))
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    return Chain(start, energy(start), first_step, generator)


def advance(chain: Chain, energy: Energy, plan: MetropolisPlan, until: int) -> None:
    """Continue `chain` until it has made `until` proposals, at most those of the plan."""
    adapting = round((1 - FIXED_FRACTION) * plan.burn_in)
    while chain.n_done < min(until, plan.steps):
        done = chain.n_done
        move = chain.generator.standard_normal(chain.positions.shape)
        trial = chain.positions + chain.step_ang * move
        threshold = chain.generator.random()
        trial_ev = energy(trial)
        probability = acceptance_probability(trial_ev - chain.energy_ev, plan.kt_ev)
        chain.n_without_energy += not math.isfinite(trial_ev)
        if threshold < probability:
            chain.positions, chain.energy_ev = trial, trial_ev
            chain.n_accepted += done >= plan.burn_in
        if done < adapting:
            gain = 1.0 / (1.0 + done / 20) ** 0.7
            chain.step_ang *= math.exp(gain * (probability - BEST_ACCEPTANCE))
        chain.energies_ev.append(chain.energy_ev)


def save_chain(path: Path, chain: Chain) -> None:
    """Write what `load_chain` reads, under a temporary name first."""
    scalars = {
        "energy_ev": chain.energy_ev,
        "step_ang": chain.step_ang,
        "n_accepted": chain.n_accepted,
        "n_without_energy": chain.n_without_energy,
        "wall_s": chain.wall_s,
        "generator": chain.generator.bit_generator.state,
    }

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez(
                file,
                positions=chain.positions,
                energies_ev=np.array(chain.energies_ev),
                scalars=np.array(json.dumps(scalars)),
            )

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)


def load_chain(path: Path) -> Chain | None:
    """The chain kept at `path`; None where there is none or the file is not whole."""
    try:
        arrays = read_arrays(path)
        scalars = json.loads(str(arrays["scalars"]))
        positions, energies = arrays["positions"], arrays["energies_ev"].tolist()
    except (KeyError, ValueError):
        return None
    bits = np.random.PCG64()
    bits.state = scalars.pop("generator")
    return Chain(positions, generator=np.random.Generator(bits), energies_ev=energies, **scalars)
