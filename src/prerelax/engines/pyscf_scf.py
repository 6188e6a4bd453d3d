"""The PySCF calculator: one SCF and one analytic gradient per geometry, guessed from the geometry before."""

import time
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers, chemical_symbols
from ase.units import Bohr, Hartree
from numpy.typing import NDArray
from pyscf import dft, gto, lib, scf
from scipy.linalg import eigh

from prerelax.engines import qm9_level
from prerelax.engines.level import EngineError, Level, check_elements, check_molecule
from prerelax.engines.pyscf import (
    QM9,
    ScfSettings,
    dispersion_functional,
    functional_proper,
    has_basis,
    has_core_potential,
)
from prerelax.engines.pyscf_solvent import in_solvent

RESCUE_LEVEL_SHIFT_EH = 0.3
RESCUE_DAMPING = 0.5


class PySCF(Calculator):
    """Energy and forces of one molecule at a level; restricted for singlets, unrestricted otherwise.

    `charge` and `multiplicity` are fixed; `threads` are OpenMP threads of this process. The occupied orbitals
    of the last geometry, made orthonormal at the new one, are the first density.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces"]

    def __init__(
        self, level: Level, charge: int, multiplicity: int, threads: int, settings: ScfSettings
    ) -> None:
        super().__init__()
        self.level = level
        self.charge = charge
        self.multiplicity = multiplicity
        self.settings = settings
        self.cycles = 0
        """SCF cycles of the last geometry, all attempts together"""
        self.gradient_s = 0.0
        """processor seconds of the last gradient, the SCF not included"""
        self._orbitals: list[NDArray[np.float64]] | None = None
        lib.num_threads(threads)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy (eV) and forces (eV/Å) at the geometry of `atoms`. Raises EngineError."""
        before = self.atoms
        super().calculate(atoms, properties or ["energy"], system_changes)
        if before is not None and not np.array_equal(before.numbers, self.atoms.numbers):
            self._orbitals = None
        check_molecule(self.atoms.numbers, self.atoms.positions, self.charge, self.multiplicity)
        try:
            mean_field = self._converged(self._molecule(self.atoms))
            gradient = self._gradient(mean_field)
        except EngineError:
            raise
        except MemoryError as error:
            raise EngineError("resource_error", f"PySCF ran out of memory: {error}") from error
        except np.linalg.LinAlgError as error:
            raise EngineError("scf_failed", f"linear algebra failed at this geometry: {error}") from error
        except Exception as error:
            raise EngineError("unknown_error", f"PySCF: {type(error).__name__}: {error}") from error
        energy = float(mean_field.e_tot) * Hartree
        self.results = {"energy": energy, "free_energy": energy, "forces": -gradient * (Hartree / Bohr)}

    def _molecule(self, atoms: Atoms) -> gto.Mole:
        symbols = sorted({chemical_symbols[z] for z in atoms.numbers})
        return gto.M(
            atom=list(zip(atoms.get_chemical_symbols(), (atoms.positions / Bohr).tolist(), strict=True)),
            unit="Bohr",
            charge=self.charge,
            spin=self.multiplicity - 1,
            cart=self._is_qm9,
            verbose=0,
            **self._basis_and_cores(symbols),
        )

    @property
    def _is_qm9(self) -> bool:
        return self.level.method.lower() == QM9

    def _basis_and_cores(self, symbols: list[str]) -> dict[str, Any]:
        numbers = np.array([atomic_numbers[symbol] for symbol in symbols])
        if self._is_qm9:
            check_elements(numbers, set(range(1, 120)) - qm9_level.ELEMENTS, "the level qm9")
            return {"basis": {symbol: qm9_level.basis(symbol) for symbol in symbols}}
        name = self.level.basis or ""
        missing = [atomic_numbers[symbol] for symbol in symbols if not has_basis(name, symbol)]
        check_elements(numbers, missing, f"the basis {name}")
        with_cores = {symbol: name for symbol in symbols if has_core_potential(name, symbol)}
        return {"basis": dict.fromkeys(symbols, name), "ecp": with_cores}

    def _mean_field(self, mol: gto.Mole) -> Any:
        functional = qm9_level.FUNCTIONAL if self._is_qm9 else self.level.method
        if functional.lower() == "hf":
            mean_field = scf.UHF(mol) if mol.spin else scf.RHF(mol)
        else:
            mean_field = (dft.UKS if mol.spin else dft.RKS)(mol, xc=functional)
            meta = dft.libxc.xc_type(functional_proper(functional)) == "MGGA"
            mean_field.grids.level = self.settings.meta_gga_grid_level if meta else self.settings.grid_level
        if self.level.dispersion:
            mean_field.disp = f"{self.level.dispersion.lower()}:{dispersion_functional(functional)}"
        if self.level.density_fitting:
            mean_field = mean_field.density_fit()
        if self._is_qm9:
            qm9_level.restrict_to_spherical_f(mean_field)
        mean_field = self._placed(mean_field)
        mean_field.conv_tol = self.settings.conv_tol_eh
        mean_field.conv_tol_grad = self.settings.conv_tol_gradient
        mean_field.max_cycle = self.settings.max_cycles
        mean_field.conv_check = False
        mean_field.chkfile = None
        return mean_field

    def _placed(self, mean_field: Any) -> Any:
        """The mean field in its solvent."""
        return in_solvent(mean_field, self.level)

    def _converged(self, mol: gto.Mole) -> Any:
        """A converged mean field: plain DIIS, then level shift with damping, then second order."""
        self.cycles = 0
        density = self._guess(mol)
        for attempt in (self._plain, self._shifted, self._second_order):
            mean_field = attempt(mol, density)
            density = mean_field.make_rdm1()
            self.cycles += mean_field.cycles
            if mean_field.converged and np.isfinite(mean_field.e_tot):
                self._orbitals = _occupied(mean_field)
                return mean_field
        self._orbitals = None
        raise EngineError(
            "scf_failed",
            f"the SCF did not converge in {self.cycles} cycles with DIIS, level shift and second order; "
            "check charge, multiplicity and geometry",
        )

    def _plain(self, mol: gto.Mole, density: Any) -> Any:
        mean_field = self._mean_field(mol)
        mean_field.kernel(dm0=density)
        return mean_field

    def _shifted(self, mol: gto.Mole, density: Any) -> Any:
        """From PySCF's own guess: the density that DIIS left behind is no better."""
        mean_field = self._mean_field(mol)
        mean_field.level_shift = RESCUE_LEVEL_SHIFT_EH
        mean_field.damp = RESCUE_DAMPING
        mean_field.conv_check = True  # its extra cycle takes the level shift away again
        mean_field.kernel()
        return mean_field

    def _second_order(self, mol: gto.Mole, density: Any) -> Any:
        mean_field = self._mean_field(mol).newton()
        mean_field.kernel(dm0=density)
        mean_field.cycles = mean_field.max_cycle
        return mean_field

    def _guess(self, mol: gto.Mole) -> Any:
        """Densities of the last geometry's occupied orbitals, Löwdin-orthonormalised here; None at first."""
        if self._orbitals is None:
            return None
        overlap = mol.intor_symmetric("int1e_ovlp")
        densities = [_density(orbitals, overlap) for orbitals in self._orbitals]
        return 2 * densities[0] if len(densities) == 1 else np.array(densities)

    def _gradient(self, mean_field: Any) -> NDArray[np.float64]:
        began = time.process_time()
        gradient: NDArray[np.float64] = mean_field.nuc_grad_method().kernel()
        self.gradient_s = time.process_time() - began
        if not np.all(np.isfinite(gradient)):
            raise EngineError("scf_failed", "PySCF returned forces that are not numbers")
        return gradient


def _occupied(mean_field: Any) -> list[NDArray[np.float64]]:
    """Occupied orbitals [n_functions, n_occupied]: one entry if restricted, two if unrestricted."""
    if mean_field.mol.spin == 0:
        return [mean_field.mo_coeff[:, mean_field.mo_occ > 0]]
    return [c[:, occupied > 0] for c, occupied in zip(mean_field.mo_coeff, mean_field.mo_occ, strict=True)]


def _density(orbitals: NDArray[np.float64], overlap: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = eigh(orbitals.T @ overlap @ orbitals)
    rotated = orbitals @ (vectors / np.sqrt(values))
    density: NDArray[np.float64] = rotated @ rotated.T
    return density
