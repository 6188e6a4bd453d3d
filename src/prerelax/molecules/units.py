"""Coordinates that were taken for Å and are not: what gives them away, in a sentence."""

import numpy as np
from ase.units import Bohr
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from prerelax.molecules.topology import BOND_TOLERANCE, COVALENT_RADII_ANG

LONGEST_BOND = 1.5
"""of a row's own bonds, in multiples of the covalent radii's sum; the protons of zwitterions move further"""
SHORTEST_BOND = 0.75
"""of any molecule, in the same multiples: that of N2 is 0.77"""
_UNITS_ANG = {"bohr": Bohr, "nanometres": 10.0, "picometres": 0.01}


def contradicted_bonds(
    bonded: NDArray[np.bool_], numbers: NDArray[np.integer], positions: NDArray[np.floating]
) -> str:
    """Why a geometry cannot have the bonds [n_atoms, n_atoms] of its own row; empty where it may.

    `positions` [n_atoms, 3] Å.
    """
    i, j = np.nonzero(np.triu(bonded))
    if not len(i):
        return ""
    radii = COVALENT_RADII_ANG[numbers]
    ratios = np.linalg.norm(positions[i] - positions[j], axis=1) / (radii[i] + radii[j])
    is_heavy = (numbers[i] > 1) & (numbers[j] > 1)
    worst = int(np.argmax(ratios * (1 + is_heavy)))
    if ratios[worst] <= LONGEST_BOND:
        return ""
    a, b = int(i[worst]), int(j[worst])
    length = float(np.linalg.norm(positions[a] - positions[b]))
    problem = f"the bond between its atoms {a + 1} and {b + 1} is {length:.2f} Å long"
    otherwise = f"{problem}; its bonds and its coordinates contradict each other"
    return in_another_unit(numbers, positions, problem) or (otherwise if is_heavy[worst] else "")


def in_another_unit(numbers: NDArray[np.integer], positions: NDArray[np.floating], problem: str) -> str:
    """A sentence that guesses the unit behind a `problem`; empty where no unit makes one molecule of it."""
    for unit, ang in _UNITS_ANG.items():
        if _is_one_molecule(numbers, np.asarray(positions) * ang):
            return f"{problem}: the coordinates seem to be in {unit}; convert them to Å"
    return ""


def _is_one_molecule(numbers: NDArray[np.integer], positions: NDArray[np.floating]) -> bool:
    radii = COVALENT_RADII_ANG[numbers]
    ratios = np.linalg.norm(positions[:, None] - positions[None], axis=-1) / (radii[:, None] + radii[None])
    np.fill_diagonal(ratios, np.inf)
    if len(numbers) < 2 or ratios.min() < SHORTEST_BOND:
        return False
    n_fragments = connected_components(ratios < BOND_TOLERANCE, directed=False)[0]
    return bool(n_fragments == 1)
