"""The shard file: extended XYZ frames that `ase.io.read` opens, and a Parquet table of the rows' scalars.

Rows out of a stage are always the rows that went in; what happened to a molecule stands in its `status`.
The table's metadata holds the size and the digest of the frames and a check sum of the table itself, so that
a shard that was cut, emptied or changed by a fault of the disk is never read as a whole one.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from prerelax.records.atomic_write import write_atomically
from prerelax.records.record import SCALARS, Record, as_table
from prerelax.records.seal import (
    SEAL,
    Seal,
    ShardError,
    check_is_file,
    opened_table,
    refusal_path,
    refused,
    seal_of,
    table_path,
    write_table,
)

__all__ = [
    "ShardError",
    "read_shard",
    "record_of_frame",
    "table_path",
    "write_frames",
    "write_shard",
]


def write_shard(path: Path, records: Sequence[Record]) -> None:
    """Write the frames to `path` and their table beside it, each under a temporary name first.

    The frames are moved last, so that a shard whose frames exist is whole. Raises ShardError unless .extxyz.
    """
    if path.suffix != ".extxyz":
        raise ShardError(f"{path}: a shard is written as .extxyz; give the output that suffix")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = _as_extxyz([record.as_atoms() for record in records])
    seal = Seal(
        n_rows=len(records),
        n_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        settings=sorted({record.settings for record in records if record.settings}),
        work_s=sum(record.wall_s for record in records),
    )
    table = as_table(records).replace_schema_metadata({SEAL: json.dumps(asdict(seal))})
    write_table(table_path(path), table)
    write_atomically(path, lambda part: part.write_bytes(content))
    refusal_path(path).unlink(missing_ok=True)


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames (of a trajectory, say) as extended XYZ, every string in their `info` safe from ASE."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = _as_extxyz(frames)
    write_atomically(path, lambda part: part.write_bytes(content))


def _as_extxyz(frames: Sequence[Atoms]) -> bytes:
    text = io.StringIO()
    ase.io.write(text, [_with_safe_info(atoms) for atoms in frames], format="extxyz")
    return text.getvalue().encode()


def _with_safe_info(atoms: Atoms) -> Atoms:
    frame = atoms.copy()
    frame.calc = atoms.calc  # ASE writes the energies and forces that it holds
    frame.info = {name: _to_info(value) for name, value in atoms.info.items()}
    return frame


def is_shard(path: Path) -> bool:
    """Whether a table lies beside it, or its first frame is a shard's; other extended XYZ holds molecules."""
    if path.suffix != ".extxyz" or not path.is_file():
        return False
    if table_path(path).exists():
        return True
    with path.open(encoding="utf-8", errors="replace") as file:
        _, comment = file.readline(), file.readline()
    return " status=" in comment


def read_shard(path: Path) -> list[Record]:
    """All records of a shard, in order.

    Raises ShardError where the file is missing or foreign, was cut short, or is not what its table says.
    """
    if path.suffix != ".extxyz":
        raise ShardError(f"{path}: not a shard (.extxyz); run `prerelax embed {path} OUT.extxyz` first")
    content, n_rows = whole_content(path)
    try:
        text = io.StringIO(content.decode())
        images = ase.io.read(text, index=":", format="extxyz") if content else []
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ShardError(
            f"{path}: not a whole shard ({reason}); delete it and run its stage again"
        ) from error
    if n_rows is not None and len(images) != n_rows:
        raise refused(path, f"{path}: not a whole shard ({len(images)} rows where its table has {n_rows})")
    return [record_of_frame(atoms, path, row) for row, atoms in enumerate(images)]


def whole_content(path: Path) -> tuple[bytes, int | None]:
    """The bytes of a shard's frames, and how many rows its table has; None where there is no table.

    Raises ShardError where the frames are missing or empty, or are not those that the table was written for.
    """
    check_is_file(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ShardError(f"{path}: no such shard; run the stage that writes it first") from None
    n_rows = _rows_if_sealed(path, content) if table_path(path).exists() else None
    if n_rows is None and not content:
        raise ShardError(f"{path}: not a whole shard (empty); delete it and run its stage again")
    return content, n_rows


def _rows_if_sealed(path: Path, content: bytes) -> int:
    """How many rows a shard's table has. Raises ShardError where `content` is not what it was written for."""
    with opened_table(table_path(path)) as file:
        seal = seal_of(file)
        n_rows: int = file.metadata.num_rows
    if seal is not None and hashlib.sha256(content).hexdigest() != seal.sha256:
        cut = f"{len(content)} bytes of {seal.n_bytes}" if len(content) != seal.n_bytes else "changed"
        raise refused(path, f"{path}: not a whole shard ({cut} since it was written)")
    return n_rows


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
