"""What stays as it is while a molecule is relaxed: atoms, distances, angles, torsions.

Written as `atoms 1 2 3; distance 1 4; angle 1 2 3; dihedral 1 2 3 4; rotatable`, atoms counted from 1 in the
order of the input. Each keeps the value that the first geometry has.
"""

from dataclasses import dataclass
from functools import cached_property

import ase.geometry
import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixConstraint, FixInternals
from numpy.typing import NDArray
from rdkit import Chem

from prerelax.molecules.constraint_words import ATOMS, COORDINATES, ROTATABLE, parts_of
from prerelax.molecules.superposition import superimposed

Geometry = NDArray[np.float64]
"""[n_atoms, 3] Å"""

_METHYL = Chem.MolFromSmarts("[CX4H3,CX4$(C(F)(F)F)]")
_ROUNDS = 50
_EXACT = 1e-7
"""Å and degrees"""
_LINEAR = 175.0
"""Degrees; geomeTRIC refuses a torsion over a wider angle, whose value is next to arbitrary."""


@dataclass(frozen=True)
class Constraints:
    """Constraints of one molecule; atoms are counted from 0."""

    atoms: tuple[int, ...] = ()
    coordinates: tuple[tuple[int, ...], ...] = ()
    """of two, three or four atoms: distance, angle, torsion"""

    @classmethod
    def read(cls, text: str, mol: Chem.Mol | None = None, n_atoms: int | None = None) -> "Constraints":
        """The constraints in words. Raises ValueError, as a sentence, for words or atoms that do not exist.

        `rotatable` needs the molecule `mol`: all torsions around single bonds outside rings.
        """
        n = mol.GetNumAtoms() if mol is not None else n_atoms
        atoms: list[int] = []
        coordinates: list[tuple[int, ...]] = []
        for part, word, places in parts_of(text):
            if word == ROTATABLE:
                if mol is None:
                    raise ValueError(f"constraint {part!r}: the bonds are not known")
                coordinates += rotatable_torsions(mol)
                continue
            if n is not None and max(places) >= n:
                raise ValueError(f"constraint {part!r}: the molecule has {n} atoms")
            if word == ATOMS:
                atoms += places
            else:
                coordinates.append(tuple(places))
        return cls(tuple(dict.fromkeys(atoms)), tuple(dict.fromkeys(coordinates)))

    def __bool__(self) -> bool:
        return bool(self.atoms or self.coordinates)

    def __str__(self) -> str:
        names = {count: word for word, count in COORDINATES.items()}
        parts = [("atoms", self.atoms)] if self.atoms else []
        parts += [(names[len(each)], each) for each in self.coordinates]
        return "; ".join(" ".join([word, *(str(place + 1) for place in places)]) for word, places in parts)

    def values(self, positions: Geometry) -> Geometry:
        """[n_coordinates] Å and degrees at a geometry."""
        return np.array([_value(positions[list(each)]) for each in self.coordinates])

    def without_value(self, positions: Geometry) -> str:
        """A sentence about the first torsion that three atoms in a line leave without a value, or nothing."""
        for each in self.coordinates:
            for three in (each[:3], each[1:]) if len(each) == 4 else ():
                if not 180.0 - _LINEAR < _value(positions[list(three)]) < _LINEAR:
                    torsion, line = (" ".join(str(place + 1) for place in some) for some in (each, three))
                    return f"constraint 'dihedral {torsion}': atoms {line} lie in a line, so it has no value"
        return ""

    def off(self, positions: Geometry, values: Geometry) -> Geometry:
        """[n_coordinates] by how much a geometry differs from `values`; torsions the short way round."""
        change = self.values(positions) - values
        turns = np.array([len(each) == 4 for each in self.coordinates], dtype=bool)
        return np.where(turns, (change + 180.0) % 360.0 - 180.0, change)

    def imposed(self, positions: Geometry, reference: Geometry) -> Geometry:
        """`positions` moved as little as it takes to have the atoms and coordinates of `reference`.

        Raises ValueError where there is no such geometry near by.
        """
        found = np.array(positions, dtype=float)
        held = list(self.atoms)
        if held:
            found += reference[held].mean(axis=0) - found[held].mean(axis=0)
            if len(held) > 2:  # fewer do not say how it is turned
                found = superimposed(found, reference, held)
            found[held] = reference[held]
        if not self.coordinates:
            return found
        values = self.values(reference)
        free = np.setdiff1d(np.arange(len(found)), held)
        for _ in range(_ROUNDS):
            off = self.off(found, values)
            if np.abs(off).max() < _EXACT:
                return found
            rows = np.array([_derivative(found, each) for each in self.coordinates])[:, free]
            step = np.linalg.lstsq(rows.reshape(len(off), -1), -off, rcond=1e-10)[0]
            found[free] += step.reshape(-1, 3)
        raise ValueError(f"the constraints ({self}) cannot be brought back; they may contradict each other")

    def of_ase(self, positions: Geometry) -> list[FixConstraint]:
        """As ASE's constraints, which hold what `positions` have."""
        by_size: dict[int, list[list[object]]] = {2: [], 3: [], 4: []}
        for value, each in zip(self.values(positions).tolist(), self.coordinates, strict=True):
            by_size[len(each)].append([value, list(each)])
        made: list[FixConstraint] = [FixAtoms(indices=list(self.atoms))] if self.atoms else []
        if self.coordinates:
            made.append(FixInternals(bonds=by_size[2], angles_deg=by_size[3], dihedrals_deg=by_size[4]))
        return made

    @cached_property
    def of_geometric(self) -> str:
        """As geomeTRIC's constraint file."""
        names = {count: word for word, count in COORDINATES.items()}
        lines = [f"xyz {','.join(str(place + 1) for place in self.atoms)}"] if self.atoms else []
        lines += [" ".join([names[len(each)], *(str(p + 1) for p in each)]) for each in self.coordinates]
        return "\n".join(["$freeze", *lines]) + "\n"


