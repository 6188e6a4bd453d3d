"""QM7-X (Hoja et al., Scientific Data 2021, 8, 43): geometries with PBE0+MBD energies and forces.

The original keys are read (`atNUM`, `atXYZ`, `ePBE0+MBD`, `totFOR`) as well as the short ones of re-exports
(`z`, `R`, `E`, `F`); molecules shorter than the arrays are padded with atomic number 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.errors import UserError

KEYS = (("atNUM", "atXYZ", "ePBE0+MBD", "totFOR"), ("z", "R", "E", "F"))


@dataclass(frozen=True)
class LabelledStructures:
    """Geometries with energies and forces, one after the other."""

    n_atoms: NDArray[np.int64]
    """[n_structures]"""
    numbers: NDArray[np.uint8]
    """[n_atoms_total] atomic numbers"""
    positions: NDArray[np.float32]
    """[n_atoms_total, 3] Å"""
    energies: NDArray[np.float64]
    """[n_structures] eV"""
    forces: NDArray[np.float32]
    """[n_atoms_total, 3] eV/Å"""

    def __len__(self) -> int:
        return len(self.n_atoms)

    @property
    def graphs(self) -> NDArray[np.int64]:
        """[n_structures] a number that structures of the same molecule share, for splits by molecule.

        Displacements of a molecule keep its atoms in order. Isomers whose atoms happen to stand in the same
        order share a number too, which only makes a split stricter.
        """
        ends = np.cumsum(self.n_atoms)
        atoms = [self.numbers[end - n : end].tobytes() for end, n in zip(ends, self.n_atoms, strict=True)]
        return np.unique(np.array(atoms, dtype=object), return_inverse=True)[1].astype(np.int64)

    def select(self, rows: NDArray[np.integer]) -> LabelledStructures:
        """The structures at `rows`, in that order."""
        first = np.cumsum(self.n_atoms) - self.n_atoms
        counts = self.n_atoms[rows]
        atoms = np.repeat(first[rows] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        return LabelledStructures(
            counts, self.numbers[atoms], self.positions[atoms], self.energies[rows], self.forces[atoms]
        )


def read_qm7x(path: Path) -> LabelledStructures:
    """Read an npz of dense arrays [n_structures, n_atoms, ...], energies eV, forces eV/Å.

    Raises UserError naming the file for missing arrays, shapes that do not fit or numbers not finite.
    """
    with np.load(path, allow_pickle=False) as arrays:
        keys = next((keys for keys in KEYS if all(key in arrays for key in keys)), None)
        if keys is None:
            known = " or ".join(", ".join(names) for names in KEYS)
            raise UserError(f"{path} does not hold the arrays {known}")
        numbers, positions, energies, forces = (np.asarray(arrays[key]) for key in keys)
    shape = (*numbers.shape[:2], 3)
    if (
        numbers.ndim != 2
        or positions.shape != shape
        or forces.shape != shape
        or energies.size != len(numbers)
    ):
        raise UserError(
            f"{path}: the shapes {numbers.shape}, {positions.shape}, {energies.shape}, {forces.shape} of "
            f"{', '.join(keys)} do not fit together"
        )
    real = numbers > 0
    if not all(np.isfinite(a).all() for a in (positions[real], energies, forces[real])):
        raise UserError(f"{path}: coordinates, energies or forces that are not finite")
    return LabelledStructures(
        n_atoms=real.sum(1).astype(np.int64),
        numbers=numbers[real].astype(np.uint8),
        positions=positions[real].astype(np.float32),
        energies=energies.reshape(-1).astype(np.float64),
        forces=forces[real].astype(np.float32),
    )
