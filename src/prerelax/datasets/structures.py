"""Equilibrium structures as flat arrays: what the readers give and the training takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.errors import UserError
from prerelax.reading import read_arrays
from prerelax.records.atomic_write import write_atomically


@dataclass(frozen=True)
class Structures:
    """Molecules one after the other; `ids` are unique within a set."""

    ids: NDArray[np.integer]
    """[n_molecules]"""
    n_atoms: NDArray[np.int64]
    """[n_molecules]"""
    numbers: NDArray[np.uint8]
    """[n_atoms_total] atomic numbers"""
    positions: NDArray[np.float32]
    """[n_atoms_total, 3] Å"""
    positions_start: NDArray[np.float32] | None = None
    """[n_atoms_total, 3] Å, geometries to be relaxed (MMFF94 minima) where the set has them"""
    graphs: NDArray[np.int64] | None = None
    """[n_molecules] a number that conformers and stereoisomers of one molecule share, where the set has it"""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def first_atom(self) -> NDArray[np.int64]:
        """[n_molecules] index of each molecule's first atom"""
        return np.cumsum(self.n_atoms) - self.n_atoms

    def atoms_of(self, row: int) -> slice:
        first = int(self.first_atom[row])
        return slice(first, first + int(self.n_atoms[row]))

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.float32]]]:
        """(id, numbers [n], positions [n, 3] Å) of every molecule."""
        for identifier, n, first in zip(self.ids, self.n_atoms, self.first_atom, strict=True):
            atoms = slice(int(first), int(first + n))
            yield int(identifier), self.numbers[atoms], self.positions[atoms]

    def select(self, rows: NDArray[np.integer] | Sequence[int]) -> Structures:
        """The molecules at `rows`, in that order."""
        chosen = np.asarray(rows, dtype=np.int64)
        first, counts = self.first_atom[chosen], self.n_atoms[chosen]
        starts = np.repeat(first - (np.cumsum(counts) - counts), counts)
        atoms = starts + np.arange(int(counts.sum()))
        start = None if self.positions_start is None else self.positions_start[atoms]
        graphs = None if self.graphs is None else self.graphs[chosen]
        return Structures(self.ids[chosen], counts, self.numbers[atoms], self.positions[atoms], start, graphs)

    def without_ids(self, ids: Iterable[int]) -> Structures:
        """The molecules whose id is not among `ids`, order kept."""
        return self.select(np.flatnonzero(~np.isin(self.ids, np.fromiter(ids, dtype=np.int64))))

    def with_elements(self, elements: Iterable[int]) -> Structures:
        """The molecules made of these elements alone, order kept."""
        foreign = ~np.isin(self.numbers, list(elements))
        owner = np.repeat(np.arange(len(self)), self.n_atoms)
        return self.select(np.flatnonzero(np.bincount(owner, weights=foreign, minlength=len(self)) == 0))


def collect(molecules: Iterable[tuple[int, NDArray[np.integer], NDArray[np.floating]]]) -> Structures:
    """Structures from (id, numbers [n], positions [n, 3] Å). Raises ValueError when there is no molecule."""
    rows = list(molecules)
    if not rows:
        raise ValueError("no molecule to collect")
    return Structures(
        ids=np.array([row[0] for row in rows], dtype=np.int64),
        n_atoms=np.array([len(row[1]) for row in rows], dtype=np.int64),
        numbers=np.concatenate([np.asarray(row[1]) for row in rows]).astype(np.uint8),
        positions=np.concatenate([np.asarray(row[2]) for row in rows]).astype(np.float32),
    )


