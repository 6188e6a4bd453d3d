"""The internal coordinates of one molecule that a difference between two levels is written in.

Stretches, bends and torsions over the bonds of the first geometry, and the distances of atoms that are close
but far apart along the bonds: contacts and hydrogen bonds. A linear bend has no derivative and is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.relaxation.internal_coordinates import (
    bend_derivative,
    stretch_derivative,
    torsion_derivative,
)

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Places = NDArray[np.int64]

STRETCH, BEND, TORSION, CONTACT = range(4)
WORDS = {STRETCH: "stretch", BEND: "bend", TORSION: "torsion", CONTACT: "contact"}
LINEAR_COSINE = -0.985
CONTACT_ANG = 4.5
CONTACT_BONDS = 4
"""Atoms closer than CONTACT_ANG and at least so many bonds apart, or in other molecules, are a contact."""
NEW_CONTACT_ANG = 3.5
"""So close, atoms that were no contact make it worth while to look for contacts again."""

DERIVATIVES: dict[int, Callable[..., Matrix]] = {
    STRETCH: stretch_derivative,
    BEND: bend_derivative,
    TORSION: torsion_derivative,
    CONTACT: stretch_derivative,
}


@dataclass(frozen=True)
class Primitives:
    """Which atoms make which coordinate: as the first geometry has them, and contacts found later."""

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
        """[n_coordinates] Å and rad at the positions `x` [3 n_atoms] in Å."""
        p = x.reshape(-1, 3)
        a, b, c, d = self.atoms[STRETCH], self.atoms[BEND], self.atoms[TORSION], self.atoms[CONTACT]
        return np.concatenate(
            [
                np.linalg.norm(p[a[:, 0]] - p[a[:, 1]], axis=1),
                _bends(*(p[b[:, i]] for i in range(3))),
                _torsions(*(p[c[:, i]] for i in range(4))),
                np.linalg.norm(p[d[:, 0]] - p[d[:, 1]], axis=1),
            ]
        )

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
        new = np.array([pair for pair in contacts if pair not in known], dtype=np.int64).reshape(-1, 2)
        p = x.reshape(-1, 3)
        apart = np.linalg.norm(p[new[:, 0]] - p[new[:, 1]], axis=1)
        if not np.any(apart < NEW_CONTACT_ANG):
            return None
        n = len(new)
        names = (*self.names, *[WORDS[CONTACT]] * n)
        return Primitives(
            self.n_atoms,
            {**self.atoms, CONTACT: np.vstack([self.atoms[CONTACT], new])},
            np.append(self.kinds, np.full(n, CONTACT)),
            np.append(self.shared, np.ones(n)),
            names,
            _types(names),
        )

    def change(self, values: Vector, reference: Vector) -> Vector:
        """`values` minus `reference`, torsions the shorter way round."""
        change = values - reference
        turned = self.kinds == TORSION
        change[turned] = (change[turned] + np.pi) % (2 * np.pi) - np.pi
        return change


def primitives(numbers: NDArray[np.integer], positions: Matrix) -> Primitives:
    """The coordinates of a geometry: `numbers` [n_atoms], `positions` [n_atoms, 3] Å."""
    bonded = bonds_from_geometry(numbers, positions)
    near = [np.flatnonzero(row).tolist() for row in bonded]
    n = len(numbers)
    pairs = [(i, j) for i in range(n) for j in near[i] if i < j]
    bends = [(i, j, k) for j in range(n) for i, k in combinations(near[j], 2)]
    straight = {bend for bend in bends if _cosine(positions, *bend) < LINEAR_COSINE}

    def bent(i: int, j: int, k: int) -> bool:
        return (i, j, k) not in straight and (k, j, i) not in straight

    torsions = [
        (i, j, k, last)
        for j, k in pairs
        for i in near[j]
        for last in near[k]
        if i != k and last != j and i != last and bent(i, j, k) and bent(j, k, last)
    ]
    contacts = _contacts(bonded, positions)
    atoms = {
        STRETCH: np.array(pairs, dtype=np.int64).reshape(-1, 2),
        BEND: np.array([b for b in bends if b not in straight], dtype=np.int64).reshape(-1, 3),
        TORSION: np.array(torsions, dtype=np.int64).reshape(-1, 4),
        CONTACT: np.array(contacts, dtype=np.int64).reshape(-1, 2),
    }
    kinds = np.repeat(list(atoms), [len(places) for places in atoms.values()])
    shared = np.ones(len(kinds))
    axes = [torsion[1:3] for torsion in torsions]
    shared[kinds == TORSION] = [axes.count(axis) for axis in axes]
    names = _names(numbers, bonded.sum(axis=1), atoms)
    return Primitives(n, atoms, kinds, shared, names, _types(names))


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


def _bends(a: Matrix, b: Matrix, c: Matrix) -> Vector:
    u, v = a - b, c - b
    cosines = np.sum(u * v, axis=-1) / (np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1))
    angles: Vector = np.arccos(np.clip(cosines, -1.0, 1.0))
    return angles


def _torsions(a: Matrix, b: Matrix, c: Matrix, d: Matrix) -> Vector:
    """Signed as `torsion_derivative`: Blondel and Karplus, J. Comput. Chem. 1996, 17, 1132."""
    f, g, h = a - b, b - c, d - c
    m, n = np.cross(f, g), np.cross(h, g)
    sines = np.sum(np.cross(n, m) * g, axis=-1) / np.linalg.norm(g, axis=-1)
    angles: Vector = np.arctan2(sines, np.sum(m * n, axis=-1))
    return angles
