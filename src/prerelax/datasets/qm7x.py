"""Sets like QM7-X (Hoja et al., Scientific Data 2021, 8, 43): geometries with energies and forces, as npz.

The original keys are read (`atNUM`, `atXYZ`, `ePBE0+MBD`, `totFOR`) as well as the short ones of re-exports
(`z`, `R`, `E`, `F`); molecules shorter than the arrays are padded with atomic number 0. Beside them stand, in
the sets that prerelax writes, `graph`, `equilibrium` and `displacement`: see LabelledStructures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.structures import Structures
from prerelax.errors import UserError
from prerelax.reading import read_arrays
from prerelax.records.atomic_write import write_atomically

ORIGIN = ("graph", "equilibrium", "displacement")
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
    graph: NDArray[np.int64] | None = None
    """[n_structures] `graph_key` of the molecular graph"""
    equilibrium: NDArray[np.int64] | None = None
    """[n_structures] number of the equilibrium structure that it is or that it was displaced from"""
    displacement: NDArray[np.int64] | None = None
    """[n_structures] 0 for an equilibrium structure, 1, 2, … for its displacements"""

    def __len__(self) -> int:
        return len(self.n_atoms)

    @property
    def graphs(self) -> NDArray[np.int64]:
        """[n_structures] a number that structures of the same molecule share, for splits by molecule.

        It is `graph` where the set has it. Otherwise the atoms in their order, which displacements keep:
        isomers whose atoms happen to stand in the same order share a number too, which only makes a split
        stricter.
        """
        if self.graph is not None:
            return self.graph
        ends = np.cumsum(self.n_atoms)
        atoms = [self.numbers[end - n : end].tobytes() for end, n in zip(ends, self.n_atoms, strict=True)]
        return np.unique(np.array(atoms, dtype=object), return_inverse=True)[1].astype(np.int64)

    def select(self, rows: NDArray[np.integer]) -> LabelledStructures:
        """The structures at `rows`, in that order."""
        first = np.cumsum(self.n_atoms) - self.n_atoms
        counts = self.n_atoms[rows]
        atoms = np.repeat(first[rows] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        chosen = LabelledStructures(
            counts, self.numbers[atoms], self.positions[atoms], self.energies[rows], self.forces[atoms]
        )
        return replace(chosen, **{name: values[rows] for name, values in self.origin.items()})

    @property
    def origin(self) -> dict[str, NDArray[np.int64]]:
        """The arrays of ORIGIN that are known."""
        return {name: values for name in ORIGIN if (values := getattr(self, name)) is not None}

    @property
    def counts(self) -> tuple[int, int, int]:
        """Molecular graphs, equilibria, structures."""
        n_equilibria = 0 if self.displacement is None else int((self.displacement == 0).sum())
        return len(np.unique(self.graphs)), n_equilibria, len(self)

    def equilibria(self) -> Structures:
        """The equilibrium structures, with their numbers as ids. Raises UserError where it has none."""
        if self.equilibrium is None or self.displacement is None or not np.any(self.displacement == 0):
            raise UserError("the set does not say which of its structures are equilibria, or has none")
        part = self.select(np.flatnonzero(self.displacement == 0))
        assert part.equilibrium is not None
        return Structures(part.equilibrium, part.n_atoms, part.numbers, part.positions, graphs=part.graph)


def read_qm7x(path: Path) -> LabelledStructures:
    """Read an npz of dense arrays [n_structures, n_atoms, ...], energies eV, forces eV/Å.

    Raises UserError naming the file for missing arrays, shapes that do not fit or numbers not finite.
    """
    arrays = read_arrays(path)
    keys = next((keys for keys in KEYS if all(key in arrays for key in keys)), None)
    if keys is None:
        known = " or ".join(", ".join(names) for names in KEYS)
        raise UserError(f"{path} does not hold the arrays {known}, of structures with energies and forces")
    numbers, positions, energies, forces = (arrays[key] for key in keys)
    origin = {name: arrays[name].astype(np.int64) for name in ORIGIN if name in arrays}
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
    for name, values in origin.items():
        if values.shape != (len(numbers),):
            raise UserError(f"{path}: {name} has the shape {values.shape}, not one number per structure")
    for name in (*keys, *ORIGIN):
        whole = name == keys[0] or name in ORIGIN
        if name in arrays and arrays[name].dtype.kind not in ("iu" if whole else "iuf"):
            raise UserError(f"{path}: {name} must hold {'whole ' if whole else ''}numbers")
    if numbers.size and not (int(np.min(numbers)) >= 0 and int(np.max(numbers)) <= 118):
        raise UserError(f"{path}: {keys[0]} must hold atomic numbers, 1 to 118, and 0 where there is no atom")
    real = numbers > 0
    if not all(np.isfinite(a).all() for a in (positions[real], energies, forces[real])):
        raise UserError(f"{path}: coordinates, energies or forces that are not finite")
    return LabelledStructures(
        n_atoms=real.sum(1).astype(np.int64),
        numbers=numbers[real].astype(np.uint8),
        positions=positions[real].astype(np.float32),
        energies=energies.reshape(-1).astype(np.float64),
        forces=forces[real].astype(np.float32),
        **origin,
    )


def write_qm7x(path: Path, structures: LabelledStructures) -> None:
    """Write what `read_qm7x` reads, compressed: `z`, `R`, `E`, `F` and what is known of the origin."""
    shape = (len(structures), int(structures.n_atoms.max(initial=0)))
    real = np.arange(shape[1]) < structures.n_atoms[:, None]
    z = np.zeros(shape, dtype=np.uint8)
    R, F = np.zeros((2, *shape, 3), dtype=np.float32)
    z[real], R[real], F[real] = structures.numbers, structures.positions, structures.forces
    arrays: dict[str, NDArray[np.generic]] = {
        "z": z,
        "R": R,
        "E": structures.energies,
        "F": F,
        **structures.origin,
    }

    def write(part: Path) -> None:
        with part.open("wb") as file:  # numpy would add .npz to a name
            np.savez_compressed(file, allow_pickle=False, **arrays)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)


def joined(sets: Sequence[LabelledStructures]) -> LabelledStructures:
    """All structures of some sets, one set after the other; equilibria are numbered anew, in that order.

    Raises UserError where there is none, or where only some sets know the origin of their structures.
    """
    if not sum(len(part) for part in sets):
        raise UserError("there are no structures")
    flat = ("n_atoms", "numbers", "positions", "energies", "forces")
    arrays = {name: np.concatenate([getattr(part, name) for part in sets]) for name in flat}
    for name in ORIGIN:
        known = [values for part in sets if (values := getattr(part, name)) is not None]
        if known and len(known) < len(sets):
            raise UserError(f"some of the sets have the array {name}, others do not: split them apart")
        if known and name == "equilibrium":
            known = [np.unique(values, return_inverse=True)[1] for values in known]
            counts = [int(values.max(initial=-1)) + 1 for values in known]
            known = [v + first for v, first in zip(known, np.cumsum([0, *counts[:-1]]), strict=True)]
        if known:
            arrays[name] = np.concatenate(known)
    return LabelledStructures(**arrays)
