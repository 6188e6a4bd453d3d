"""Rows R5, R28, R29 and R33: how the saving grows over the EDM's training (figures 10 and 12)."""

import numpy as np
import pandas as pd

from prerelax.comparison.statistics import FEWEST
from prerelax.comparison.summary import ALL
from prerelax.ledger.criteria import TOO_FEW, Estimate, all_of, more, number
from prerelax.ledger.edm_campaigns import DRUG_TARGETS, DRUGS, QM9, QM9_TARGETS, first_shown, of_edm
from prerelax.ledger.row import AbsentError, Finding, Found, Row, Verdict
from prerelax.studies.training.analysis import FEWEST_CHECKPOINTS

NO_GRAPHICS_CARD = "needs the paper's 6 200 epochs: days of a graphics card"


def _rises(found: Found) -> Finding:
    def at(target: str) -> Finding:
        rows = _over_training(found, target)
        medians, row = rows["steps_saved_percent_median"], rows.iloc[0]
        words = f"{medians.iloc[0]:.0f} → {medians.iloc[-1]:.0f} %, {target}; ρ of a molecule "
        value, low, high = (float(row[name]) for name in ("rise", "rise_ci_low", "rise_ci_high"))
        if len(rows) < FEWEST_CHECKPOINTS:
            return Finding(words, None, "undecided", f"{len(rows)} checkpoints tell no trend")
        return more(Estimate(value, low, high, int(row["rise_n"])), 0.0).named(words)

    return first_shown(QM9_TARGETS, at)


def _early_epochs(found: Found) -> Finding:
    table = _over_training(found, "qm9")
    parts = []
    for epoch, percent in ((50, 0.0), (100, 4.0)):
        rows = table[table["epoch"] == epoch]
        if rows.empty:
            raise AbsentError(f"{found.name} has no epoch {epoch}")
        row = rows.iloc[0]
        median, low, high = (
            float(row[f"steps_saved_percent_{key}"]) for key in ("median", "ci_low", "ci_high")
        )
        part = number(Estimate(median, low, high, int(row["n_counted"])), percent, unit=" %")
        parts.append(part.named(f"{row['energy_ratio']:.1f} times, "))
    return all_of(parts)


def _linear(found: Found) -> Finding:
    rows = first_shown(DRUG_TARGETS, lambda target: _over_training(found, target))
    if len(rows) < FEWEST_CHECKPOINTS:
        return Finding(f"{len(rows)} checkpoints", None, "undecided", "five are needed")
    n = int(rows["n_counted"].min())
    medians = rows["steps_saved_percent_median"]
    if n < FEWEST or medians.nunique() < 2:
        return Finding(f"{len(rows)} checkpoints", n, "undecided", TOO_FEW if n < FEWEST else "all alike")
    r2 = float(np.corrcoef(rows["epoch"], medians)[0, 1] ** 2)
    verdict: Verdict = "same" if r2 > 0.9 else "opposite"
    return Finding(f"R² = {r2:.2f}", n, verdict, "same: R² above 0.9")


def _over_training(found: Found, target: str) -> pd.DataFrame:
    """Savings of n = 50 by epoch over all pairs, where molecules were counted."""
    table = found.table(f"figures/training_speedup_{target}")
    counted = (table["steps"] == 50) & (table["subset"] == ALL) & (table["n_counted"] > 0)
    rows = table[counted].sort_values("epoch", kind="stable")
    if rows.empty:
        raise AbsentError(f"{found.name}: no checkpoint counts at {target}")
    return rows


ROWS = (
    Row(
        "R5",
        "E, methods",
        "validation improves to about epoch 3000; best 5150",
        "5150",
        needs=NO_GRAPHICS_CARD,
    ),
    Row("R28", "E 10", "the saving rises with training", "yes", QM9, of_edm(_rises)),
    Row("R29", "E 10", "epochs 50 and 100: energy, saving", "2 ×, 0 %; 3 ×, 4 %", QM9, of_edm(_early_epochs)),
    Row("R33", "E 12", "the saving is near linear in training", "yes", DRUGS, of_edm(_linear)),
)
