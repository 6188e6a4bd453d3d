"""The PySCF calculator: one SCF and one analytic gradient per geometry, guessed from the geometry before."""

import time

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from ase.units import Bohr, Hartree
from numpy.typing import NDArray
from pyscf import dft, gto, lib, scf
from pyscf.scf.hf import SCF

from prerelax.engines.calculator import EngineCalculator, Forces
from prerelax.engines.failures import EngineError, check_elements
from prerelax.engines.level import Level
from prerelax.engines.memory import available_mb
from prerelax.engines.pyscf import qm9_level
from prerelax.engines.pyscf.fitting import Fitting
from prerelax.engines.pyscf.gradient import gradient, is_range_separated
from prerelax.engines.pyscf.grids import set_atomic_grids
from prerelax.engines.pyscf.guess import Guess
from prerelax.engines.pyscf.names import (
    QM9,
    dispersion_functional,
    functional_proper,
    has_basis,
    has_core_potential,
)
from prerelax.engines.pyscf.settings import ScfSettings
from prerelax.engines.pyscf.solvent import in_solvent
from prerelax.engines.pyscf.two_grids import TwoGrids, solve

RESCUE_LEVEL_SHIFT_EH = 0.3
RESCUE_DAMPING = 0.5
MATRICES = 40
"""of the basis' size, held at once by an SCF with DIIS and by a gradient"""
IN_MEMORY_SHARE = 0.5
"""of the free memory that fitted integrals may take; larger ones go to PySCF, which keeps them on disk"""


