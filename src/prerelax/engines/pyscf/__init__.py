"""PySCF: Hartree-Fock and any density functional in any basis, and the QM9 data set's own level."""
