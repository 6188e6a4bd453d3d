"""The relaxed shards of a campaign as one Arrow table: the scalars alone, read file by file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prerelax.records import ShardError, as_table, read_shard, table_path

COLUMNS = (
    "id",
    "conformer",
    "smiles",
    "n_atoms",
    "charge",
    "multiplicity",
    "target",
    "start",
    "status",
    "message",
    "converged",
    "n_steps",
    "n_gradients",
    "n_gradients_cheap",
    "energy_ev",
    "start_energy_ev",
    "fmax_ev_ang",
    "connectivity_unchanged",
    "rmsd_ang",
    "rmsd_symmetry_ang",
    "wall_s",
    "stages_s",
    "settings",
)
"""What `read_relaxations` returns of each row; names, types and units as in `prerelax.records.Record`."""


def shard_files(inputs: Sequence[Path], n_shards: int | None = None) -> list[Path]:
    """The shard files behind `inputs`: files as they are, folders `relaxed/<target>/<start>` by number.

    With `n_shards` a folder stands for its shards 0 … n_shards - 1, whatever else an earlier campaign of
    another size left there; without it for all of them. Raises ShardError where one of them is missing.
    """
    width = _number_width(inputs)
    files: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            files.append(path)
        elif n_shards is None:
            files += _numbered(path) or [path / f"{0:0{width}d}.extxyz"]
        else:
            files += [path / f"{number:0{width}d}.extxyz" for number in range(n_shards)]
    for file in files:
        if not file.is_file():
            raise ShardError(
                f"{file}: no such shard; run the relaxation of start {file.parent.name} at target "
                f"{file.parent.parent.name} first (`prerelax relax`, in the workflow relax_xtb or relax_dft)"
            )
    return files


def _numbered(folder: Path) -> list[Path]:
    files = [file for file in folder.glob("*.extxyz") if file.stem.isdecimal()]
    return sorted(files, key=lambda file: int(file.stem))


def _number_width(folders: Iterable[Path]) -> int:
    files = [file for folder in folders if folder.is_dir() for file in _numbered(folder)]
    width = min((len(file.stem) for file in files), default=4)
    for file in files:
        if file.stem != f"{int(file.stem):0{width}d}":
            raise ShardError(
                f"{file}: numbered unlike the other shards; delete what an earlier campaign left"
            )
    return width


def read_relaxations(inputs: Sequence[Path], n_shards: int | None = None) -> pa.Table:
    """Every row of the shards of `inputs` (see `shard_files`), in their order, with the columns COLUMNS.

    Reads the Parquet table beside each shard, and the frames only where that table is missing. Raises
    ShardError where a file is missing, is no shard or holds rows that were never relaxed at any target.
    """
    tables = [_with_names_of_shard(_read(file), file) for file in shard_files(inputs, n_shards)]
    if not tables:
        return as_table([]).select(COLUMNS)
    return pa.concat_tables(tables)


def _read(shard: Path) -> pa.Table:
    path = table_path(shard)
    if not path.is_file():
        return as_table(read_shard(shard)).select(COLUMNS)
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
            table = None if missing else file.read(columns=list(COLUMNS)).select(COLUMNS)
    except (pa.ArrowInvalid, OSError) as error:
        raise ShardError(
            f"{path}: not a whole table ({error}); delete it and its shard, relax again"
        ) from None
    if table is None:
        raise ShardError(
            f"{path}: lacks {', '.join(missing)}; it is of another version of prerelax, relax again"
        )
    return table


def _with_names_of_shard(table: pa.Table, path: Path) -> pa.Table:
    """`table` with the shard's target and start on rows that an earlier stage gave up.

    Such a row is copied through every later stage unchanged, so it carries no target and the name of the
    start it failed at, but it belongs to the relaxations of its shard and is counted among them.
    """
    evaluated = pc.or_(pc.is_valid(table["start_energy_ev"]), pc.is_valid(table["energy_ev"]))
    if table.num_rows == 0 or pc.all(evaluated).as_py():
        return table
    names = _names_of_shard(table.filter(evaluated), path)
    if names is not None:
        for column, name in zip(("target", "start"), names, strict=True):
            values = pc.if_else(evaluated, table[column], pa.scalar(name, pa.string()))
            table = table.set_column(table.column_names.index(column), column, values)
    elif table["target"].null_count:
        row = pc.index(pc.is_null(table["target"]), True).as_py()
        raise ShardError(
            f"{path}: row {table['id'][row].as_py()!r} has no target; compare reads relaxed shards, "
            "as `prerelax relax` writes them to relaxed/<target>/<start>/"
        )
    return table


def _names_of_shard(evaluated: pa.Table, path: Path) -> tuple[Any, Any] | None:
    names = evaluated.select(["target", "start"]).group_by(["target", "start"]).aggregate([])
    if names.num_rows == 1:
        return names["target"][0].as_py(), names["start"][0].as_py()
    folder = path.absolute().parent
    if names.num_rows == 0 and folder.parent.parent.name == "relaxed":
        return folder.parent.name, folder.name
    return None
