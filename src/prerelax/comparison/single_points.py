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
Point = tuple[float | None, str]
"""energy in eV, or why there is none"""

BEGINNING = "single_point_"
"""of the columns' names"""


def column_of(points: str) -> str:
    """Of a level's name."""
    return f"{BEGINNING}{points.replace('-', '_')}_ev"


def with_single_points(table: pa.Table, inputs: Sequence[Path]) -> pa.Table:
    """`table` of `read_relaxations` with a column for each level of the campaigns whose folders `inputs` are.

    Null where a relaxation was not evaluated; where that failed, `message` says why. Raises ShardError for a
    damaged shard.
    """
    found: dict[str, dict[Key, Point]] = {}
    for results, folders in groupby(inputs, lambda folder: folder.absolute().parent.parent.parent):
        if not (results / CAMPAIGN_FILE).is_file():
            continue
        names = list(read_campaign(results / CAMPAIGN_FILE).single_points)
        for folder in folders:
            target, start = folder.parent.name, folder.name
            for name in names:
                here = results / points_folder(name, target, start)
                found.setdefault(name, {}).update(_points_in(here, target, start))
    keys = list(zip(*(table[n].to_pylist() for n in ("target", "start", "id", "conformer")), strict=True))
    for name, points in found.items():
        energies, reasons = (
            zip(*(points.get(key, (None, "")) for key in keys), strict=True) if keys else ((), ())
        )
        table = table.append_column(column_of(name), pa.array(energies, pa.float64()))
        table = _with_reasons(table, name, reasons)
    return table


def energies_in(folder: Path, target: str, start: str) -> Iterator[tuple[Key, float]]:
    """What the shards of a folder `single_points/<name>/<target>/<start>` have. Raises ShardError."""
    for key, (energy, _) in _points_in(folder, target, start):
        if energy is not None:
            yield key, energy


def _with_reasons(table: pa.Table, name: str, reasons: Sequence[str]) -> pa.Table:
    """`table` whose relaxed rows say why the level `name` gave no energy; `reasons` are empty elsewhere."""
    rows = zip(table["status"].to_pylist(), table["message"].to_pylist(), reasons, strict=True)
    messages = [
        "; ".join(filter(None, (message, f"{name}: {reason}"))) if reason and status == "ok" else message
        for status, message, reason in rows
    ]
    place = table.column_names.index("message")
    return table.set_column(place, "message", pa.array(messages, table.schema.field("message").type))


def _points_in(folder: Path, target: str, start: str) -> Iterator[tuple[Key, Point]]:
    for shard in sorted(folder.glob("*.extxyz")):
        with opened_table(table_path(shard)) as file:
            rows = file.read(columns=["id", "conformer", "status", "message", "energy_ev"]).to_pylist()
        for row in rows:
            fine = row["energy_ev"] is not None and row["status"] == "ok"
            point = (row["energy_ev"], "") if fine else (None, f"{row['status']}: {row['message']}")
            yield (target, start, row["id"], row["conformer"]), point
