"""One Metropolis chain in a process of its own, so that a QM engine never meets torch or its caller.

Started as `python -m prerelax.studies.boltzmann.metropolis_worker`: one line of JSON in, the task; one line
out, the end. The chain is kept on disk after every block and taken up from there. The end of standard input,
i.e. the parent's death, stops it.
"""

import json
import math
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from prerelax.engines import (
    ENGINES,
    EngineError,
    Level,
    make_calculator,
    validate_level,
)
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


class _NoMoleculeError(Exception):
    """Why a chain cannot go on: a status and a message."""


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Run the chain of `task` to its end; its status and message as the line to answer with."""
    level, plan = Level(**task["level"]), MetropolisPlan(**task["plan"])
    try:
        validate_level(level)
    except ValueError as error:
        return {"kind": "refused", "message": str(error)}
    except ImportError as error:
        return {"kind": "refused", "message": f"the engine {level.engine} is not installed here ({error})"}
    try:
        _run_blocks(task, level, plan)
    except EngineError as error:
        return {"kind": "end", "status": error.status, "message": str(error)}
    except _NoMoleculeError as error:
        return {"kind": "end", "status": error.args[0], "message": error.args[1]}
    return {"kind": "end", "status": "ok", "message": ""}


def _run_blocks(task: dict[str, Any], level: Level, plan: MetropolisPlan) -> None:
    numbers, bonded = np.array(task["numbers"], dtype=int), np.array(task["bonded"], dtype=bool)
    path = Path(task["chain"])
    chain = load_chain(path)
    while chain is None or chain.n_done < plan.steps:
        began = time.perf_counter()
        calculator = make_calculator(
            level, charge=task["charge"], multiplicity=task["multiplicity"], threads=task["threads"]
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
            raise _NoMoleculeError("connectivity_changed", message)
        if chain.n_done >= BLOCK and chain.n_without_energy > MOST_WITHOUT_ENERGY * chain.n_done:
            message = f"{chain.n_without_energy} of {chain.n_done} proposals have no energy"
            raise _NoMoleculeError("scf_failed", message)
        chain.wall_s += time.perf_counter() - began
        save_chain(path, chain)


def _energy(atoms: Atoms, calculator: Any) -> Energy:
    def energy_ev(positions: NDArray[np.float64]) -> float:
        atoms.positions = positions
        calculator.calculate(atoms, ["energy"])
        return float(calculator.results["energy"])

    return energy_ev


def _or_infinite(energy: Energy) -> Energy:
    def energy_ev(positions: NDArray[np.float64]) -> float:
        try:
            return energy(positions)
        except EngineError:
            return math.inf

    return energy_ev


def main() -> None:
    """Serve the one task."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what engines print goes to standard error
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.path[:] = task["path"]
    ENGINES.update(task["engines"])
    print(json.dumps(run(task)), file=answers, flush=True)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
