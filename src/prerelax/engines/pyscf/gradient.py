"""The analytic gradient of a solved mean field, contracted atom by atom instead of matrix by matrix."""

import numpy as np
from numpy.typing import NDArray
from pyscf import gto
from pyscf.grad.rhf import Gradients
from pyscf.scf.hf import SCF

from prerelax.engines.pyscf.fitting import Fitting
from prerelax.engines.pyscf.two_grids import TwoGrids

Array = NDArray[np.float64]


def gradient(mean_field: SCF) -> Array:
    """[n_atoms, 3] Eh/bohr, the grid taken to be at rest, as PySCF does by default.

    Fitted Coulomb and global hybrids are done here, everything else (long-range exchange, nonlocal
    correlation, exact integrals) by PySCF.
    """
    if not _is_ours(mean_field):
        theirs: Array = mean_field.nuc_grad_method().kernel()
        return theirs
    mol = mean_field.mol
    method = mean_field.nuc_grad_method()
    density = mean_field.make_rdm1()
    result = method.grad_nuc(mol) + _one_electron(mean_field, method, density)
    exchange_share = 1.0
    if hasattr(mean_field, "xc"):
        integrator = mean_field._numint
        exchange_share = integrator.hybrid_coeff(mean_field.xc, spin=mol.spin)
        result += _by_atom(mol, integrator.gradient(integrator.fine, mean_field.xc, density)[1])
    result += mean_field.with_df.gradient(density, exchange_share)
    if mean_field.do_disp():
        result += method.get_dispersion()
    return np.asarray(result)


def _is_ours(mean_field: SCF) -> bool:
    if not isinstance(getattr(mean_field, "with_df", None), Fitting):
        return False
    if not hasattr(mean_field, "xc"):
        return True
    integrator = mean_field._numint
    return isinstance(integrator, TwoGrids) and not mean_field.do_nlc()


def is_range_separated(mean_field: SCF) -> bool:
    """Whether exchange is exact at long range only, or the other way round."""
    if not hasattr(mean_field, "xc"):
        return False
    return bool(mean_field._numint.rsh_and_hybrid_coeff(mean_field.xc, spin=mean_field.mol.spin)[0] != 0)


def _one_electron(mean_field: SCF, method: Gradients, density: Array) -> Array:
    """Kinetic energy, nuclei, core potentials and the orbitals' orthonormality."""
    mol = mean_field.mol
    total = np.asarray(density).reshape(-1, *density.shape[-2:]).sum(axis=0)
    core_derivative = method.hcore_generator(mol)
    core = np.array([np.einsum("xij,ij->x", core_derivative(atom), total) for atom in range(mol.natm)])
    energy_weighted = _energy_weighted(mean_field)
    overlap = np.einsum("xij,ij->ix", method.get_ovlp(mol), energy_weighted)
    return core - 2 * _by_atom(mol, overlap)


def _energy_weighted(mean_field: SCF) -> Array:
    """Σ over spins of C Cᵀ F C Cᵀ with the fine grid's Fock matrix, twice for closed shells."""
    fock = getattr(mean_field, "fine_fock", None)
    if fock is None:
        fock = mean_field.get_fock()
    restricted = mean_field.mol.spin == 0
    coefficients = [mean_field.mo_coeff] if restricted else mean_field.mo_coeff
    occupations = [mean_field.mo_occ] if restricted else mean_field.mo_occ
    total = np.zeros(fock.shape[-2:])
    for c, occupied, f in zip(coefficients, occupations, fock.reshape(-1, *fock.shape[-2:]), strict=True):
        held = c[:, occupied > 0]
        total += (2.0 if restricted else 1.0) * held @ (held.T @ f @ held) @ held.T
    return total


def _by_atom(mol: gto.Mole, by_function: Array) -> Array:
    """[n_functions, 3] summed over each atom's functions."""
    return np.array([by_function[begin:end].sum(axis=0) for begin, end in mol.aoslice_by_atom()[:, 2:]])
