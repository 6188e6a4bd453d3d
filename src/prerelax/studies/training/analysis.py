"""Steps saved by the checkpoints of a training, epoch by epoch (paper E, figures 10 right and 17)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.stats import spearmanr

from prerelax.comparison.statistics import distribution, mean_interval, per_molecule
from prerelax.comparison.summary import (
    ALL,
    PAPER_CODE_FILTER_KCAL_MOL,
    PAPER_TEXT_FILTER_KCAL_MOL,
    WITHIN_CODE_FILTER,
    WITHIN_TEXT_FILTER,
    usable,
)
from prerelax.errors import UserError
from prerelax.studies.training.config import Checkpoint

PAPER_STEPS_SAVED_PERCENT = {20: 40.0, 50: 57.0}
"""Paper E, figure 10: median at B3LYP/6-31G(2df,p) after 5150 epochs, by the number n of denoising steps."""

FEWEST_CHECKPOINTS = 5
"""that tell a trend"""

FILTERS_KCAL_MOL = {
    ALL: np.inf,
    WITHIN_TEXT_FILTER: PAPER_TEXT_FILTER_KCAL_MOL,
    WITHIN_CODE_FILTER: PAPER_CODE_FILTER_KCAL_MOL,
}
"""Which pairs count, by the largest difference of their minima: figure 10, figure 17 as its text and as its
code have it."""


def last_epoch(training: Path) -> float:
    """The epoch at which a training wrote its newest model. Raises UserError where its folder has none."""
    config = training / "model" / "config.yaml"
    try:
        return float(yaml.safe_load(config.read_text())["training"]["epochs"])
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{config}: says nothing of the training's epochs ({error})") from None


def with_epochs(checkpoints: Mapping[str, Checkpoint], trainings: Path) -> dict[str, Checkpoint]:
    """The checkpoints with the epoch of the training's newest model where none is said.

    `trainings` holds a folder for each model. Raises UserError as `last_epoch`.
    """
    return {
        start: checkpoint
        if checkpoint.epoch is not None
        else checkpoint.model_copy(update={"epoch": last_epoch(trainings / checkpoint.model)})
        for start, checkpoint in checkpoints.items()
    }


def training_speedup(
    comparison: pd.DataFrame, baseline: str, checkpoints: Mapping[str, Checkpoint]
) -> pd.DataFrame:
    """One row for each start of `checkpoints`, target and subset of its counted pairs.

    `steps_saved_percent_*` and `gradients_saved_percent_*`: median, quartiles, 95 % interval, mean;
    `rise`: mean over molecules of Spearman's ρ of a molecule's saving and the epoch, with a 95 % interval and
    its number of molecules, the same for all checkpoints of a model and n;
    `energy_ratio`: median of the baseline's energy above its minimum over this start's above its own;
    `n_counted` molecules of `n_rows`, and the most frequent reason of what is left out. `paper_percent` of
    the fully trained network beside them.
    """
    rows: list[dict[str, object]] = []
    saved: list[pd.Series] = []
    for target in comparison["target"].cat.categories:
        for start, checkpoint in checkpoints.items():
            for subset, limit in FILTERS_KCAL_MOL.items():
                row, counted = _row(comparison, target, start, checkpoint, baseline, subset, limit)
                rows.append(row)
                each = counted.groupby("id", observed=True)["steps_saved_percent"].mean()
                saved.append(each.rename(len(saved)))
    table = _with_rises(pd.DataFrame(rows), saved)
    return table.sort_values(
        ["target", "model", "steps", "subset", "epoch"], kind="stable", ignore_index=True
    )


def _row(
    comparison: pd.DataFrame,
    target: str,
    start: str,
    checkpoint: Checkpoint,
    baseline: str,
    subset: str,
    limit: float,
) -> tuple[dict[str, object], pd.DataFrame]:
    at_target = comparison[comparison["target"] == target]
    relaxations = at_target[at_target["start"] == start]
    pairs = usable(relaxations)
    counted = pairs[pairs["delta_kcal_mol"].abs() <= limit]
    mates = at_target[at_target["start"] == baseline].set_index(["id", "conformer"])
    above = "start_above_minimum_kcal_mol"
    of_baseline = mates[above].reindex(pd.MultiIndex.from_frame(counted[["id", "conformer"]])).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = per_molecule(of_baseline / counted[above].to_numpy(), counted["id"])
    reasons = relaxations.loc[~relaxations.index.isin(pairs.index), "pair"].astype(str)
    row: dict[str, object] = {
        "target": target,
        "model": checkpoint.model,
        "steps": checkpoint.steps,
        "epoch": checkpoint.epoch,
        "start": start,
        "subset": subset,
        "n_rows": len(relaxations),
        "n_counted": counted["id"].nunique(),
        "left_out": "" if reasons.empty else reasons.mode().iloc[0],
        "energy_ratio": float(np.median(ratio)) if len(ratio) else np.nan,
        "paper_percent": PAPER_STEPS_SAVED_PERCENT.get(checkpoint.steps, np.nan),
    }
    for quantity in ("steps_saved_percent", "gradients_saved_percent"):
        numbers = vars(distribution(counted[quantity], counted["id"]))
        row |= {f"{quantity}_{name}": value for name, value in numbers.items() if name != "n"}
    return row, counted


def _with_rises(table: pd.DataFrame, saved: Sequence[pd.Series]) -> pd.DataFrame:
    """The table with the rise over training of each model; `saved` has each row's savings by molecule."""
    parts = []
    for _, rows in table.groupby(["target", "model", "steps", "subset"], sort=False):
        each = pd.concat([saved[place] for place in rows.index], axis=1)
        rho = each.apply(_rank_correlation, axis=1, epochs=rows["epoch"].to_numpy(float)).dropna()
        low, high = mean_interval(rho.to_numpy())
        rise = {"rise": rho.mean(), "rise_ci_low": low, "rise_ci_high": high, "rise_n": len(rho)}
        parts.append(rows.assign(**rise))
    return pd.concat(parts)


def _rank_correlation(saved: pd.Series, epochs: NDArray[np.float64]) -> float:
    """Spearman's ρ; 0 where all checkpoints save alike, nan for fewer than five."""
    known = saved.notna().to_numpy()
    values = saved.to_numpy(float)[known]
    if len(values) < FEWEST_CHECKPOINTS:
        return np.nan
    if np.ptp(values) == 0:
        return 0.0
    return float(spearmanr(epochs[known], values).statistic)
