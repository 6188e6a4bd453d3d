"""GFN1-xTB and GFN2-xTB through tblite."""

from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, InputError, all_changes

from prerelax.engines.level import EngineError, Level, check_elements, check_molecule, versions
from prerelax.engines.solvents import solvent_model, tblite_name
from prerelax.errors import nearest

METHODS = ("GFN2-xTB", "GFN1-xTB")
ACCURACY = 1.0
"""tblite's default. 0.1 and 0.01 change 25.60 BFGS steps to 25.55 and cost 15 and 25 % (20 QM9 molecules)."""
HEAVIEST_ELEMENT = 86


def validate(level: Level) -> None:
    """Raise ValueError unless method and solvent are known, and basis and dispersion left out."""
    _method(level)
    if level.basis is not None:
        raise ValueError(f"{level.method} has a basis of its own; leave out the basis '{level.basis}'")
    if level.dispersion is not None:
        raise ValueError(f"{level.method} contains its dispersion; leave out '{level.dispersion}'")
    if level.solvent:
        _try_solvent(level)


def settings(level: Level) -> dict[str, Any]:
    """What the numbers depend on beside the level's own words."""
    return {"accuracy": ACCURACY, "versions": versions("tblite")}


def calculator(level: Level, charge: int, multiplicity: int, threads: int) -> Calculator:
    """tblite's calculator, its threads being those of OMP_NUM_THREADS; `threads` is not used here."""
    return XTB(_method(level), charge, multiplicity, _solvation(level))


def _solvation(level: Level) -> tuple[str, ...] | None:
    """The solvent as tblite's own calculator takes it: the model, then its arguments."""
    if not level.solvent:
        return None
    model, name = solvent_model(level), tblite_name(level.solvent)
    return ("ddX", name, "cpcm") if model == "c-pcm" else (model, name)


def _try_solvent(level: Level) -> None:
    """GBSA lacks some of the solvents that ALPB has, and other ones for each method."""
    hydrogen = Atoms("H2", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]])
    try:
        XTB(_method(level), 0, 1, _solvation(level)).calculate(hydrogen)
    except EngineError as error:
        raise ValueError(
            f"{level.method} has no {solvent_model(level)} parameters of {level.solvent}"
        ) from error


def _method(level: Level) -> str:
    for method in METHODS:
        if level.method.lower() in (method.lower(), method.lower().removesuffix("-xtb")):
            return method
    raise ValueError(f"tblite has no method '{level.method}'{nearest(level.method, METHODS)}")


class XTB(Calculator):
    """tblite's ASE calculator with charge and multiplicity fixed and failures named by EngineError.

    One tblite calculation is kept and updated from geometry to geometry; its wave function is the next guess.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces"]

    def __init__(
        self, method: str, charge: int, multiplicity: int, solvation: tuple[str, ...] | None = None
    ) -> None:
        from tblite.ase import TBLite

        super().__init__()
        self.method = method
        self.charge = charge
        self.multiplicity = multiplicity
        self._inner = TBLite(
            method=method,
            charge=charge,
            multiplicity=multiplicity,
            accuracy=ACCURACY,
            solvation=solvation,
            verbosity=0,
        )

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy and forces at the geometry of `atoms`. Raises EngineError."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        check_molecule(self.atoms.numbers, self.atoms.positions, self.charge, self.multiplicity)
        check_elements(self.atoms.numbers, range(HEAVIEST_ELEMENT + 1, 120), self.method)
        try:
            self._inner.calculate(self.atoms, ["energy", "forces"], system_changes)
        except (CalculationFailed, InputError) as error:
            raise EngineError("scf_failed", f"{self.method}: {error}") from error
        except MemoryError as error:
            raise EngineError("resource_error", f"{self.method} ran out of memory") from error
        energy, forces = self._inner.results["energy"], self._inner.results["forces"]
        if not (np.isfinite(energy) and np.all(np.isfinite(forces))):
            raise EngineError(
                "scf_failed", f"{self.method} returned an energy or forces that are not numbers"
            )
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
