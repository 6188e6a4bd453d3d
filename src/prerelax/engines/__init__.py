"""The programs that evaluate a level of theory, each as an ASE calculator behind one registry.

Nothing heavy is imported until a level is validated or a calculator asked for, and engines never share a
process with torch. A new engine is a class (`engine.Engine`) and a line in ENGINES.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from prerelax.engines.calculator import EngineCalculator
from prerelax.engines.engine import Engine
from prerelax.engines.failures import EngineError, check_molecule
from prerelax.engines.level import Level
from prerelax.errors import MissingProgramError, nearest

__all__ = [
    "ENGINES",
    "Engine",
    "EngineCalculator",
    "EngineError",
    "Level",
    "check_molecule",
    "engine_named",
    "is_cheap",
    "level_settings",
    "make_calculator",
    "resolved",
    "validate_level",
]

ENGINES: dict[str, str] = {
    "tblite": "prerelax.engines.tblite:TbliteEngine",
    "pyscf": "prerelax.engines.pyscf.engine:PyscfEngine",
    "psi4": "prerelax.engines.psi4.engine:Psi4Engine",
    "gpu4pyscf": "prerelax.engines.gpu4pyscf.engine:Gpu4pyscfEngine",
    "mlff": "prerelax.engines.mlff:ForceFieldEngine",
    "ase": "prerelax.engines.ase.engine:AseEngine",
    "dft": "prerelax.engines.gpu4pyscf.engine:AnyDftEngine",
}
"""Engine name -> `module:class`. Workers get a copy, so what is added before a shard is begun counts."""

XTB = ("xtb", "gfn2", "gfn1", "gfn2-xtb", "gfn1-xtb")
"""What people call tblite."""


OF_CALCULATORS = ("calculator", "options", "elements", "electrons")
"""Fields of a level that only the engine ase has."""


def engine_named(name: str) -> Engine:
    """What an engine says of itself; imports nothing heavy. Raises ValueError for an unknown name."""
    if name not in ENGINES:
        from prerelax.engines.ase.known import KNOWN

        hint = nearest(name, ENGINES)
        if name.lower() in XTB:
            hint = "; xTB is the engine tblite"
        elif name.lower() in KNOWN:
            hint = f"; it is a calculator of the engine ase: `engine: ase, calculator: {name.lower()}`"
        raise ValueError(f"unknown engine '{name}'{hint}")
    module, _, attribute = ENGINES[name].partition(":")
    engine = getattr(importlib.import_module(module), attribute)()
    assert isinstance(engine, Engine)
    return engine


def is_cheap(level: Level) -> bool:
    """Whether a gradient at this level takes milliseconds; see `Engine.is_cheap`."""
    return engine_named(level.engine).is_cheap_at(level)


def validate_level(level: Level) -> None:
    """Raise ValueError with one sentence where a word of the level does not exist or fit the others.

    MissingProgramError is one, where the engine's package is not installed. Imports the engine's program: not
    for a process that holds torch.
    """
    level = resolved(level)
    engine = engine_named(level.engine)
    for field, reason in engine.refuses.items():
        value = getattr(level, field)
        if value is not None:
            raise ValueError(f"{reason}; leave out the {field} '{value}'")
    for field in OF_CALCULATORS if level.engine != "ase" else ():
        if getattr(level, field) is not None:
            raise ValueError(f"{field} is for the engine ase, not for {level.engine}; leave it out")
    if level.solvent:
        _check_has_solvents(engine, level)
        engine.solvent_model(level)
    elif level.solvent_model:
        raise ValueError(f"the solvent model {level.solvent_model} needs a solvent, e.g. water")
    with _installed(level):
        engine.validate(level)


def level_settings(level: Level) -> dict[str, object]:
    """Everything the engine's numbers depend on, its version and thresholds included, ready for JSON.

    Imports no engine's program. Raises ValueError as `validate_level` does, without looking at every word.
    """
    level = resolved(level)
    engine = engine_named(level.engine)
    settings: dict[str, object] = {
        "engine": level.engine,
        "method": level.method,
        "basis": level.basis,
        "dispersion": level.dispersion,
    }
    if level.solvent:
        _check_has_solvents(engine, level)
        settings |= {"solvent": level.solvent.lower(), "solvent_model": engine.solvent_model(level)}
    with _installed(level):
        return settings | engine.settings(level)


def make_calculator(
    level: Level, *, charge: int = 0, multiplicity: int = 1, threads: int = 1
) -> EngineCalculator:
    """Energy (eV) and forces (eV/Å) of one molecule of this charge and multiplicity; `close` it at the end.

    Its `calculate` raises EngineError where a molecule cannot be evaluated. Raises ValueError as
    `validate_level` does where the engine is unknown.
    """
    level = resolved(level)
    return engine_named(level.engine).calculator(level, charge, multiplicity, threads)


def resolved(level: Level) -> Level:
    """The level with the engine that evaluates it on this machine (see `Engine.resolved`)."""
    return engine_named(level.engine).resolved(level)


@contextmanager
def _installed(level: Level) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingProgramError(f"the engine {level.engine} is not installed here ({error})") from error


def _check_has_solvents(engine: Engine, level: Level) -> None:
    if not engine.solvent_models:
        if level.engine == "ase":
            raise ValueError(
                f"say the solvent {level.solvent} in the calculator's options, as it calls it there; the "
                "engine ase knows none"
            )
        others = [name for name in ENGINES if engine_named(name).solvent_models]
        raise ValueError(
            f"the engine {level.engine} has no implicit solvent with gradients here; "
            f"use {', '.join(others)}, or leave out the solvent '{level.solvent}'"
        )
