"""Psi4, a program of its own that is never imported: Hartree-Fock and density functionals with gradients."""
