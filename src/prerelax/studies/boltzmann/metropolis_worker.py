"""A worker process that runs one Metropolis chain after the other (`engines.workers`).

A chain is kept on disk after every block and taken up from there.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from prerelax.engines import EngineCalculator, EngineError, Level, make_calculator, validate_level
from prerelax.engines.serving import Line, Tell, serve
from prerelax.molecules.graph import bonds_unchanged
from prerelax.studies.boltzmann.metropolis import (
    Energy,
    MetropolisPlan,
    advance,
    begin_chain,
    load_chain,
    save_chain,
)

BLOCK = 250
"""Proposals between two savings; a block begins with a fresh calculator, so that a chain that was stopped
goes on as if it had not been: an SCF's last digits depend on the guess before."""
MOST_WITHOUT_ENERGY = 0.01
"""share of proposals without an energy above which a chain is no sample"""


def _prepare(setup: Line) -> Callable[[Line, Tell], Line]:
    level = Level(**setup["level"])
    validate_level(level)
    return partial(_run, level, setup["threads"])


def _run(level: Level, threads: int, task: Line, tell: Tell) -> Line:
    """Run the chain of `task` to its end; its status and message."""
    try:
        _run_blocks(task, level, threads)
    except EngineError as error:
        return {"status": error.status, "message": error.message}
    return {"status": "ok", "message": ""}


def _run_blocks(task: Line, level: Level, threads: int) -> None:
    """Raises EngineError where the chain cannot go on."""
    plan = MetropolisPlan(**task["plan"])
    numbers, bonded = np.array(task["numbers"], dtype=int), np.array(task["bonded"], dtype=bool)
    path = Path(task["chain"])
    chain = load_chain(path)
    while chain is None or chain.n_done < plan.steps:
        began = time.perf_counter()
        calculator = make_calculator(
            level, charge=task["charge"], multiplicity=task["multiplicity"], threads=threads
        )
        try:
            energy = _energy(Atoms(numbers), calculator)
            if chain is None:
                first = np.array(task["positions"], dtype=float)
                energy(first)  # an engine's objection to the molecule itself is told, not taken for a wall
                chain = begin_chain(first, _or_infinite(energy), plan, task["name"])
            advance(chain, _or_infinite(energy), plan, (chain.n_done // BLOCK + 1) * BLOCK)
        finally:
            calculator.close()
        if not bonds_unchanged(bonded, numbers, chain.positions):
            message = f"a bond broke or formed within {chain.n_done} proposals at {plan.temperature_k:g} K"
            raise EngineError("connectivity_changed", message)
        if chain.n_done >= BLOCK and chain.n_without_energy > MOST_WITHOUT_ENERGY * chain.n_done:
            message = f"{chain.n_without_energy} of {chain.n_done} proposals have no energy"
            raise EngineError("scf_failed", message)
        chain.wall_s += time.perf_counter() - began
        save_chain(path, chain)


def _energy(atoms: Atoms, calculator: EngineCalculator) -> Energy:
    def energy_ev(positions: NDArray[np.float64]) -> float:
        atoms.positions = positions
        calculator.calculate(atoms, ["energy"])
        return calculator.results["energy"]

    return energy_ev


def _or_infinite(energy: Energy) -> Energy:
    def energy_ev(positions: NDArray[np.float64]) -> float:
        try:
            return energy(positions)
        except EngineError:
            return math.inf

    return energy_ev


if __name__ == "__main__":
    serve(_prepare)
