"""The SCF on two grids: cycles on a coarse one, corrected by what the fine one says of the density.

With D₀ a density near the solution, the cycles see
E_xc(D) = E_coarse(D) + E_fine(D₀) - E_coarse(D₀) + Tr (V_fine(D₀) - V_coarse(D₀)) (D - D₀).
Only the difference of the two grids' response to D - D₀ is left out; it is of second order, and is checked
on the fine grid alone: a solution counts where the fine grid's own orbital gradient is small.
"""

import numpy as np
from numpy.typing import NDArray
from pyscf import gto
from pyscf.dft import gen_grid
from pyscf.scf.hf import SCF

from prerelax.engines.pyscf.grids import Grid, Integrator

ROUGH_GRADIENT = 3e-3
"""orbital gradient at which a first density, made of atoms, has become worth a visit to the fine grid"""
INNER_SHARE = 0.5
"""the cycles on the coarse grid stop at this share of the orbital gradient asked for"""
MAX_ROUNDS = 6

Array = NDArray[np.float64]


class TwoGrids(Integrator):
    """PySCF's numerical integration of energies and potentials, on one of two grids."""

    def __init__(self, fine: gen_grid.Grids, coarse: gen_grid.Grids) -> None:
        super().__init__()
        self.fine = Grid(fine)
        self.coarse = Grid(coarse)
        self.on_fine = False
        self._seen: tuple[float, Array] = (0.0, np.zeros(()))
        self._offset = 0.0
        self._difference: Array | None = None

    def correct(self, functional: str, density: Array) -> None:
        """From now on the coarse grid is corrected to what the fine one has just said of this density."""
        energy, potential = self.integrate(self.coarse, functional, density)
        self._difference = self._seen[1] - potential
        self._offset = self._seen[0] - energy - _trace(self._difference, density)

    def nr_rks(
        self, mol: gto.Mole, grids: object, xc_code: str, dms: Array, *_: object, **__: object
    ) -> tuple[float, float, Array]:
        """PySCF's entry for closed shells; the number of electrons, only printed, is not counted."""
        energy, potential = self._exchange_correlation(xc_code, dms)
        return 0.0, energy, potential[0]

    def nr_uks(
        self, mol: gto.Mole, grids: object, xc_code: str, dms: Array, *_: object, **__: object
    ) -> tuple[Array, float, Array]:
        """PySCF's entry for open shells."""
        energy, potential = self._exchange_correlation(xc_code, dms)
        return np.zeros(2), energy, potential

    def _exchange_correlation(self, functional: str, density: Array) -> tuple[float, Array]:
        """Energy (Eh) and potential matrices [n_spins, n, n] on the grid in use."""
        if self.on_fine:
            energy, potential = self.integrate(self.fine, functional, density)
            self._seen = energy, potential.copy()
            return energy, potential
        energy, potential = self.integrate(self.coarse, functional, density)
        if self._difference is not None:
            energy += self._offset + _trace(self._difference, density)
            potential += self._difference
        return energy, potential


def solve(mean_field: SCF, density: Array | None, tolerance: float) -> int:
    """Solve a mean field whose `_numint` is TwoGrids; returns the number of cycles.

    Sets its orbitals, `e_tot`, `converged`, and the Fock matrix of the fine grid, `fine_fock`. A `density`
    of None stands for PySCF's guess. `tolerance`: norm of the fine grid's orbital gradient.
    """
    cycles = 0
    if density is None:
        cycles += _cycle(mean_field, mean_field.get_init_guess(), ROUGH_GRADIENT)
        density = mean_field.make_rdm1()
    _visit_fine_grid(mean_field, density)
    for _ in range(MAX_ROUNDS):
        mean_field._numint.correct(mean_field.xc, density)
        cycles += _cycle(mean_field, density, INNER_SHARE * tolerance)
        if not mean_field.converged:
            break
        density = mean_field.make_rdm1()
        orbital_gradient = _visit_fine_grid(mean_field, density)
        mean_field.converged = orbital_gradient < tolerance
        if mean_field.converged:
            break
    return cycles


def _cycle(mean_field: SCF, density: Array, tolerance: float) -> int:
    settings = mean_field.conv_tol, mean_field.conv_tol_grad
    mean_field.conv_tol, mean_field.conv_tol_grad = max(settings[0], tolerance**2), tolerance
    mean_field.kernel(dm0=density)
    mean_field.conv_tol, mean_field.conv_tol_grad = settings
    return int(mean_field.cycles)


def _visit_fine_grid(mean_field: SCF, density: Array) -> float:
    """Energy and Fock matrix of a density on the fine grid; returns the orbital gradient's norm."""
    mean_field._numint.on_fine = True
    try:
        potential = mean_field.get_veff(mean_field.mol, density)
    finally:
        mean_field._numint.on_fine = False
    h1 = mean_field.get_hcore()
    mean_field.fine_fock = mean_field.get_fock(h1, mean_field.get_ovlp(), potential, density)
    if mean_field.mo_coeff is None:
        return np.inf
    mean_field.e_tot = mean_field.energy_tot(density, h1, potential)
    gradient = mean_field.get_grad(mean_field.mo_coeff, mean_field.mo_occ, mean_field.fine_fock)
    return float(np.linalg.norm(gradient))


def _trace(matrices: Array, density: Array) -> float:
    return float(np.vdot(matrices, np.asarray(density).reshape(matrices.shape)))