def joined(parts: Sequence[Structures]) -> Structures:
    """One set of several; starts and graphs only where every part has them. Ids that occur twice:
    ValueError."""
    starts = [part.positions_start for part in parts if part.positions_start is not None]
    graphs = [part.graphs for part in parts if part.graphs is not None]
    whole = Structures(
        ids=np.concatenate([part.ids for part in parts]),
        n_atoms=np.concatenate([part.n_atoms for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        positions=np.concatenate([part.positions for part in parts]),
        positions_start=np.concatenate(starts) if len(starts) == len(parts) else None,
        graphs=np.concatenate(graphs) if len(graphs) == len(parts) else None,
    )
    if len(np.unique(whole.ids)) != len(whole):
        raise ValueError("the sets share ids")
    return whole


def read_npz(path: Path) -> Structures:
    """Read `ids`, `n_atoms`, `numbers`, `positions` Å and, where there, `positions_mmff94` Å and `graphs`.

    Raises UserError naming the file for missing arrays, arrays of other kinds, sizes that do not add up,
    repeated ids or coordinates that are not finite.
    """
    arrays = read_arrays(path)
    missing = [name for name in ("ids", "n_atoms", "numbers", "positions") if name not in arrays]
    if missing:
        raise UserError(f"{path} lacks the arrays {', '.join(missing)}")
    _check_kinds(arrays, path)
    start, graphs = arrays.get("positions_mmff94"), arrays.get("graphs")
    structures = Structures(
        ids=arrays["ids"].astype(np.int64),
        n_atoms=arrays["n_atoms"].astype(np.int64),
        numbers=arrays["numbers"].astype(np.uint8),
        positions=arrays["positions"].astype(np.float32),
        positions_start=None if start is None else start.astype(np.float32),
        graphs=None if graphs is None else graphs.astype(np.int64),
    )
    _check(structures, path)
    return structures


def read_xyz(path: Path) -> Structures:
    """All frames of an .xyz or .extxyz file; ids count them from 1.

    Raises UserError naming the file where there is none or one is cut off.
    """
    from ase.io import iread  # not on every machine that trains

    form = "extxyz" if path.suffix == ".extxyz" else "xyz"
    try:
        frames = [(a.numbers, a.positions) for a in iread(path, ":", format=form, parallel=False)]
        return collect((i, *frame) for i, frame in enumerate(frames, start=1))
    except (ArithmeticError, AttributeError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or "no whole frame"
        raise UserError(f"{path}: {reason}") from error


def write_npz(path: Path, structures: Structures, settings: Iterable[str] = ()) -> None:
    """Write what `read_npz` reads, compressed; `settings` are those of the rows, for `read_settings`."""
    arrays: dict[str, NDArray[np.generic]] = {
        "ids": structures.ids,
        "n_atoms": structures.n_atoms,
        "numbers": structures.numbers,
        "positions": structures.positions,
    }
    if structures.positions_start is not None:
        arrays["positions_mmff94"] = structures.positions_start
    if structures.graphs is not None:
        arrays["graphs"] = structures.graphs
    if said := sorted(set(settings)):
        arrays["settings"] = np.array(said)

    def write(part: Path) -> None:
        with part.open("wb") as file:  # to a name numpy would add .npz
            np.savez_compressed(file, allow_pickle=False, **arrays)

    write_atomically(path, write)


def read_settings(path: Path) -> set[str]:
    """The settings, as rows have them, that the minima of an npz set rest on; none in older sets.

    Raises UserError as `read_npz`.
    """
    return {str(text) for text in np.ravel(read_arrays(path).get("settings", np.array([], dtype=str)))}


def _check_kinds(arrays: dict[str, NDArray[np.generic]], path: Path) -> None:
    """Raise UserError for an array of another kind than it must be: nothing is rounded or cut to fit."""
    for name in ("ids", "n_atoms", "numbers", "graphs"):
        if name in arrays and (arrays[name].dtype.kind not in "iu" or arrays[name].ndim != 1):
            raise UserError(f"{path}: {name} must be a list of whole numbers, not {_kind(arrays[name])}")
    for name in ("positions", "positions_mmff94"):
        if name in arrays and (arrays[name].dtype.kind not in "iuf" or arrays[name].shape[1:] != (3,)):
            raise UserError(f"{path}: {name} must be numbers in three columns, not {_kind(arrays[name])}")
    numbers = arrays["numbers"]
    if numbers.size and not (int(np.min(numbers)) >= 1 and int(np.max(numbers)) <= 118):
        raise UserError(f"{path}: numbers must be atomic numbers, 1 to 118")


def _kind(array: NDArray[np.generic]) -> str:
    return f"{array.dtype.name} of the shape {array.shape}"


def _check(structures: Structures, path: Path) -> None:
    n_total = int(structures.n_atoms.sum())
    if len(structures.n_atoms) != len(structures) or structures.n_atoms.min(initial=1) < 1:
        raise UserError(f"{path}: n_atoms must give a positive count for each id")
    if structures.numbers.shape != (n_total,) or structures.positions.shape != (n_total, 3):
        raise UserError(
            f"{path}: numbers and positions must hold the {n_total} atoms that n_atoms adds up to"
        )
    if structures.positions_start is not None and structures.positions_start.shape != (n_total, 3):
        raise UserError(f"{path}: positions_mmff94 must hold {n_total} atoms")
    if structures.graphs is not None and structures.graphs.shape != structures.ids.shape:
        raise UserError(f"{path}: graphs must give a number for each id")
    if len(np.unique(structures.ids)) != len(structures):
        raise UserError(f"{path}: ids are not unique")
    starts = structures.positions_start
    if not np.isfinite(structures.positions).all() or not (starts is None or np.isfinite(starts).all()):
        raise UserError(f"{path}: coordinates that are not finite")
