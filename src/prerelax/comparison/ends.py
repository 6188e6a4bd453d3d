"""Whether two relaxations of a molecule ended in one minimum, by their geometries and energies.

Two ends are one minimum where the geometries agree and so do the energies, what each is still expected to
fall taken off. How the limits were found, and how often an end changes its class when it is relaxed further:
docs/results/minima.md.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.molecules.superposition import rmsds
from prerelax.records.frames import Geometry, read_geometries
from prerelax.starts.conformers.distinct import Skeleton

SAME, DEEPER, HIGHER, UNDECIDED = "same", "deeper", "higher", "undecided"
COUNTED = (SAME, DEEPER, HIGHER, UNDECIDED)
"""What `pair` says of two relaxations that are compared: where this one ended, beside the baseline's."""

ALIKE_ANG, UNLIKE_ANG = 0.25, 0.6
"""RMSD below which geometries are one minimum's where their energies agree, and above which they are not."""
SETTLED_KCAL_MOL = 0.01
"""Two ends that together are expected to fall less lie in their minima; unlike ones are in two."""
RESOLUTION_KCAL_MOL = 0.05
"""Energies of one minimum agree to it, beside what the ends are still expected to fall."""
UNKNOWN_KCAL_MOL = 0.1
"""Expected of an end that says nothing: 90 of 100 at a largest force of 0.03 eV/Å lie lower."""
ALL_ATOMS_ALIKE_ANG = 0.05
_SHARDS_IN_MEMORY = 8
_AT_ONCE = 1000
"""pairs"""

Floats = NDArray[np.float64]


def rmsd_of_ends(table: pa.Table, rows: NDArray[np.int64], mates: NDArray[np.int64]) -> Floats:
    """[n] Å between the geometries of the rows and of their mates [n], both places in `table`.

    Of heavy atoms and of hydrogens that are not on carbon, equivalent atoms matched and mirror images alike,
    for they have one energy; where all atoms as they are numbered agree to 0.05 Å, of all. nan where the
    table names no frames. Raises ShardError as `read_geometries`.
    """
    found = np.full(len(rows), np.nan)
    if "frame" not in table.column_names or not len(rows):
        return found
    smiles = table["smiles"].to_pylist()
    geometry = geometry_reader(table)
    for begin in range(0, len(rows), _AT_ONCE):
        chosen = slice(begin, begin + _AT_ONCE)
        of_rows, of_mates = (
            [geometry(place) for place in places[chosen].tolist()] for places in (rows, mates)
        )
        found[chosen] = distances([smiles[row] for row in rows[chosen].tolist()], of_rows, of_mates)
    return found


def geometry_reader(table: pa.Table) -> Callable[[int], Geometry]:
    """Reads geometries [n_atoms, 3] Å of rows of `table`, which names their frames. It raises ShardError."""
    files = table["shard"].combine_chunks()
    names, which = files.dictionary.to_pylist(), files.indices.to_numpy()
    frames = table["frame"].to_numpy()

    @lru_cache(maxsize=_SHARDS_IN_MEMORY)
    def shard(number: int) -> Sequence[Geometry]:
        return read_geometries(Path(names[number]))

    return lambda row: shard(which[row])[frames[row]]


def distances(smiles: Sequence[str], own: Sequence[Geometry], other: Sequence[Geometry]) -> Floats:
    """[n] Å between as many pairs of geometries of molecules, as `rmsd_of_ends` says."""
    found = np.full(len(own), np.nan)
    by_size: dict[int, list[int]] = {}
    for place, (a, b) in enumerate(zip(own, other, strict=True)):
        if len(a) == len(b) and len(a):
            by_size.setdefault(len(a), []).append(place)
    for places in by_size.values():
        found[places] = rmsds(np.array([own[i] for i in places]), np.array([other[i] for i in places]))
    for place in np.flatnonzero(found >= ALL_ATOMS_ALIKE_ANG).tolist():
        found[place] = min(found[place], _matched(smiles[place], own[place], other[place]))
    return found


def _matched(smiles: str, a: Geometry, b: Geometry) -> float:
    """Å with equivalent atoms matched, or of the mirror image where that is less; inf without a graph."""
    try:
        skeleton = Skeleton.of(mol_from_mapped_smiles(smiles))
    except ValueError:
        return np.inf
    return min(skeleton.rmsd_ang(a, b), skeleton.rmsd_ang(-a, b))


def where_ended(
    delta_kcal_mol: Floats, left: Floats, left_of_mate: Floats, apart: Floats
) -> NDArray[np.object_]:
    """[n] one of COUNTED for each pair of ends.

    `delta_kcal_mol` energy above the mate's, `left` and `left_of_mate` what both are still expected to fall,
    nan where unknown; `apart` RMSD in Å, nan where unknown.
    """
    known = np.nan_to_num(left), np.nan_to_num(left_of_mate)
    minima = delta_kcal_mol - (known[0] - known[1])
    unsure = sum(np.where(np.isfinite(each), each, UNKNOWN_KCAL_MOL) for each in (left, left_of_mate))
    agree = np.abs(minima) <= RESOLUTION_KCAL_MOL + unsure
    settled = unsure < SETTLED_KCAL_MOL
    differ = ~agree | (apart > np.where(settled, ALIKE_ANG, UNLIKE_ANG))
    words = np.where(minima < 0, DEEPER, HIGHER).astype(object)
    words[~differ] = UNDECIDED
    words[agree & (apart <= ALIKE_ANG)] = SAME
    return words
