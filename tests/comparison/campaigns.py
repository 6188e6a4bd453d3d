"""Small relaxed shards with numbers chosen by hand."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from prerelax.records.record import Record
from prerelax.records.shard import write_shard

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def relaxed(id: str, start: str, n_steps: int | None, **changes: Any) -> Record:
    """A relaxation of water that converged after `n_steps`, or, with None, one that never began."""
    if n_steps is None:
        return Record(id=id, start=start, **{"status": "embed_failed", "message": "no geometry", **changes})
    scalars: dict[str, Any] = {
        "target": "gfn2",
        "converged": True,
        "energy_ev": -10.0,
        "start_energy_ev": -9.9,
        "fmax_ev_ang": 0.02,
        "connectivity_unchanged": True,
        "rmsd_ang": 0.1,
        "rmsd_symmetry_ang": 0.05,
        "wall_s": 2.0,
        "stages_s": {"rdkit": 0.25, "mmff94": 0.5, "gfn2": 2.0},
        "settings": '{"engine": "tblite", "method": "GFN2-xTB"}',
        "n_steps": n_steps,
        "n_gradients": n_steps + 1,
        **changes,
    }
    numbers = np.array([8, 1, 1])
    return Record(id=id, start=start, numbers=numbers, positions=WATER, smiles="[O:1]([H:2])[H:3]", **scalars)


def not_converged(id: str, start: str, n_steps: int, **changes: Any) -> Record:
    return relaxed(id, start, n_steps, converged=False, status="not_converged", **changes)


def write_campaign(root: Path, records: Iterable[Record], target: str = "gfn2") -> list[Path]:
    """Shards relaxed/<target>/<start>/0000.extxyz under `root`; returns these folders."""
    starts: dict[str, list[Record]] = {}
    for record in records:
        starts.setdefault(record.start, []).append(record)
    folders = [root / "relaxed" / target / start for start in starts]
    for folder, rows in zip(folders, starts.values(), strict=True):
        write_shard(folder / "0000.extxyz", rows)
    return folders
