"""The shard file: extended XYZ frames that `ase.io.read` opens, and a Parquet table of the rows' scalars.

Rows out of a stage are always the rows that went in; what happened to a molecule stands in its `status`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pyarrow.parquet as pq
from ase import Atoms

from prerelax.errors import UserError
from prerelax.records.atomic_write import write_atomically
from prerelax.records.record import SCALARS, Record, as_table


class ShardError(UserError):
    """A file that is not a whole shard; the message names the file and what to do."""


def table_path(shard: Path) -> Path:
    """The Parquet table beside a shard's frames."""
    return shard.with_suffix(".parquet")


def write_shard(path: Path, records: Sequence[Record]) -> None:
    """Write the frames to `path` and their table beside it, each under a temporary name first.

    The frames are moved last, so that a shard whose frames exist is whole. Raises ShardError unless .extxyz.
    """
    if path.suffix != ".extxyz":
        raise ShardError(f"{path}: a shard is written as .extxyz; give the output that suffix")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(table_path(path), lambda part: pq.write_table(as_table(records), part))
    write_frames(path, [record.as_atoms() for record in records])


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames (of a trajectory, say) as extended XYZ, every string in their `info` safe from ASE."""
    path.parent.mkdir(parents=True, exist_ok=True)
    safe = [_with_safe_info(atoms) for atoms in frames]
    write_atomically(path, lambda part: ase.io.write(part, safe, format="extxyz"))


def _with_safe_info(atoms: Atoms) -> Atoms:
    frame = atoms.copy()
    frame.calc = atoms.calc  # ASE writes the energies and forces that it holds
    frame.info = {name: _to_info(value) for name, value in atoms.info.items()}
    return frame


def read_shard(path: Path) -> list[Record]:
    """All records of a shard, in order. Raises ShardError where the file is missing, cut short or foreign."""
    try:
        images = ase.io.read(path, index=":", format="extxyz")
    except FileNotFoundError:
        raise ShardError(f"{path}: no such shard; run the stage that writes it first") from None
    except Exception as error:
        raise ShardError(f"{path}: not a whole shard ({error}); delete it and run its stage again") from error
    return [record_of_frame(atoms, path, row) for row, atoms in enumerate(images)]


def record_of_frame(atoms: Atoms, path: Path, row: int) -> Record:
    """The record behind frame `row` of `path`. Raises ShardError where prerelax did not write it."""
    missing = {"id", "status", "start"} - set(atoms.info)
    if missing:
        raise ShardError(
            f"{path}: frame {row} lacks {', '.join(sorted(missing))}; this is not a shard that prerelax wrote"
        )
    scalars = {name: _from_info(atoms.info[name]) for name in SCALARS if name in atoms.info}
    start_positions = atoms.arrays.get("start_positions")
    return Record(
        numbers=atoms.numbers.astype(np.int64),
        positions=atoms.positions,
        start_positions=None if start_positions is None else np.asarray(start_positions, dtype=float),
        **scalars,
    )


def _to_info(value: Any) -> Any:
    # ASE's extxyz turns strings such as 000123, T and 1e5 into numbers and booleans, and its reader takes one
    # level of backslashes away that its writer does not add.
    if not isinstance(value, str | dict):
        return value
    return "_JSON " + json.dumps(value).replace("\\", "\\\\")


def _from_info(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic | np.ndarray) else value
