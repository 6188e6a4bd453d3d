"""Validation losses over a training, of the averaged weights and of the current ones (paper M, figure 16)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from prerelax.errors import UserError

COLUMNS = {"validation/loss": "averaged_loss", "validation/current_loss": "current_loss"}


def training_curves(trainings: Mapping[str, Path]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rows (model, step, averaged_loss, current_loss), and why models named have none.

    `trainings` are folders of trainings; all runs that a resumed one consists of are read.
    """
    parts, absent = [], {}
    for model, folder in trainings.items():
        try:
            parts.append(_curve(folder).assign(model=model))
        except UserError as error:
            absent[model] = str(error)
    columns = ["model", "step", *COLUMNS.values()]
    return (pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)), absent


def _curve(folder: Path) -> pd.DataFrame:
    logs = [pd.read_csv(path) for path in sorted(folder.glob("logs/*/metrics.csv")) if path.stat().st_size]
    rows = pd.concat(logs) if logs else pd.DataFrame()
    missing = [name for name in ("step", *COLUMNS) if name not in rows]
    if missing:
        raise UserError(f"{folder}: its logs have no {', '.join(missing)}")
    validated = rows[rows["validation/loss"].notna()].drop_duplicates("step", keep="last").sort_values("step")
    return validated.rename(columns=COLUMNS)[["step", *COLUMNS.values()]]


def summarise_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """The best and last losses, and their jumps: standard deviation of the log ratios of neighbours."""
    import numpy as np

    rows = []
    for model, part in curves.groupby("model", sort=False):
        row: dict[str, object] = {"model": model, "steps": int(part.step.max()), "n": len(part)}
        late = part.iloc[len(part) // 2 :]
        for name in COLUMNS.values():
            row[f"{name}_last"] = part[name].iloc[-1]
            row[f"{name}_best"] = part[name].min()
            row[f"{name}_jumps"] = float(np.log(late[name]).diff().std()) if len(late) > 2 else np.nan
        rows.append(row)
    return pd.DataFrame(rows)
