"""GFN1-xTB and GFN2-xTB through tblite."""

from collections.abc import Mapping
from typing import ClassVar

from ase import Atoms

from prerelax.engines.calculator import EngineCalculator, Forces
from prerelax.engines.engine import Engine
from prerelax.engines.failures import EngineError
from prerelax.engines.level import Level, versions
from prerelax.engines.solvents import TBLITE_MODELS, solvent_model, tblite_name
from prerelax.errors import nearest

METHODS = ("GFN2-xTB", "GFN1-xTB")
ACCURACY = 1.0
"""tblite's default. 0.1 and 0.01 change 25.60 BFGS steps to 25.55 and cost 15 and 25 % (20 QM9 molecules)."""
HEAVIEST_ELEMENT = 86


class TbliteEngine(Engine):
    """The methods have basis and dispersion of their own."""

    name = "tblite"
    is_cheap = True
    refuses: ClassVar[Mapping[str, str]] = {
        "basis": "xTB has a basis of its own",
        "dispersion": "xTB contains its dispersion",
    }
    solvent_models = TBLITE_MODELS
    gradient_s = (0.008, 1.6)

    def validate(self, level: Level) -> None:
        _method(level)
        if level.solvent:
            _try_solvent(level)

    def settings(self, level: Level) -> dict[str, object]:
        return {"accuracy": ACCURACY, "versions": versions("tblite")}

    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        """Its threads are those of OMP_NUM_THREADS; `threads` is not used here."""
        return XTB(_method(level), charge, multiplicity, _solvation(level))


def _solvation(level: Level) -> tuple[str, ...] | None:
    """The solvent as tblite's own calculator takes it: the model, then its arguments."""
    if not level.solvent:
        return None
    model, name = solvent_model(level, TBLITE_MODELS), tblite_name(level.solvent)
    return ("ddX", name, "cpcm") if model == "c-pcm" else (model, name)


def _try_solvent(level: Level) -> None:
    """GBSA lacks some of the solvents that ALPB has, and other ones for each method."""
    hydrogen = Atoms("H2", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]])
    try:
        XTB(_method(level), 0, 1, _solvation(level)).calculate(hydrogen)
    except EngineError as error:
        raise ValueError(
            f"{level.method} has no {solvent_model(level, TBLITE_MODELS)} parameters of {level.solvent}"
        ) from error


def _method(level: Level) -> str:
    for method in METHODS:
        if level.method.lower() in (method.lower(), method.lower().removesuffix("-xtb")):
            return method
    raise ValueError(f"tblite has no method '{level.method}'{nearest(level.method, METHODS)}")


class XTB(EngineCalculator):
    """tblite's ASE calculator in the frame of all engines.

    One tblite calculation is kept and updated from geometry to geometry; its wave function is the next guess.
    """

    def __init__(
        self, method: str, charge: int, multiplicity: int, solvation: tuple[str, ...] | None = None
    ) -> None:
        from tblite.ase import TBLite

        super().__init__(method, charge, multiplicity, elements=range(1, HEAVIEST_ELEMENT + 1))
        self._inner = TBLite(
            method=method,
            charge=charge,
            multiplicity=multiplicity,
            accuracy=ACCURACY,
            solvation=solvation,
            verbosity=0,
        )

    def energy_and_forces(self, atoms: Atoms, changes: list[str]) -> tuple[float, Forces]:
        self._inner.calculate(atoms, ["energy", "forces"], changes)
        return self._inner.results["energy"], self._inner.results["forces"]
