"""The parts of the fast gradient against PySCF's own integrator, fitting and gradients."""

import numpy as np
import pytest
from ase.build import molecule


def solved(functional, name, spin):
    """A density-fitted mean field of PySCF's, roughly converged, without any part of ours."""
    from pyscf import dft, gto, scf

    atoms = molecule(name)
    mol = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)),
        basis="def2-svp", spin=spin, verbose=0,
    )  # fmt: skip
    if functional == "hf":
        mean_field = scf.UHF(mol) if spin else scf.RHF(mol)
    else:
        mean_field = (dft.UKS if spin else dft.RKS)(mol, xc=functional)
        mean_field.grids.level = 0
    return mean_field.density_fit().run(conv_tol_grad=1e-6)


def exchange_correlation(functional, name, spin):
    """Energy and potential matrices, ours and PySCF's."""
    from prerelax.engines.pyscf.grids import Grid, Integrator

    mean_field = solved(functional, name, spin)
    density = mean_field.make_rdm1()
    integrate = mean_field._numint.nr_uks if spin else mean_field._numint.nr_rks
    _, energy, potential = integrate(mean_field.mol, mean_field.grids, functional, density)
    ours = Integrator().integrate(Grid(mean_field.grids), functional, density)
    return ours, (energy, np.reshape(potential, ours[1].shape))


@pytest.mark.parametrize(
    ("functional", "name", "spin"),
    [("svwn", "H2O", 0), ("b3lyp", "H2O", 0), ("pbe0", "CH3", 1), ("r2scan", "CH3", 1)],
)
def test_energy_and_potential_are_pyscfs(in_engine_process, functional, name, spin):
    ours, theirs = in_engine_process(exchange_correlation, functional, name, spin)
    assert ours[0] == pytest.approx(theirs[0], abs=1e-8)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-7)


def gradients(functional, name, spin):
    """Our gradient of a mean field and PySCF's, on one grid and with the same fitting functions."""
    from prerelax.engines.pyscf.fitting import Fitting
    from prerelax.engines.pyscf.gradient import gradient
    from prerelax.engines.pyscf.two_grids import TwoGrids

    mean_field = solved(functional, name, spin)
    theirs = mean_field.nuc_grad_method().kernel()
    mean_field.with_df = Fitting(mean_field.mol, mean_field.with_df.auxbasis).build()
    if functional != "hf":
        mean_field._numint = TwoGrids(mean_field.grids, mean_field.grids)
    return gradient(mean_field), theirs


@pytest.mark.parametrize(
    ("functional", "name", "spin"),
    [("hf", "CH3", 1), ("svwn", "CH3", 1), ("b3lyp", "H2O", 0), ("r2scan", "H2O", 0), ("r2scan", "CH3", 1)],
)
def test_gradient_is_pyscfs(in_engine_process, functional, name, spin):
    ours, theirs = in_engine_process(gradients, functional, name, spin)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def coulomb_and_exchange(with_orbitals):
    from prerelax.engines.pyscf.fitting import Fitting

    mean_field = solved("hf", "CH3", 1)
    fitting = Fitting(mean_field.mol, mean_field.with_df.auxbasis)
    density = mean_field.make_rdm1() if with_orbitals else np.array(mean_field.make_rdm1())
    alone, nothing = fitting.get_jk(density, with_k=False)
    assert nothing is None
    coulomb, exchange = fitting.get_jk(density)
    np.testing.assert_allclose(alone, coulomb, atol=1e-10)
    return (coulomb, exchange), mean_field.with_df.get_jk(density)


@pytest.mark.parametrize("with_orbitals", [True, False])
def test_fitted_coulomb_and_exchange_are_pyscfs(in_engine_process, with_orbitals):
    ours, theirs = in_engine_process(coulomb_and_exchange, with_orbitals)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_a_guess_from_one_geometry_spans_its_orbitals(in_engine_process):
    guessed, occupied, overlap = in_engine_process(guessed_at_the_same_geometry)
    np.testing.assert_allclose(guessed.T @ overlap @ guessed, np.eye(guessed.shape[1]), atol=1e-12)
    np.testing.assert_allclose(guessed @ guessed.T, occupied @ occupied.T, atol=1e-12)


def guessed_at_the_same_geometry():
    from prerelax.engines.pyscf.guess import Guess

    mean_field = solved("hf", "H2O", 0)
    occupied = mean_field.mo_coeff[:, mean_field.mo_occ > 0]
    overlap = mean_field.get_ovlp()
    guess = Guess()
    guess.learn(overlap, [occupied])
    return guess.orbitals(overlap)[0], occupied, overlap
