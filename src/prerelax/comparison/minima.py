"""The minima that a start's molecules relaxed to, as the zero and the goal of what happened before."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.records.record import Record
from prerelax.records.shard import ShardError, read_shard

Molecule = tuple[str, int]
"""id and conformer"""


@dataclass(frozen=True)
class Minimum:
    """Where a relaxation ended."""

    energy_ev: float
    positions: NDArray[np.float64]
    """[n_atoms, 3] Å"""
    objection: str = ""
    """why it is no minimum of its molecule; empty where it is one"""


def read_minima(folder: Path) -> dict[Molecule, Minimum]:
    """The ends of all relaxations in `relaxed/<target>/<start>`. Raises ShardError where there are none."""
    shards = sorted(folder.glob("*.extxyz"))
    if not shards:
        raise ShardError(f"{folder}: no relaxed shards; run `prerelax relax` first")
    return {(row.id, row.conformer): _minimum(row) for shard in shards for row in read_shard(shard)}


def _minimum(row: Record) -> Minimum:
    objection: str = "" if row.converged else row.status
    if row.converged and row.connectivity_unchanged is False:
        objection = "connectivity changed"
    elif row.converged and not row.is_same_molecule:
        objection = "isomer changed"
    return Minimum(row.energy_ev if row.energy_ev is not None else np.nan, row.positions, objection)
