"""The GPU4PySCF calculator: PySCF's molecule and mean field, moved to the card before they are solved."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyscf import gto
from pyscf.scf.hf import SCF
from scipy.linalg import eigh

from prerelax.engines.failures import EngineError
from prerelax.engines.level import Level
from prerelax.engines.pyscf.scf import RESCUE_DAMPING, RESCUE_LEVEL_SHIFT_EH, PySCF
from prerelax.engines.pyscf.settings import ScfSettings
from prerelax.engines.pyscf.solvent import in_solvent


class GPU4PySCF(PySCF):
    """Energy and forces of one molecule at a level, as `PySCF` gives them; see there for the arguments.

    The occupied orbitals of the last geometry, made orthonormal at the new one, are the first density.
    """

    program_name = "GPU4PySCF"

    def __init__(
        self, level: Level, charge: int, multiplicity: int, threads: int, settings: ScfSettings
    ) -> None:
        super().__init__(level, charge, multiplicity, threads, settings)
        self._occupied: list[NDArray[np.float64]] = []

    def _placed(self, mean_field: SCF) -> SCF:
        """The mean field on the card, then in its solvent: the card's solvent models differ from PySCF's."""
        return in_solvent(mean_field.to_gpu(), self.level)

    def _converged(self, mol: gto.Mole) -> SCF:
        """A converged mean field on the card: plain DIIS, then level shift with damping."""
        self.cycles = 0
        density = self._first_density(mol)
        for options in ({}, {"level_shift": RESCUE_LEVEL_SHIFT_EH, "damp": RESCUE_DAMPING}):
            mean_field = self._mean_field(mol)
            for name, value in options.items():
                setattr(mean_field, name, value)
            mean_field.kernel(dm0=None if options else density)
            self.cycles += mean_field.cycles
            if mean_field.converged and np.isfinite(mean_field.e_tot):
                self._occupied = _occupied(mean_field)
                return mean_field
        self._occupied = []
        raise EngineError(
            "scf_failed",
            f"the SCF did not converge in {self.cycles} cycles with DIIS and level shift; "
            "check charge, multiplicity and geometry, or use the engine pyscf, which has a second order too",
        )

    def _gradient(self, mean_field: SCF) -> NDArray[np.float64]:
        return _on_host(mean_field.nuc_grad_method().kernel())

    def engine_error(self, error: Exception) -> EngineError:
        """As of every engine; a full card says so in many ways (CuPy's OutOfMemoryError is a MemoryError)."""
        words = " ".join(str(error).split())[:200]
        if isinstance(error, MemoryError) or "out of memory" in words.lower() or "MemoryAllocation" in words:
            return EngineError(
                "resource_error", f"the graphics card ran out of memory ({words}); use fewer workers or pyscf"
            )
        return super().engine_error(error)

    def _first_density(self, mol: gto.Mole) -> NDArray[np.float64] | None:
        if not self._occupied or len(self._occupied[0]) != mol.nao:
            return None
        overlap = mol.intor_symmetric("int1e_ovlp")
        densities = []
        for orbitals in self._occupied:
            values, vectors = eigh(orbitals.T @ overlap @ orbitals)
            rotated = orbitals @ (vectors / np.sqrt(values))
            densities.append(rotated @ rotated.T)
        return 2 * densities[0] if len(densities) == 1 else np.array(densities)


def _occupied(mean_field: SCF) -> list[NDArray[np.float64]]:
    """Occupied orbitals [n_functions, n_occupied]: one entry if restricted, two if unrestricted."""
    coefficients, occupations = _on_host(mean_field.mo_coeff), _on_host(mean_field.mo_occ)
    if mean_field.mol.spin == 0:
        return [coefficients[:, occupations > 0]]
    return [c[:, occupied > 0] for c, occupied in zip(coefficients, occupations, strict=True)]


def _on_host(array: Any) -> NDArray[np.float64]:
    """A NumPy array of one that may be CuPy's."""
    return np.asarray(array.get() if hasattr(array, "get") else array)
