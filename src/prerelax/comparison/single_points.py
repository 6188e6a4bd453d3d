"""Energies at further levels beside the relaxations whose ends they are of: `single_point_<name>_ev`."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from prerelax.campaign.layout import points_folder
from prerelax.campaign.stages import CAMPAIGN_FILE, read_campaign
from prerelax.records.seal import opened_table, table_path

Key = tuple[str, str, str, int]
"""target, start, id, conformer"""


BEGINNING = "single_point_"
"""of the columns' names"""


def column_of(points: str) -> str:
    """Of a level's name."""
    return f"{BEGINNING}{points.replace('-', '_')}_ev"


def with_single_points(table: pa.Table, inputs: Sequence[Path]) -> pa.Table:
    """`table` of `read_relaxations` with a column for each level of the campaigns whose folders `inputs` are.

    Null where a relaxation was not evaluated. Raises ShardError for a damaged shard.
    """
    found: dict[str, dict[Key, float]] = {}
    for results, folders in groupby(inputs, lambda folder: folder.absolute().parent.parent.parent):
        if not (results / CAMPAIGN_FILE).is_file():
            continue
        names = list(read_campaign(results / CAMPAIGN_FILE).single_points)
        for folder in folders:
            target, start = folder.parent.name, folder.name
            for name in names:
                here = results / points_folder(name, target, start)
                found.setdefault(name, {}).update(energies_in(here, target, start))
    keys = list(zip(*(table[n].to_pylist() for n in ("target", "start", "id", "conformer")), strict=True))
    for name, energies in found.items():
        values = [energies.get(key) for key in keys]
        table = table.append_column(column_of(name), pa.array(values, pa.float64()))
    return table


def energies_in(folder: Path, target: str, start: str) -> Iterator[tuple[Key, float]]:
    """What the shards of a folder `single_points/<name>/<target>/<start>` have. Raises ShardError."""
    for shard in sorted(folder.glob("*.extxyz")):
        with opened_table(table_path(shard)) as file:
            rows = file.read(columns=["id", "conformer", "status", "energy_ev"]).to_pylist()
        for row in rows:
            if row["energy_ev"] is not None and row["status"] == "ok":
                yield (target, start, row["id"], row["conformer"]), row["energy_ev"]
