"""Enthalpy and free energy of an ideal gas from harmonic frequencies, by ASE.

Rigid rotor and harmonic oscillator (Cramer, Essentials of Computational Chemistry, 2nd ed., chapter 10).
"""

import numpy as np
from ase import Atoms, units
from ase.thermochemistry import IdealGasThermo
from numpy.typing import NDArray

from prerelax.molecules.superposition import rmsd
from prerelax.relaxation.preconditioned import internal_space

TEMPERATURE_K = 298.15
PRESSURE_PA = 101325.0
SYMMETRIC_ANG = 0.05
"""RMSD of a geometry from its rotated self below which a rotation is a symmetry; relaxed ones are nearer."""
_NEAR_ANG = 0.3
"""Atoms so near to one another after a rotation may be the same."""


def thermochemistry(
    frequencies_cm: NDArray[np.float64], atoms: Atoms, energy_ev: float, multiplicity: int
) -> dict[str, float] | None:
    """Zero-point energy and, at 298.15 K and 1 atm, enthalpy and Gibbs energy in eV; None at a saddle point.

    `frequencies_cm` [n] without rigid motions, `energy_ev` the electronic energy. The rotational symmetry
    number is that of the geometry, and is given as `symmetry_number`.
    """
    if np.any(frequencies_cm <= 0):
        return None
    rank = internal_space(atoms.positions).shape[1]
    shape = "monatomic" if len(atoms) == 1 else "linear" if rank == 3 * len(atoms) - 5 else "nonlinear"
    sigma = symmetry_number(atoms.numbers, atoms.positions)
    gas = IdealGasThermo(
        frequencies_cm * units.invcm,
        shape,
        potentialenergy=energy_ev,
        atoms=atoms,
        symmetrynumber=sigma,
        spin=(multiplicity - 1) / 2,
    )
    return {
        "symmetry_number": sigma,
        "zero_point_ev": float(gas.get_ZPE_correction()),
        "enthalpy_298_ev": float(gas.get_enthalpy(TEMPERATURE_K, verbose=False)),
        "gibbs_298_ev": float(gas.get_gibbs_energy(TEMPERATURE_K, PRESSURE_PA, verbose=False)),
    }


def symmetry_number(numbers: NDArray[np.integer], positions: NDArray[np.float64]) -> int:
    """Rotations that bring a rigid geometry [n_atoms, 3] Å onto itself, the identity included.

    Each takes two atoms, in no line with the centre, to two like them, which say which rotation it is.
    """
    x = positions - positions.mean(axis=0)
    if len(x) == 1:
        return 1
    if internal_space(positions).shape[1] == 3 * len(x) - 5:
        return 2 if _is_itself(numbers, x, -x) else 1
    radii = np.linalg.norm(x, axis=1)
    like = [
        np.flatnonzero((numbers == z) & (abs(radii - r) < _NEAR_ANG))
        for z, r in zip(numbers, radii, strict=True)
    ]

    def rarest(places: NDArray[np.intp]) -> int:
        return int(min(places.tolist(), key=lambda place: len(like[place])))

    first = rarest(np.flatnonzero(radii > _NEAR_ANG))
    from_line = np.linalg.norm(np.cross(x, x[first]), axis=1) / radii[first]
    second = rarest(np.flatnonzero(from_line > from_line.max() / 2))
    own = _axes(x[first], x[second])
    apart = np.linalg.norm(x[first] - x[second])
    images = [
        own @ _axes(x[a], x[b]).T
        for a in like[first].tolist()
        for b in like[second].tolist()
        if a != b and abs(np.linalg.norm(x[a] - x[b]) - apart) < _NEAR_ANG
    ]
    return max(sum(_is_itself(numbers, x, x @ rotation) for rotation in images), 1)


def _axes(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """[3, 3] orthonormal columns: along `a`, in the plane of `a` and `b`, across it."""
    axes: NDArray[np.float64] = np.linalg.qr(np.array([a, b, np.cross(a, b)]).T)[0]
    return axes * np.sign([axes[:, 0] @ a, axes[:, 1] @ b, axes[:, 2] @ np.cross(a, b)])


def _is_itself(numbers: NDArray[np.integer], x: NDArray[np.float64], turned: NDArray[np.float64]) -> bool:
    distances = np.linalg.norm(turned[:, None] - x, axis=-1)
    distances[numbers[:, None] != numbers] = np.inf
    image = np.argmin(distances, axis=1)
    is_near = distances[np.arange(len(x)), image].max() < _NEAR_ANG and len(set(image.tolist())) == len(x)
    return bool(is_near) and rmsd(x, x[image]) < SYMMETRIC_ANG