def _value(points: Geometry) -> float:
    molecule = Atoms("H" * len(points), points)
    match len(points):
        case 2:
            return float(molecule.get_distance(0, 1))
        case 3:
            return float(molecule.get_angle(0, 1, 2))
        case _:
            return float(molecule.get_dihedral(0, 1, 2, 3))


def _derivative(positions: Geometry, atoms: tuple[int, ...]) -> Geometry:
    """[n_atoms, 3] of an internal coordinate, in degrees or 1 per Å."""
    points = positions[list(atoms)]
    row = np.zeros_like(positions)
    match len(atoms):
        case 2:
            local = ase.geometry.get_distances_derivatives([points[1] - points[0]])
        case 3:
            local = ase.geometry.get_angles_derivatives([points[0] - points[1]], [points[2] - points[1]])
        case _:
            bonds = np.diff(points, axis=0)
            local = ase.geometry.get_dihedrals_derivatives(*([bond] for bond in bonds))
    row[list(atoms)] = local[0]
    return row


def rotatable_torsions(mol: Chem.Mol) -> list[tuple[int, int, int, int]]:
    """A torsion i-j-k-l for every single bond j-k outside rings that has other atoms to turn at both ends.

    Bonds of methyl and trifluoromethyl groups are left out, those of hydroxyl and amino groups are in.
    """
    symmetric = {match[0] for match in mol.GetSubstructMatches(_METHYL)}
    torsions = []
    for bond in mol.GetBonds():
        ends = (bond.GetBeginAtom(), bond.GetEndAtom())
        if bond.GetBondType() != Chem.BondType.SINGLE or bond.IsInRing():
            continue
        if symmetric & {atom.GetIdx() for atom in ends} or any(map(_is_linear, ends)):
            continue
        (j, first), (k, last) = (
            (atom.GetIdx(), [n.GetIdx() for n in atom.GetNeighbors() if n.GetIdx() != other.GetIdx()])
            for atom, other in (ends, ends[::-1])
        )
        if first and last:
            torsions.append((first[0], j, k, last[0]))
    return torsions


def _is_linear(atom: Chem.Atom) -> bool:
    return bool(atom.GetHybridization() == Chem.HybridizationType.SP)
