"""The programs that evaluate a level of theory, each as an ASE calculator behind one registry.

Nothing heavy is imported until a calculator is asked for, and engines never share a process with torch.
A module in the registry has three functions: `validate(level)`, `settings(level)` and
`calculator(level, charge, multiplicity, threads)`.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prerelax.engines.level import EngineError, Level, check_molecule
from prerelax.engines.solvents import check_solvent, solvent_model
from prerelax.errors import nearest

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

__all__ = [
    "ENGINES",
    "EngineError",
    "Level",
    "check_molecule",
    "close_calculator",
    "level_settings",
    "make_calculator",
    "resolved",
    "validate_level",
]

ENGINES: dict[str, str] = {
    "tblite": "prerelax.engines.tblite",
    "pyscf": "prerelax.engines.pyscf.engine",
    "psi4": "prerelax.engines.psi4.engine",
    "gpu4pyscf": "prerelax.engines.gpu4pyscf.engine",
    "mlff": "prerelax.engines.mlff",
}
"""Engine name -> module. Workers get a copy, so an entry added before a shard is begun counts there too."""


ANY_DFT = "dft"


def validate_level(level: Level) -> None:
    """Raise ValueError with one sentence where a word of the level does not exist or fit the others.

    Imports the engine: not for a process that holds torch.
    """
    level = resolved(level)
    engine = _engine(level)
    check_solvent(level)
    engine.validate(level)


def level_settings(level: Level) -> dict[str, Any]:
    """Everything the engine's numbers depend on, its version and thresholds included, ready for JSON.

    Imports no engine.
    """
    level = resolved(level)
    settings: dict[str, Any] = {
        "engine": level.engine,
        "method": level.method,
        "basis": level.basis,
        "dispersion": level.dispersion,
    }
    if level.solvent:
        settings |= {"solvent": level.solvent.lower(), "solvent_model": solvent_model(level)}
    return settings | _engine(level).settings(level)


def make_calculator(level: Level, *, charge: int = 0, multiplicity: int = 1, threads: int = 1) -> Calculator:
    """An ASE calculator of energy (eV) and forces (eV/Å) for one molecule of this charge and multiplicity.

    Its `calculate` raises EngineError where a molecule cannot be evaluated. Raises ValueError as
    `validate_level` does where the engine is unknown.
    """
    level = resolved(level)
    calculator: Calculator = _engine(level).calculator(level, charge, multiplicity, threads)
    return calculator


def resolved(level: Level) -> Level:
    """The level with the engine that evaluates it on this machine.

    The engine `dft` is GPU4PySCF where a card and the package are and the level can be had from it, and
    PySCF elsewhere; every other engine is itself.
    """
    if level.engine != ANY_DFT:
        return level
    from prerelax.engines.gpu4pyscf.engine import objection

    return replace(level, engine="pyscf" if objection(level) else "gpu4pyscf")


def close_calculator(calculator: Calculator) -> None:
    """End the program that a calculator keeps running, if it does."""
    close = getattr(calculator, "close", None)
    if close is not None:
        close()


def _engine(level: Level) -> ModuleType:
    if level.engine not in ENGINES:
        raise ValueError(f"unknown engine '{level.engine}'{nearest(level.engine, (*ENGINES, ANY_DFT))}")
    return importlib.import_module(ENGINES[level.engine])
