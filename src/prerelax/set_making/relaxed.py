"""A training set of the minima that relaxations ended in: denoisers of any level that can be evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from prerelax.datasets.graph_split import graph_key
from prerelax.datasets.structures import Structures, collect, joined, read_npz, read_settings, write_npz
from prerelax.errors import UserError
from prerelax.molecules.graph import bonded_matrix, mol_from_mapped_smiles
from prerelax.molecules.superposition import superimposed
from prerelax.molecules.topology import bonds_from_geometry
from prerelax.records.record import Record
from prerelax.records.shard import read_shard

MOST_ID = 2**63 - 1
"""that a set can hold"""


def collect_relaxed(out: Path, shards: Sequence[Path], starts: Sequence[Path] = ()) -> tuple[int, int]:
    """Write the converged minima of relaxed shards, their bonds kept, as the set `out` (.npz).

    Of several conformers of a molecule in a shard the one of lowest energy. `starts` are the shards that the
    relaxations began from: with them the set has `positions_mmff94`, each minimum's own start, and `graphs`;
    left out are then minima whose bonds a training would not see in their distances. Ids stay what they are
    where all are different numbers; else they become the molecules' places in the shards, from 0. Returns
    how many molecules are in the set and how many rows are left out. Raises UserError where none is left,
    where two have one id, where a minimum has no start, and for broken shards.
    """
    read = [read_shard(shard) for shard in shards]
    kept = [(place, row) for place, row in _numbered(read) if is_minimum(row)]
    if starts:
        kept = [(place, row) for place, row in kept if bonds_show(row)]
    n_rows = sum(map(len, read))
    if not kept:
        raise UserError(f"{shards[0]}: none of {n_rows} rows is a converged minimum with its bonds kept")
    rows = [row for _, row in kept]
    named = [row.id for row in rows if row.id.isdecimal()]
    if len(set(named)) < len(named):
        raise UserError(f"{shards[0]}: two of the molecules have one id; name each shard once")
    numbers = _ids([row.id for row in rows]) or [place for place, _ in kept]
    structures = collect(
        (number, row.numbers, row.positions) for number, row in zip(numbers, rows, strict=True)
    )
    settings = [row.settings for row in rows if row.settings]
    write_npz(out, _with_starts(structures, rows, starts) if starts else structures, settings)
    return len(kept), n_rows - len(kept)


def _ids(texts: Sequence[str]) -> list[int]:
    """The ids as the numbers that they are; none where one is no number, or two are one number."""
    numbers = [int(text) for text in texts if text.isdecimal()]
    return numbers if len(set(numbers)) == len(texts) and max(numbers) <= MOST_ID else []


def join_sets(out: Path, paths: Sequence[Path]) -> int:
    """Write the sets of several files as one; returns its molecules. Raises UserError for files that are no
    sets, and where two molecules have one id.
    """
    try:
        whole = joined([read_npz(path) for path in paths])
        settings = [read_settings(path) for path in paths]
    except (OSError, ValueError) as error:
        raise UserError(f"{out} cannot be made: {error}") from error
    write_npz(out, whole, set().union(*settings) if all(settings) else ())
    return len(whole)


def _numbered(shards: Iterable[Sequence[Record]]) -> Iterable[tuple[int, Record]]:
    """Places in the shards and rows, of a molecule's conformers the lowest minimum."""
    place = 0
    for rows in shards:
        lowest: dict[str, tuple[int, Record]] = {}
        for row in rows:
            if row.id not in lowest or _rank(row) < _rank(lowest[row.id][1]):
                lowest[row.id] = place, row
            place += 1
        yield from lowest.values()


def _rank(row: Record) -> tuple[bool, float]:
    return not is_minimum(row), np.inf if row.energy_ev is None else row.energy_ev


def is_minimum(row: Record) -> bool:
    """Whether a relaxation converged and kept the molecule's bonds and stereochemistry."""
    return bool(row.converged) and row.is_same_molecule and len(row.numbers) > 0


def bonds_show(row: Record) -> bool:
    """Whether a training, which sees no bonds but those in distances, sees the molecule's."""
    bonded = bonded_matrix(mol_from_mapped_smiles(row.smiles))
    return np.array_equal(bonds_from_geometry(row.numbers, row.positions), bonded)


def _with_starts(structures: Structures, rows: Sequence[Record], shards: Sequence[Path]) -> Structures:
    begun = {(row.id, row.conformer): row for shard in shards for row in read_shard(shard)}
    positions = []
    for row in rows:
        start = begun.get((row.id, row.conformer))
        if start is None or not np.array_equal(start.numbers, row.numbers):
            raise UserError(f"{shards[0]}: no start of {row.id}, conformer {row.conformer}")
        positions.append(superimposed(start.positions, row.positions))
    graphs = [graph_key(row.numbers, bonded_matrix(mol_from_mapped_smiles(row.smiles))) for row in rows]
    return replace(
        structures,
        positions_start=np.concatenate(positions).astype(np.float32),
        graphs=np.array(graphs, dtype=np.int64),
    )
