"""The Psi4 calculator: one Psi4 process for one molecule, fed one geometry after the other."""

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from prerelax.engines.calculator import EngineCalculator, Forces
from prerelax.engines.failures import EngineError
from prerelax.engines.level import Level
from prerelax.engines.psi4.program import Psi4Error, Psi4Process
from prerelax.engines.psi4.settings import Psi4Settings, setup
from prerelax.engines.pyscf.dispersion import dispersion

SCF_FAILED = (
    "Psi4's SCF did not converge with DIIS, second order and damping; check charge, multiplicity and geometry"
)


class Psi4(EngineCalculator):
    """Energy and forces of one molecule at a level; restricted for singlets, unrestricted otherwise.

    The last geometry's orbitals are the next guess. `generated_basis`: Psi4 does not know the basis, so it is
    given PySCF's. A Psi4 that died is started anew for the next geometry; `close` ends it. Raises ValueError
    where the program is missing.
    """

    def __init__(
        self,
        level: Level,
        charge: int,
        multiplicity: int,
        threads: int,
        settings: Psi4Settings,
        generated_basis: bool = False,
    ) -> None:
        super().__init__("Psi4", charge, multiplicity)
        self.level = level
        self.threads = threads
        self.settings = settings
        self.generated_basis = generated_basis
        self.iterations = 0
        """SCF iterations of the last geometry's last attempt"""
        self._process: Psi4Process | None = None
        self._elements: set[str] = set()

    def energy_and_forces(self, atoms: Atoms, changes: list[str]) -> tuple[float, Forces]:
        try:
            energy_eh, gradient = self._ask(atoms)
        except Psi4Error:
            self.close()
            raise
        if self.level.dispersion:
            energy, slope = self._dispersion(atoms)
            energy_eh, gradient = energy_eh + energy, gradient + slope
        return energy_eh * Hartree, -gradient * (Hartree / Bohr)

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
        return dispersion(
            atoms.numbers, atoms.positions / Bohr, self.charge, self.level.method, self.level.dispersion or ""
        )

    def engine_error(self, error: Exception) -> EngineError:
        """As of every engine, and what Psi4 itself said."""
        if not isinstance(error, Psi4Error):
            return super().engine_error(error)
        match error.status:
            case "scf_failed":
                return EngineError("scf_failed", SCF_FAILED)
            case "unsupported_element":
                return EngineError(
                    "unsupported_element",
                    f"the basis {self.level.basis} has no parameters for {error.message}",
                )
            case status:
                return EngineError(status, error.message)