class PySCF(EngineCalculator):
    """Energy and forces of one molecule at a level; restricted for singlets, unrestricted otherwise.

    `charge` and `multiplicity` are fixed; `threads` are OpenMP threads of this process. The first density is
    extrapolated from the solutions at earlier geometries (`guess`), the cycles run on a coarse grid
    that is corrected by the fine one (`two_grids`).
    """

    program_name = "PySCF"

    def __init__(
        self, level: Level, charge: int, multiplicity: int, threads: int, settings: ScfSettings
    ) -> None:
        super().__init__(self.program_name, charge, multiplicity)
        self.level = level
        self.settings = settings
        self.cycles = 0
        """SCF cycles of the last geometry, all attempts together"""
        self.gradient_s = 0.0
        """processor seconds of the last gradient, the SCF not included"""
        self._guess = Guess()
        self._numbers: NDArray[np.integer] | None = None
        """of the molecule that the guess is for"""
        self._storage: NDArray[np.float64] | None = None
        lib.num_threads(threads)

    def energy_and_forces(self, atoms: Atoms, changes: list[str]) -> tuple[float, Forces]:
        if self._numbers is not None and not np.array_equal(self._numbers, atoms.numbers):
            self._guess.forget()
        self._numbers = atoms.numbers
        mol = self._molecule(atoms)
        self._check_memory(mol)
        mean_field = self._converged(mol)
        derivative = self._gradient(mean_field)
        self._storage = getattr(getattr(mean_field, "with_df", None), "storage", None)
        return float(mean_field.e_tot) * Hartree, -derivative * (Hartree / Bohr)

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

    def _basis_and_cores(self, symbols: list[str]) -> dict[str, object]:
        numbers = np.array([atomic_numbers[symbol] for symbol in symbols])
        if self._is_qm9:
            check_elements(numbers, set(range(1, 120)) - qm9_level.ELEMENTS, "the level qm9")
            return {"basis": {symbol: qm9_level.basis(symbol) for symbol in symbols}}
        name = self.level.basis or ""
        missing = [atomic_numbers[symbol] for symbol in symbols if not has_basis(name, symbol)]
        check_elements(numbers, missing, f"the basis {name}")
        with_cores = {symbol: name for symbol in symbols if has_core_potential(name, symbol)}
        return {"basis": dict.fromkeys(symbols, name), "ecp": with_cores}

    def _mean_field(self, mol: gto.Mole) -> SCF:
        functional = qm9_level.FUNCTIONAL if self._is_qm9 else self.level.method
        if functional.lower() == "hf":
            mean_field = scf.UHF(mol) if mol.spin else scf.RHF(mol)
        else:
            mean_field = (dft.UKS if mol.spin else dft.RKS)(mol, xc=functional)
            meta = dft.libxc.xc_type(functional_proper(functional)) == "MGGA"
            set_atomic_grids(mean_field.grids, self.settings, meta)
        if self.level.dispersion:
            mean_field.disp = f"{self.level.dispersion.lower()}:{dispersion_functional(functional)}"
        if self.level.density_fitting:
            auxbasis = qm9_level.fitting_basis(mol, self.settings.fitting_beta) if self._is_qm9 else None
            mean_field = mean_field.density_fit(auxbasis=auxbasis)
        if self._is_qm9:
            qm9_level.restrict_to_spherical_f(mean_field)
        mean_field = self._placed(mean_field)
        mean_field.conv_tol = self.settings.conv_tol_eh
        mean_field.conv_tol_grad = self.settings.conv_tol_gradient
        mean_field.max_cycle = self.settings.max_cycles
        mean_field.conv_check = False
        mean_field.chkfile = None
        return mean_field

    def _placed(self, mean_field: SCF) -> SCF:
        """The mean field in its solvent."""
        return in_solvent(mean_field, self.level)

    def _check_memory(self, mol: gto.Mole) -> None:
        """Raise EngineError where not even matrices of the basis' size fit, rather than be killed for it."""
        needed = MATRICES * 8e-6 * mol.nao_nr() ** 2
        available = available_mb()
        if needed > available:
            raise EngineError(
                "resource_error",
                f"{mol.nao_nr()} basis functions need {needed / 1e3:.1f} GB of memory and "
                f"{available / 1e3:.1f} GB are free; give the job more, use fewer workers or a smaller basis",
            )

    def _converged(self, mol: gto.Mole) -> SCF:
        """A converged mean field: plain DIIS, then level shift with damping, then second order."""
        self.cycles = 0
        overlap = mol.intor_symmetric("int1e_ovlp")
        density = _density(self._guess.orbitals(overlap))
        lowest = np.inf
        for attempt in (self._plain, self._shifted, self._second_order):
            mean_field = attempt(mol, density)
            if mean_field.e_tot < lowest:  # of two failures the lower one is nearer to the ground state
                lowest, density = mean_field.e_tot, mean_field.make_rdm1()
            if mean_field.converged and np.isfinite(mean_field.e_tot):
                self._guess.learn(overlap, _occupied(mean_field))
                return mean_field
        self._guess.forget()
        raise EngineError(
            "scf_failed",
            f"the SCF did not converge in {self.cycles} cycles with DIIS, level shift and second order; "
            "check charge, multiplicity and geometry",
        )

    def _plain(self, mol: gto.Mole, density: NDArray[np.float64] | None) -> SCF:
        mean_field = self._mean_field(mol)
        self._make_fast(mean_field)
        if isinstance(getattr(mean_field, "_numint", None), TwoGrids):
            self.cycles += solve(mean_field, density, self.settings.conv_tol_gradient)
        else:
            mean_field.kernel(dm0=density)
            self.cycles += mean_field.cycles
        return mean_field

    def _make_fast(self, mean_field: SCF) -> None:
        """Fitted integrals in memory, and two grids.

        Exact integrals cost more than any grid, and a solvent's potential belongs to PySCF's own loop.
        """
        if self.level.solvent or not self.level.density_fitting:
            return
        # The last geometry's integrals are overwritten: fresh memory would cost as much time as filling it.
        fitting = Fitting(mean_field.mol, mean_field.with_df.auxbasis, self._storage)
        held_mb = 0.0 if self._storage is None else self._storage.nbytes / 1e6
        fits = fitting.memory_mb() < IN_MEMORY_SHARE * (available_mb() + held_mb)
        if fits and not is_range_separated(mean_field):
            mean_field.with_df = fitting
        if hasattr(mean_field, "grids"):
            coarse = dft.gen_grid.Grids(mean_field.mol)
            coarse.level = self.settings.coarse_grid_level
            mean_field._numint = TwoGrids(mean_field.grids.build(), coarse.build())

    def _shifted(self, mol: gto.Mole, density: NDArray[np.float64] | None) -> SCF:
        """From PySCF's own guess: the density that DIIS left behind is no better."""
        mean_field = self._mean_field(mol)
        mean_field.level_shift = RESCUE_LEVEL_SHIFT_EH
        mean_field.damp = RESCUE_DAMPING
        mean_field.conv_check = True  # its extra cycle takes the level shift away again
        mean_field.kernel()
        self.cycles += mean_field.cycles
        return mean_field

    def _second_order(self, mol: gto.Mole, density: NDArray[np.float64] | None) -> SCF:
        mean_field = self._mean_field(mol).newton()
        mean_field.kernel(dm0=density)
        self.cycles += mean_field.max_cycle
        return mean_field

    def _gradient(self, mean_field: SCF) -> NDArray[np.float64]:
        began = time.process_time()
        result = gradient(mean_field)
        self.gradient_s = time.process_time() - began
        return result


def _occupied(mean_field: SCF) -> list[NDArray[np.float64]]:
    """Occupied orbitals [n_functions, n_occupied]: one entry if restricted, two if unrestricted."""
    if mean_field.mol.spin == 0:
        return [mean_field.mo_coeff[:, mean_field.mo_occ > 0]]
    return [c[:, occupied > 0] for c, occupied in zip(mean_field.mo_coeff, mean_field.mo_occ, strict=True)]


def _density(occupied: list[NDArray[np.float64]] | None) -> NDArray[np.float64] | None:
    """Density matrix, or one for each spin, carrying its orbitals as PySCF's own densities do."""
    if occupied is None:
        return None
    if len(occupied) == 1:
        (orbitals,) = occupied
        occupations = np.full(orbitals.shape[1], 2.0)
        density = 2 * orbitals @ orbitals.T
    else:
        most = max(c.shape[1] for c in occupied)
        orbitals = np.array([np.pad(c, ((0, 0), (0, most - c.shape[1]))) for c in occupied])
        occupations = np.array([np.arange(most) < c.shape[1] for c in occupied], dtype=float)
        density = orbitals @ orbitals.transpose(0, 2, 1)
    tagged: NDArray[np.float64] = lib.tag_array(density, mo_coeff=orbitals, mo_occ=occupations)
    return tagged
