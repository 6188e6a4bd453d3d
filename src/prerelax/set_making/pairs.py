"""Pairs start → minimum of one level, from sets (.npz) and from relaxed shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.graph_split import graph_key
from prerelax.datasets.structures import Structures, collect, joined, read_npz, read_settings
from prerelax.errors import UserError
from prerelax.molecules.graph import bonded_matrix, bonds_unchanged, mol_from_mapped_smiles
from prerelax.molecules.superposition import superimposed
from prerelax.molecules.topology import bonds_from_geometry
from prerelax.records.record import Record
from prerelax.records.settings import level_name
from prerelax.records.shard import read_shard
from prerelax.set_making.relaxed import bonds_show, is_minimum
from prerelax.training.pairs import Pairs


def read_pairs(paths: Sequence[Path]) -> Pairs:
    """The pairs of sets as `prerelax data minima` writes them, and of relaxed shards.

    Kept are converged rows whose bonds are those of the molecule, at the start as at the minimum, and that
    began at a force field's geometry: what a denoiser is given. Rows that began elsewhere are kept where a
    shard of force-field starts among `paths` has their molecule. Raises UserError for a file that cannot be
    read, for one without starts, where no pair is left, and for pairs of several levels.
    """
    parts, said, n_rows, taken = [], [], 0, []
    shards = {path: read_shard(path) for path in paths if path.suffix != ".npz"}
    given = [path for path, rows in shards.items() if rows and all(row.target is None for row in rows)]
    starts = _starts_of(row for path in given for row in shards[path])
    if len(given) == len(paths):
        raise UserError(
            f"{paths[0]} is a shard of starts; pairs are relaxed shards: results/<campaign>/relaxed/…"
        )
    for path in paths:
        if path in given:
            continue
        found, settings, n, n_gradients = (
            _of_set(path) if path not in shards else _of_shard(shards[path], starts)
        )
        n_rows += n
        taken.append(n_gradients)
        if found is not None:
            parts.append(found)
            said.append((path, settings))
    if not parts:
        raise UserError(
            f"{paths[0]}: none of {n_rows} rows is a converged minimum that was relaxed from a force "
            "field's geometry; relax some so (`prerelax run … --start mmff94`) and name those shards"
        )
    whole = joined([_numbered(part, first) for part, first in zip(parts, _firsts(parts), strict=True)])
    settings = set().union(*(each for _, each in said))
    digest = hashlib.sha256("\n".join(sorted(settings)).encode()).hexdigest() if settings else None
    known = [each for each in taken if each is not None]
    n_gradients = sum(known) if len(known) == len(taken) else None
    return Pairs(whole, _level(said), digest, n_gradients, n_rows - len(whole))


def _level(said: Sequence[tuple[Path, set[str]]]) -> str | None:
    """The one level of all files, None where none says it."""
    levels = {level_name(json.loads(text)): path for path, texts in said for text in texts}
    if len(levels) > 1:
        (first, of_first), (other, of_other) = list(levels.items())[:2]
        raise UserError(
            f"the pairs are of several levels, {first} ({of_first}) and {other} ({of_other}): "
            "a denoiser learns one"
        )
    silent = next((path for path, texts in said if not texts), None)
    if levels and silent is not None:
        raise UserError(f"{silent} does not say its level, the other pairs are of {next(iter(levels))}")
    return next(iter(levels), None)


def _firsts(parts: Sequence[Structures]) -> list[int]:
    return [sum(map(len, parts[:k])) for k in range(len(parts))]


def _numbered(part: Structures, first: int) -> Structures:
    return replace(part, ids=np.arange(first, first + len(part)))


def _of_set(path: Path) -> tuple[Structures | None, set[str], int, int | None]:
    whole = read_npz(path)
    if whole.positions_start is None:
        raise UserError(f"{path} has no starts (positions_mmff94): `prerelax data add-starts` computes them")
    graphs, kept = [], []
    for row, (_, numbers, positions) in enumerate(whole):
        bonded = bonds_from_geometry(numbers, positions)
        if bonds_unchanged(bonded, numbers, whole.positions_start[whole.atoms_of(row)]):
            kept.append(row)
            graphs.append(graph_key(numbers, bonded))
    found = replace(whole.select(kept), graphs=np.array(graphs, dtype=np.int64)) if kept else None
    return found, read_settings(path), len(whole), None


Starts = Mapping[tuple[str, int], NDArray[np.float64]]
"""Force-field geometries by molecule and conformer."""


def _starts_of(rows: Iterable[Record]) -> Starts:
    return {(row.id, row.conformer): row.positions for row in rows if _made_by(row.settings) == "forcefield"}


def _of_shard(rows: Sequence[Record], given: Starts) -> tuple[Structures | None, set[str], int, int | None]:
    rows = [row for row in rows if row.status != "skipped"]
    n_gradients = sum(row.n_gradients or 0 for row in rows)
    kept = [row for row in rows if is_minimum(row) and bonds_show(row)]
    starts = [_start(row, given) for row in kept]
    pairs = [(row, start) for row, start in zip(kept, starts, strict=True) if start is not None]
    if not pairs:
        return None, set(), len(rows), n_gradients
    minima = collect((place, row.numbers, row.positions) for place, (row, _) in enumerate(pairs))
    graphs = [graph_key(row.numbers, bonded_matrix(mol_from_mapped_smiles(row.smiles))) for row, _ in pairs]
    found = replace(
        minima,
        positions_start=np.concatenate([start for _, start in pairs]).astype(np.float32),
        graphs=np.array(graphs, dtype=np.int64),
    )
    return found, {row.settings for row, _ in pairs if row.settings}, len(rows), n_gradients


def _start(row: Record, given: Starts) -> NDArray[np.float64] | None:
    """The force-field geometry of a row's molecule, laid on its end; None where there is none.

    It is what the relaxation began from, or what was denoised to that.
    """
    began = row.start_positions if _made_by(row.start_settings) == "forcefield" else None
    start = given.get((row.id, row.conformer)) if began is None else began
    if start is None or start.shape != row.positions.shape:
        return None
    bonded = bonded_matrix(mol_from_mapped_smiles(row.smiles))
    return superimposed(start, row.positions) if bonds_unchanged(bonded, row.numbers, start) else None


def _made_by(settings: str | None) -> str:
    """The verb that made a geometry; rows of earlier versions do not say it, and were a force field's."""
    return str(json.loads(settings or "{}").get("verb", "forcefield"))
