"""The relaxed shards of a campaign as one Arrow table: the scalars alone, read file by file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prerelax.records.record import COLUMNS, TABLE_SCHEMA, as_table
from prerelax.records.seal import ShardError, check_size, opened_table, refused, table_path
from prerelax.records.settings import level_name
from prerelax.records.shard import read_shard

BEFORE = "wall_s_before_"
"""Prefix of a column with the seconds of one stage before the relaxation, by the stage's name."""

NOT_COMPARED = ("settings", "start_settings", "shard", "frame")
"""Columns of `read_relaxations` that say where a row comes from; the comparison has none of them."""

_COLUMNS = [*(name for name, column in COLUMNS.items() if column.compared), "n_atoms"]
_NULL_IF_ABSENT = {
    name: TABLE_SCHEMA.field(name).type for name, column in COLUMNS.items() if column.absent_before
}


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
            folder = file.parent if file.suffix == ".extxyz" else file
            target, start = folder.parent.name, folder.name
            which = f"the relaxation of start {start} at target {target}" if target else "its relaxation"
            raise ShardError(
                f"{file}: no such shard; run {which} first (`prerelax relax`; rules relax_xtb, relax_dft)"
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


def read_relaxations(
    inputs: Sequence[Path], n_shards: int | None = None, expected: Mapping[Path, int] | None = None
) -> pa.Table:
    """Every row of the shards of `inputs` (see `shard_files`), in their order.

    Columns are the scalars of `prerelax.records.record.Record` under their names, with its units, except for
    the seconds: `wall_s_relax` of the relaxation, null where the row never came to it, and one column
    `wall_s_before_<stage>` for each stage before. `level` and `optimizer` are those of the settings, null on
    rows that were not relaxed; `n_gradients_of_start` are gradients at that level which made the start;
    `shard` and `frame` say where the geometry is. Reads the Parquet table beside each shard, and the frames
    only where that table is missing. Raises ShardError
    where a file is missing, is no shard, holds rows that were never meant for a target, or another number of
    rows than `expected` of it.
    """
    files = shard_files(inputs, n_shards)
    tables = [_of_file(_with_names_of_shard(_read_whole(file, expected or {}), file), file) for file in files]
    tables = [_with_seconds(_with_level(table)) for table in tables or [as_table([]).select(_COLUMNS)]]
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()


def _of_file(table: pa.Table, shard: Path) -> pa.Table:
    name = pa.array([str(shard)] * table.num_rows, pa.string()).dictionary_encode()
    table = table.append_column("shard", name)
    return table.append_column("frame", pa.array(range(table.num_rows), pa.int32()))


def _read_whole(shard: Path, expected: Mapping[Path, int]) -> pa.Table:
    table = _read(shard)
    if table.num_rows != expected.get(shard, table.num_rows):
        raise refused(shard, f"{shard}: {table.num_rows} rows where the campaign has {expected[shard]}")
    return table


def _read(shard: Path) -> pa.Table:
    path = table_path(shard)
    if not path.exists():
        return as_table(read_shard(shard)).select(_COLUMNS)
    with opened_table(path) as file:
        check_size(shard, file)
        missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
        table = None if set(missing) - set(_NULL_IF_ABSENT) else file.read(columns=list(_COLUMNS))
    if table is None:
        raise ShardError(
            f"{path}: lacks {', '.join(missing)}; it is of another version of prerelax, relax again"
        )
    for name in missing:
        table = table.append_column(name, pa.nulls(table.num_rows, _NULL_IF_ABSENT[name]))
    return table.select(_COLUMNS)


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


def _with_level(table: pa.Table) -> pa.Table:
    """`table` with the level and optimizer that its settings name, and what the start cost at that level."""
    settings = [json.loads(text) if text else {} for text in table["settings"].unique().to_pylist()]
    place = pc.index_in(table["settings"], table["settings"].unique()).to_pylist()
    levels = [level_name(each) if each else None for each in settings]
    optimizers = [each.get("optimizer") for each in settings]
    spent = [
        json.loads(text).get(levels[at], 0) if text and text != "{}" else 0
        for text, at in zip(table["gradients_of_levels"].to_pylist(), place, strict=True)
    ]
    table = table.drop_columns(["gradients_of_levels"])
    table = table.append_column("level", pa.array([levels[at] for at in place], pa.string()))
    table = table.append_column("optimizer", pa.array([optimizers[at] for at in place], pa.string()))
    return table.append_column("n_gradients_of_start", pa.array(spent, pa.int64()))


def _with_seconds(table: pa.Table) -> pa.Table:
    """`table` with the seconds of every stage in a column, in place of the JSON; settings as a dictionary."""
    relaxed = pc.is_valid(table["n_gradients"])
    relax = pc.if_else(relaxed, table["wall_s"], pa.scalar(None, pa.float64()))
    before: dict[str, list[float]] = {}
    columns = (table["stages_s"].to_pylist(), table["target"].to_pylist(), relax.to_pylist())
    for row, (text, target, own) in enumerate(zip(*columns, strict=True)):
        stages = json.loads(text) if text else {}
        # The relaxation's seconds stand under its target's name, added to those of a start of that name.
        if own is not None and target in stages:
            stages[target] = max(stages[target] - own, 0.0)
        for stage, seconds in stages.items():
            if seconds:
                before.setdefault(stage, [0.0] * table.num_rows)[row] = seconds
    for name in ("settings", "start_settings"):
        coded = table[name].dictionary_encode()
        table = table.set_column(table.column_names.index(name), name, coded)
    table = table.drop_columns(["wall_s", "stages_s"]).append_column("wall_s_relax", relax)
    for stage, values in before.items():
        table = table.append_column(f"{BEFORE}{stage}", pa.array(np.array(values)))
    return table
