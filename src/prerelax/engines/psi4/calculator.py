"""The Psi4 calculator: one Psi4 process for one molecule, fed one geometry after the other."""

from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from prerelax.engines.level import EngineError, Level, check_molecule
from prerelax.engines.psi4.program import Psi4Error, Psi4Process
from prerelax.engines.psi4.settings import Psi4Settings, setup

SCF_FAILED = (
    "Psi4's SCF did not converge with DIIS, second order and damping; check charge, multiplicity and geometry"
)


class Psi4(Calculator):
    """Energy and forces of one molecule at a level; restricted for singlets, unrestricted otherwise.

    The last geometry's orbitals are the next guess. `generated_basis`: Psi4 does not know the basis, so it is
    given PySCF's. A Psi4 that died is started anew for the next geometry; `close` ends it. Raises ValueError
    where the program is missing.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces"]

    def __init__(
        self,
        level: Level,
        charge: int,
        multiplicity: int,
        threads: int,
        settings: Psi4Settings,
        generated_basis: bool = False,
    ) -> None:
        super().__init__()
        self.level = level
        self.charge = charge
        self.multiplicity = multiplicity
        self.threads = threads
        self.settings = settings
        self.generated_basis = generated_basis
        self.iterations = 0
        """SCF iterations of the last geometry's last attempt"""
        self._process: Psi4Process | None = None
        self._elements: set[str] = set()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy (eV) and forces (eV/Å) at the geometry of `atoms`. Raises EngineError."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        check_molecule(self.atoms.numbers, self.atoms.positions, self.charge, self.multiplicity)
        try:
            energy_eh, gradient = self._ask(self.atoms)
        except Psi4Error as failure:
            self.close()
            raise self._engine_error(failure) from failure
        if self.level.dispersion:
            energy, slope = self._dispersion(self.atoms)
            energy_eh, gradient = energy_eh + energy, gradient + slope
        if not (np.isfinite(energy_eh) and np.all(np.isfinite(gradient))):
            raise EngineError("scf_failed", "Psi4 returned an energy or forces that are not numbers")
        energy = energy_eh * Hartree
        self.results = {"energy": energy, "free_energy": energy, "forces": -gradient * (Hartree / Bohr)}

    def close(self) -> None:
        """End the Psi4 process and remove its scratch files."""
        if self._process is not None:
            self._process.close()
        self._process = None

    def _ask(self, atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
        if self._process is None:
            self._process = Psi4Process(setup(self.level, self.settings), self.threads)
            self._elements = set()
        symbols = atoms.get_chemical_symbols()
        if self.generated_basis and not set(symbols) <= self._elements:
            self._write_basis(self._process, set(symbols))
        positions = (atoms.positions / Bohr).tolist()
        answer = self._process.ask(
            {
                "kind": "gradient",
                "atoms": [[symbol, *xyz] for symbol, xyz in zip(symbols, positions, strict=True)],
                "charge": self.charge,
                "multiplicity": self.multiplicity,
            }
        )
        self.iterations = answer["iterations"]
        return float(answer["energy_eh"]), np.array(answer["gradient"], dtype=float).reshape(-1, 3)

    def _write_basis(self, process: Psi4Process, symbols: set[str]) -> None:
        from prerelax.engines.psi4.gbs_file import gbs_file_name, gbs_text

        name = self.level.basis or ""
        self._elements |= symbols
        (process.folder / gbs_file_name(name)).write_text(gbs_text(name, sorted(self._elements)))

    def _dispersion(self, atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
        from prerelax.engines.dispersion import dispersion

        return dispersion(
            atoms.numbers, atoms.positions / Bohr, self.charge, self.level.method, self.level.dispersion or ""
        )

    def _engine_error(self, failure: Psi4Error) -> EngineError:
        match failure.status:
            case "scf_failed":
                return EngineError("scf_failed", SCF_FAILED)
            case "unsupported_element":
                return EngineError(
                    "unsupported_element",
                    f"the basis {self.level.basis} has no parameters for {failure.message}",
                )
            case status:
                return EngineError(status, failure.message)
