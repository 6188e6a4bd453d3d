"""Tells which geometries of a molecule are the same conformer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import units
from rdkit import Chem

from prerelax.molecules.superposition import symmetric_rmsd
from prerelax.starts.conformers.replica_exchange import Geometry

SAME_ENERGY_EV = 0.15 * units.kcal / units.mol
"""Minima converged to 0.03 eV/Å scatter by up to 0.14 kcal/mol (90th percentile, GFN2-xTB)."""
SAME_RMSD_ANG = 0.25
SAME_ROUGH_RMSD_ANG = 0.2
"""For geometries that are not minimised and cannot be told apart by energy. Turning over a hydroxyl group
gives 0.3 Å in a molecule of thirty heavy atoms."""


@dataclass(frozen=True)
class Skeleton:
    """The atoms of a molecule that are compared: heavy atoms, and hydrogens that are not on carbon.

    Atoms are equivalent by element, hydrogens and bonded neighbours; bond orders and formal charges, which
    tell the oxygens of a nitro group or a carboxylate apart, do not count.
    """

    mol: Chem.Mol
    atoms: tuple[int, ...]

    @classmethod
    def of(cls, mol: Chem.Mol) -> "Skeleton":
        left_out = [
            atom.GetIdx()
            for atom in mol.GetAtoms()
            if atom.GetAtomicNum() == 1 and [n.GetAtomicNum() for n in atom.GetNeighbors()] == [6]
        ]
        reduced = Chem.RWMol(mol)
        for atom in reduced.GetAtoms():
            neighbours = [neighbour.GetIdx() for neighbour in atom.GetNeighbors()]
            atom.SetIsotope(1 + sum(index in left_out for index in neighbours))
            atom.SetFormalCharge(0)
            atom.SetIsAromatic(False)
        for bond in reduced.GetBonds():
            bond.SetBondType(Chem.BondType.SINGLE)
            bond.SetIsAromatic(False)
        for index in reversed(left_out):
            reduced.RemoveAtom(index)
        kept = tuple(i for i in range(mol.GetNumAtoms()) if i not in set(left_out))
        return cls(reduced.GetMol(), kept)

    def rmsd_ang(self, a: Geometry, b: Geometry) -> float:
        """Symmetry-aware; mirror images are different."""
        kept = list(self.atoms)
        return symmetric_rmsd(self.mol, a[kept], b[kept]) if kept else 0.0


def distinct(
    skeleton: Skeleton,
    geometries: Sequence[Geometry],
    energies_ev: Sequence[float],
    most: int | None = None,
    same_energy_ev: float = SAME_ENERGY_EV,
    same_rmsd_ang: float = SAME_RMSD_ANG,
) -> list[int]:
    """Indices of one geometry for each conformer, by ascending energy, the first `most`.

    Two geometries are one conformer if their energies and their symmetry-aware RMSD both differ by less than
    the limits; the one of lower energy is kept.
    """
    kept: list[int] = []
    for index in np.argsort(energies_ev, kind="stable").tolist():
        if len(kept) == most:
            break
        near = (k for k in kept if energies_ev[index] - energies_ev[k] < same_energy_ev)
        if all(skeleton.rmsd_ang(geometries[index], geometries[k]) >= same_rmsd_ang for k in near):
            kept.append(index)
    return kept
