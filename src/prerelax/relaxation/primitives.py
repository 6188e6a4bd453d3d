"""The internal coordinates of one molecule that a difference between two levels is written in.

Stretches, bends and torsions over the bonds of the first geometry, and the distances of atoms that are close
but far apart along the bonds: contacts and hydrogen bonds. A straight bend is known by its cosine: the energy
is a smooth function of that, and none of the angle, for all ways of bending begin at 180°. Which way it bends
is told by the angles that the atom beyond it makes with the neighbours of the atom before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.relaxation.internal_coordinates import (
    bend_derivative,
    cosine_derivative,
    stretch_derivative,
    torsion_derivative,
)

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Places = NDArray[np.int64]
Bend = tuple[int, int, int]

STRETCH, BEND, TORSION, CONTACT, STRAIGHT, ACROSS = range(6)
WORDS = {
    STRETCH: "stretch",
    BEND: "bend",
    TORSION: "torsion",
    STRAIGHT: "straight",
    ACROSS: "across",
    CONTACT: "contact",
}
LINEAR_COSINE = -0.985
BENT_COSINE = -0.94
"""A bend is straight beyond 170°, and bent again below 160°."""
CONTACT_ANG = 4.5
CONTACT_BONDS = 4
"""Atoms closer than CONTACT_ANG and at least so many bonds apart, or in other molecules, are a contact."""
NEW_CONTACT_ANG = 3.5
"""So close, atoms that were no contact make it worth while to look for contacts again."""

DERIVATIVES: dict[int, Callable[..., Matrix]] = {
    STRETCH: stretch_derivative,
    BEND: bend_derivative,
    TORSION: torsion_derivative,
    STRAIGHT: cosine_derivative,
    ACROSS: bend_derivative,
    CONTACT: stretch_derivative,
}


@dataclass(frozen=True)
class Primitives:
    """Which atoms make which coordinate: over the bonds of the first geometry, with contacts found later."""

    n_atoms: int
    atoms: dict[int, Places]
    """by kind, [n, 2], [n, 3] or [n, 4] atoms of each coordinate"""
    kinds: Places
    """[n_coordinates] kinds, in the order of the values"""
    shared: Vector
    """[n_coordinates] how many torsions turn about the same bond; 1 for the others"""
    names: tuple[str, ...]
    """[n_coordinates] by element and number of neighbours of the atoms, in the order that comes first in the
    alphabet: `stretch C4-H1`; `contact` alone"""
    types: Places
    """[n_coordinates] the same number for coordinates of the same name; contacts have a number each"""

    def values(self, x: Vector) -> Vector:
        """[n_coordinates] Å and rad, cosines of straight bends, at the positions `x` [3 n_atoms] in Å."""
        p = x.reshape(-1, 3)
        parts = [VALUES[kind](*(p[of] for of in atoms.T)) for kind, atoms in self.atoms.items()]
        return np.concatenate(parts)

    def derivatives(self, x: Vector) -> Matrix:
        """[n_coordinates, 3 n_atoms] Wilson's B matrix."""
        p = x.reshape(-1, 3)
        parts = []
        for kind, atoms in self.atoms.items():
            rows = np.zeros((len(atoms), self.n_atoms, 3))
            if len(atoms):
                by_atom = DERIVATIVES[kind](*(p[atoms[:, i]] for i in range(atoms.shape[1])))
                for place in range(atoms.shape[1]):
                    rows[np.arange(len(atoms)), atoms[:, place]] += by_atom[:, place]
            parts.append(rows.reshape(len(atoms), 3 * self.n_atoms))
        return np.vstack(parts)

    def with_new_contacts(self, numbers: NDArray[np.integer], x: Vector) -> "Primitives | None":
        """With the contacts that the positions `x` [3 n_atoms] Å have beside; None where none is close."""
        known = {tuple(pair) for pair in self.atoms[CONTACT].tolist()}
        bonded = np.zeros((self.n_atoms,) * 2, dtype=bool)
        bonded[tuple(self.atoms[STRETCH].T)] = True
        bonded |= bonded.T
        contacts = _contacts(bonded, x.reshape(-1, 3))
        new = _places([pair for pair in contacts if pair not in known], 2)
        p = x.reshape(-1, 3)
        apart = np.linalg.norm(p[new[:, 0]] - p[new[:, 1]], axis=1)
        if not np.any(apart < NEW_CONTACT_ANG):
            return None
        return _of_atoms(numbers, {**self.atoms, CONTACT: np.vstack([self.atoms[CONTACT], new])})

    def with_bends_of(self, numbers: NDArray[np.integer], x: Vector) -> "Primitives | None":
        """With cosines for the bends that are straight at `x` [3 n_atoms] Å, and angles for the others.

        None where none has changed. Torsions about a straight bend mean nothing: they go and come with it.
        """
        positions = x.reshape(-1, 3)
        known = {tuple(bend) for bend in self.atoms[STRAIGHT].tolist()}
        straight = {
            bend
            for bend in _bends_over(self.atoms[STRETCH], self.n_atoms)
            if _cosine(positions, *bend) < (BENT_COSINE if bend in known else LINEAR_COSINE)
        }
        if straight == known:
            return None
        return _over_bonds(numbers, positions, self.atoms[STRETCH], straight, self.atoms[CONTACT])

    def is_regular_at(self, x: Vector) -> bool:
        """Whether no bend is straight at `x` [3 n_atoms] Å, where angles and torsions have no derivative."""
        bends = np.vstack([self.atoms[BEND], self.atoms[ACROSS]])
        return not np.any(_cosines(*(x.reshape(-1, 3)[of] for of in bends.T)) < LINEAR_COSINE)

    def change(self, values: Vector, reference: Vector) -> Vector:
        """`values` minus `reference`, torsions the shorter way round."""
        change = values - reference
        turned = self.kinds == TORSION
        change[turned] = (change[turned] + np.pi) % (2 * np.pi) - np.pi
        return change


