"""The level of the QM9 data set: Gaussian's B3LYP/6-31G(2df,p), in PySCF.

B3LYP with VWN3 (`b3lypg`); d exponents 1.6 and 0.4 on C, N, O and F (0.8 split by factors of two: Frisch,
Pople and Binkley, J. Chem. Phys. 80, 3265 (1984); PySCF's built-in set of that name carries those of
6-311G); six Cartesian d functions and seven spherical f. PySCF has no mixed 6D/7F, so the molecule is
Cartesian and the SCF works in the subspace without the three functions that each Cartesian f shell has too
many.
"""

from types import MethodType

import numpy as np
from numpy.typing import NDArray
from pyscf import df, gto
from pyscf.scf.hf import SCF
from scipy.linalg import block_diag, eigh

FUNCTIONAL = "b3lypg"
ELEMENTS = frozenset({1, 6, 7, 8, 9})
D_EXPONENTS = (1.6, 0.4)


def basis(symbol: str) -> list[list[object]]:
    """6-31G(2df,p) of H, C, N, O or F in PySCF's format."""
    shells = [shell for shell in gto.basis.load("6-31g(2df,p)", symbol) if shell[0] != 2]
    if symbol != "H":
        shells += [[2, [exponent, 1.0]] for exponent in D_EXPONENTS]
    return shells


def fitting_basis(mol: gto.Mole, beta: float) -> dict[str, list[object]]:
    """Even-tempered auxiliary functions, neighbouring exponents differing by the factor `beta`."""
    functions: dict[str, list[object]] = df.aug_etb(mol, beta=beta)
    return functions


def restrict_to_spherical_f(mean_field: SCF) -> None:
    """Make SCF, DIIS and gradients of a Cartesian molecule work with spherical functions from f upwards.

    The orthonormal basis that PySCF asks for becomes X (Xᵀ S X)^(-1/2), X [n_cartesian, n_mixed] being the
    transformation; overriding `eig` alone would leave DIIS's error vector outside the subspace.
    """
    transformation = mixed_transformation(mean_field.mol)

    def check_linear_dependency(
        self: SCF, overlap: NDArray[np.float64], verbose: object = None
    ) -> NDArray[np.float64]:
        values, vectors = eigh(transformation.T @ overlap @ transformation)
        orthonormal: NDArray[np.float64] = transformation @ (vectors / np.sqrt(values))
        return orthonormal

    mean_field.check_linear_dependency = MethodType(check_linear_dependency, mean_field)


def mixed_transformation(mol: gto.Mole) -> NDArray[np.float64]:
    """[n_cartesian, n_mixed]: identity for s, p and d shells, Cartesian to spherical for f and higher."""
    blocks = []
    for shell in range(mol.nbas):
        angular = mol.bas_angular(shell)
        cartesian = (angular + 1) * (angular + 2) // 2
        block = gto.cart2sph(angular, normalized="sp") if angular >= 3 else np.eye(cartesian)
        blocks += [block] * mol.bas_nctr(shell)
    matrix: NDArray[np.float64] = block_diag(*blocks)
    return matrix
