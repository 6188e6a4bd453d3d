"""Energies of what methods end in, above the minimum, at a level that none is made for (paper M, 6)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ase import units

from prerelax.errors import UserError
from prerelax.molecules.status import PROCEED
from prerelax.relaxation.single_points import Frame, read_frames
from prerelax.studies.relaxation.table import rows_of_start

KCAL_PER_EV = units.mol / units.kcal
FOLDER = "relaxation_energies"
PAPER = {
    "jt": "mostly < 1 kcal/mol",
    "itp": "mostly < 1 kcal/mol",
    "as": "higher than JT and ITP",
    "mlff": "mostly below the reference",
    "gfn2": "mostly below the reference",
}


def method_energies(results: Path, reference: str, input_name: str, methods: Sequence[str]) -> pd.DataFrame:
    """Rows (method, molecule, conformer): energy above the reference's in kcal/mol, or why there is none.

    Read from `RESULTS/relaxation_energies/START/*.extxyz`, which `prerelax energies` wrote of the starts
    `reference`, `input_name` and METHOD-INPUT. Raises UserError where a start has none.
    """
    minima = {frame.record.id: frame for frame in _frames(results, reference)}
    rows: list[dict[str, object]] = []
    for method in ["input", *methods]:
        start = input_name if method == "input" else f"{method}-{input_name}"
        statuses = {(r.id, r.conformer): (r.status, r.message) for r in rows_of_start(results, start)}
        for frame in _frames(results, start):
            status, message = statuses.get(frame.molecule, (frame.record.status, frame.record.message))
            minimum = minima.get(frame.record.id)
            energy = None
            if status in PROCEED and frame.energy_ev is None:
                status, message = frame.record.status, frame.record.message
            elif status in PROCEED and (minimum is None or minimum.energy_ev is None):
                status, message = "input_error", "the minimum has no energy"
            elif status in PROCEED and minimum is not None:
                assert frame.energy_ev is not None and minimum.energy_ev is not None
                energy = (frame.energy_ev - minimum.energy_ev) * KCAL_PER_EV
            rows.append(
                {
                    "method": method,
                    "id": frame.record.id,
                    "conformer": frame.record.conformer,
                    "energy_kcal_mol": energy,
                    "status": status,
                    "message": message,
                }
            )
    return pd.DataFrame(rows).astype({"energy_kcal_mol": float})


def _frames(results: Path, start: str) -> list[Frame]:
    shards = sorted((results / FOLDER / start).glob("[0-9]*.extxyz"))
    if not shards:
        raise UserError(
            f"{results / FOLDER / start}: no energies; run `prerelax energies` on the start first"
        )
    return [frame for shard in shards for frame in read_frames(shard)]


def summarise_energies(table: pd.DataFrame) -> pd.DataFrame:
    """Median, quartiles, shares below the reference and within 1 kcal/mol, with the paper's words beside."""
    rows = []
    for method, part in table.groupby("method", sort=False):
        known = part.energy_kcal_mol.dropna()
        low, high = known.quantile([0.25, 0.75]) if len(known) else (np.nan, np.nan)
        rows.append(
            {
                "method": method,
                "n": len(known),
                "without_energy": int(part.energy_kcal_mol.isna().sum()),
                "median_kcal_mol": known.median(),
                "quartile_1_kcal_mol": low,
                "quartile_3_kcal_mol": high,
                "below_reference_percent": 100 * (known < 0).mean() if len(known) else np.nan,
                "below_1_kcal_mol_percent": 100 * (known < 1).mean() if len(known) else np.nan,
                "paper": PAPER.get(str(method)),
            }
        )
    return pd.DataFrame(rows)
