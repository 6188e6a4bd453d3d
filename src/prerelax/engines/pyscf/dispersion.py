"""D3 and D4 for engines that lack them, through the libraries behind PySCF's own correction.

Grimme et al., J. Chem. Phys. 132, 154104 (2010); J. Comput. Chem. 32, 1456 (2011) for Becke and Johnson's
damping; Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019).
"""

from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from prerelax.engines.failures import EngineError
from prerelax.engines.pyscf.names import dispersion_functional, functional_proper
from prerelax.errors import nearest

VERSIONS = ("d3bj", "d3zero", "d3bjm", "d3zerom", "d3op", "d4")


def check_version(version: str) -> None:
    """Raise ValueError where no correction has this name."""
    if version.lower() not in VERSIONS:
        raise ValueError(f"unknown dispersion '{version}'{nearest(version, VERSIONS)}")


def check_parameters(method: str, version: str) -> None:
    """Raise ValueError where there are no parameters of this correction for the functional.

    So for wB97X: its name stands for other functionals in the lists of D3(BJ) and D4.
    """
    whole = f"{method}-{version}"
    meant = functional_proper(whole)
    if meant.lower() != method.lower() and functional_proper(method).lower() != meant.lower():
        raise ValueError(
            f"the {version} parameters of {method} belong to another functional ({meant}); write method: "
            f"{method}-{version.upper()} without dispersion, which takes both"
        )
    hydrogen = _molecule(np.array([1, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.4]]), 0)
    try:
        _model(hydrogen, method, version)
    except RuntimeError as error:
        meant_b97d = "; that of other programs is B97D-D3BJ here" if method.lower() == "b97" else ""
        raise ValueError(f"there are no {version} parameters for {method}: {error}{meant_b97d}") from error


def dispersion(
    numbers: NDArray[np.integer], positions_bohr: NDArray[np.float64], charge: int, method: str, version: str
) -> tuple[float, NDArray[np.float64]]:
    """Energy in Eh and gradient [n_atoms, 3] in Eh/bohr.

    As in PySCF, D4 has its three-body term and D3 none. Raises EngineError(unsupported_element).
    """
    try:
        result = _model(_molecule(numbers, positions_bohr, charge), method, version).get_dispersion(grad=True)
    except RuntimeError as error:
        raise EngineError("unsupported_element", f"{version}: {error}") from error
    return float(result["energy"]), np.array(result["gradient"], dtype=float)


def _molecule(numbers: NDArray[np.integer], positions_bohr: NDArray[np.float64], charge: int) -> Any:
    from pyscf import gto

    symbols = [chemical_symbols[z] for z in numbers]
    electrons = int(np.sum(numbers)) - charge
    return gto.M(
        atom=list(zip(symbols, positions_bohr.tolist(), strict=True)),
        unit="Bohr",
        charge=charge,
        spin=electrons % 2,
        basis={symbol: [[0, [1.0, 1.0]]] for symbol in symbols},  # a molecule of PySCF must have functions
        verbose=0,
    )


def _model(mol: Any, method: str, version: str) -> Any:
    from pyscf.dispersion import dftd3, dftd4

    functional = dispersion_functional(method)
    if version.lower() == "d4":
        return dftd4.DFTD4Dispersion(mol, xc=functional)
    return dftd3.DFTD3Dispersion(mol, xc=functional, version=version.lower())