def primitives(numbers: NDArray[np.integer], positions: Matrix) -> Primitives:
    """The coordinates of a geometry: `numbers` [n_atoms], `positions` [n_atoms, 3] Å."""
    bonded = bonds_from_geometry(numbers, positions)
    bonds = _places(np.argwhere(np.triu(bonded)).tolist(), 2)
    straight = {
        bend for bend in _bends_over(bonds, len(numbers)) if _cosine(positions, *bend) < LINEAR_COSINE
    }
    return _over_bonds(numbers, positions, bonds, straight, _places(_contacts(bonded, positions), 2))


def _over_bonds(
    numbers: NDArray[np.integer], positions: Matrix, bonds: Places, straight: set[Bend], contacts: Places
) -> Primitives:
    """All coordinates over `bonds` [n, 2], with the bends that are straight."""
    near = _neighbours(bonds, len(numbers))

    def bent(i: int, j: int, k: int) -> bool:
        return (i, j, k) not in straight and (k, j, i) not in straight

    torsions = [
        (i, j, k, last)
        for j, k in bonds.tolist()
        for i in near[j]
        for last in near[k]
        if i != k and last != j and i != last and bent(i, j, k) and bent(j, k, last)
    ]
    bends = [bend for bend in _bends_over(bonds, len(numbers)) if bend not in straight]
    atoms = {
        STRETCH: bonds,
        BEND: _places(bends, 3),
        TORSION: _places(torsions, 4),
        STRAIGHT: _places(sorted(straight), 3),
        ACROSS: _places(_across(near, positions, straight), 3),
        CONTACT: contacts,
    }
    return _of_atoms(numbers, atoms)


def _across(near: list[list[int]], positions: Matrix, straight: set[Bend]) -> list[Bend]:
    """Which way a line bends: the angle of a neighbour of its first atom, that atom, and a farther one."""
    both = straight | {bend[::-1] for bend in straight}
    on_line = {(j, k): i for i, j, k in both}
    found = set()
    for i, j, k in both:
        first, second = i, j
        seen = {first}
        while (before := on_line.get((first, second))) is not None and before not in seen:
            first, second = before, first
            seen.add(first)
        for other in near[first]:
            bend = (other, first, k)
            if other not in (second, k) and abs(_cosine(positions, *bend)) < -LINEAR_COSINE:
                found.add(bend)
    return sorted(found)


