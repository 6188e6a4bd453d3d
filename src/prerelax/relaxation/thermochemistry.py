"""Enthalpy and free energy of an ideal gas from harmonic frequencies, by ASE.

Rigid rotor and harmonic oscillator (Cramer, Essentials of Computational Chemistry, 2nd ed., chapter 10).
"""

import numpy as np
from ase import Atoms, units
from ase.thermochemistry import IdealGasThermo
from numpy.typing import NDArray

from prerelax.relaxation.preconditioned import internal_space

TEMPERATURE_K = 298.15
PRESSURE_PA = 101325.0


def thermochemistry(
    frequencies_cm: NDArray[np.float64], atoms: Atoms, energy_ev: float, multiplicity: int
) -> dict[str, float] | None:
    """Zero-point energy and, at 298.15 K and 1 atm, enthalpy and Gibbs energy in eV; None at a saddle point.

    `frequencies_cm` [n] without rigid motions, `energy_ev` the electronic energy. The rotational symmetry
    number is taken to be 1: for one of s, add kT ln s to the Gibbs energy.
    """
    if np.any(frequencies_cm <= 0):
        return None
    rank = internal_space(atoms.positions).shape[1]
    shape = "monatomic" if len(atoms) == 1 else "linear" if rank == 3 * len(atoms) - 5 else "nonlinear"
    gas = IdealGasThermo(
        frequencies_cm * units.invcm,
        shape,
        potentialenergy=energy_ev,
        atoms=atoms,
        symmetrynumber=1,
        spin=(multiplicity - 1) / 2,
    )
    return {
        "zero_point_ev": float(gas.get_ZPE_correction()),
        "enthalpy_298_ev": float(gas.get_enthalpy(TEMPERATURE_K, verbose=False)),
        "gibbs_298_ev": float(gas.get_gibbs_energy(TEMPERATURE_K, PRESSURE_PA, verbose=False)),
    }