def _bends_over(bonds: Places, n_atoms: int) -> list[Bend]:
    near = _neighbours(bonds, n_atoms)
    return [(i, j, k) for j in range(n_atoms) for i, k in combinations(near[j], 2)]


def _neighbours(bonds: Places, n_atoms: int) -> list[list[int]]:
    """[n_atoms] the atoms bonded to each, in ascending order."""
    near: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in bonds.tolist():
        near[i].append(j)
        near[j].append(i)
    return [sorted(each) for each in near]


def _of_atoms(numbers: NDArray[np.integer], atoms: dict[int, Places]) -> Primitives:
    """The coordinates of these atoms, by kind."""
    kinds = np.repeat(list(atoms), [len(places) for places in atoms.values()])
    shared = np.ones(len(kinds))
    axes = [tuple(axis) for axis in atoms[TORSION][:, 1:3].tolist()]
    shared[kinds == TORSION] = [axes.count(axis) for axis in axes]
    neighbours = np.bincount(atoms[STRETCH].ravel(), minlength=len(numbers))
    names = _names(numbers, neighbours, atoms)
    return Primitives(len(numbers), atoms, kinds, shared, names, _types(names))


def _places(rows: Sequence[Sequence[int]], size: int) -> Places:
    return np.array(rows, dtype=np.int64).reshape(-1, size)


def _contacts(bonded: NDArray[np.bool_], positions: Matrix) -> list[tuple[int, int]]:
    far = topological_distances(bonded)
    apart = np.linalg.norm(positions[:, None] - positions, axis=-1)
    return [
        (i, j)
        for i, j in combinations(range(len(positions)), 2)
        if (far[i, j] == 0 or far[i, j] >= CONTACT_BONDS) and apart[i, j] < CONTACT_ANG
    ]


def _names(
    numbers: NDArray[np.integer], neighbours: NDArray[np.integer], atoms: dict[int, Places]
) -> tuple[str, ...]:
    labels = [f"{chemical_symbols[z]}{n}" for z, n in zip(numbers, neighbours, strict=True)]
    names: list[str] = []
    for kind, places in atoms.items():
        for row in places.tolist():
            word = [labels[atom] for atom in row]
            known = kind != CONTACT
            names.append(f"{WORDS[kind]} {'-'.join(min(word, word[::-1]))}" if known else WORDS[kind])
    return tuple(names)


def _types(names: tuple[str, ...]) -> Places:
    known: dict[object, int] = {}
    unlike = (place if name == WORDS[CONTACT] else name for place, name in enumerate(names))
    return np.array([known.setdefault(each, len(known)) for each in unlike], dtype=np.int64)


def _cosine(positions: Matrix, i: int, j: int, k: int) -> float:
    u, v = positions[i] - positions[j], positions[k] - positions[j]
    return float(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))


def _distances(a: Matrix, b: Matrix) -> Vector:
    distances: Vector = np.linalg.norm(a - b, axis=1)
    return distances


def _cosines(a: Matrix, b: Matrix, c: Matrix) -> Vector:
    u, v = a - b, c - b
    cosines: Vector = np.sum(u * v, axis=-1) / (np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1))
    return cosines


def _bends(a: Matrix, b: Matrix, c: Matrix) -> Vector:
    angles: Vector = np.arccos(np.clip(_cosines(a, b, c), -1.0, 1.0))
    return angles


def _torsions(a: Matrix, b: Matrix, c: Matrix, d: Matrix) -> Vector:
    """Signed as `torsion_derivative`: Blondel and Karplus, J. Comput. Chem. 1996, 17, 1132."""
    f, g, h = a - b, b - c, d - c
    m, n = np.cross(f, g), np.cross(h, g)
    sines = np.sum(np.cross(n, m) * g, axis=-1) / np.linalg.norm(g, axis=-1)
    angles: Vector = np.arctan2(sines, np.sum(m * n, axis=-1))
    return angles


VALUES: dict[int, Callable[..., Vector]] = {
    STRETCH: _distances,
    BEND: _bends,
    TORSION: _torsions,
    STRAIGHT: _cosines,
    ACROSS: _bends,
    CONTACT: _distances,
}
