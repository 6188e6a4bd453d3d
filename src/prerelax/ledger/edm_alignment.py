"""Rows R13 to R15 and R35: whether denoising steps go along the forces (EDM's figures 6 and 13)."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from prerelax.ledger.criteria import Estimate, all_of, estimated, less, more, unless
from prerelax.ledger.edm_campaigns import (
    DRUG_TARGETS,
    DRUGS,
    OTHER_LEVEL,
    QM9,
    QM9_TARGETS,
    first_shown,
    of_edm,
)
from prerelax.ledger.row import AbsentError, Finding, Found, Row

PAPERS = ("qm9",)
"""target whose forces the paper has, of QM9"""


def _forces_win(found: Found, targets: Sequence[str], papers: Sequence[str], late: bool) -> Finding:
    row = _alignment(found, targets, late)
    return _by_forces(less(estimated(row, "path_minus_forces"), 0.0), row, papers)


def _path_wins(found: Found) -> Finding:
    row = _alignment(found, QM9_TARGETS, late=True)
    return _by_forces(more(estimated(row, "path_minus_forces"), 0.0), row, PAPERS)


def _cosines(found: Found) -> Finding:
    """Cosines of steps and forces less those of forces and path, by molecule."""
    parts = []
    for of_1000 in (1, 10, 30):
        row = _alignment(found, QM9_TARGETS, late=True, of_1000=of_1000)
        name = "steps_minus_path_at_forces"
        mean, low, high = (float(row[f"{name}{end}"]) for end in ("", "_ci_low", "_ci_high"))
        part = less(Estimate(mean, low, high, int(row["n"])), 0.0)
        parts.append(part.named(f"k = {row['k']}: "))
    return _by_forces(all_of(parts), row, PAPERS)


def _by_forces(finding: Finding, row: pd.Series, papers: Sequence[str]) -> Finding:
    """With the target whose forces they are, which decides nothing where it is not among the paper's."""
    said = replace(finding, ours=f"{finding.ours}, forces of {row.name}")
    return unless("" if row.name in papers else OTHER_LEVEL, said)


def _alignment(found: Found, targets: Sequence[str], late: bool, of_1000: int = 10) -> pd.Series:
    """Numbers of so many steps of 1000, by the first or last checkpoint; the name is the target's."""
    k = _steps_of(found, of_1000)

    def at(target: str) -> pd.Series:
        table = found.table(f"figures/alignment_{target}_numbers")
        starts = list(dict.fromkeys(table["start"]))
        if not late and len(starts) < 2:
            raise AbsentError(f"{found.name}: no early checkpoint at {target}")
        rows = table[(table["start"] == starts[-1 if late else 0]) & (table["k"] == k)]
        if rows.empty:
            raise AbsentError(f"{found.name}: no alignment for k = {k} at {target}")
        row: pd.Series = rows.iloc[0]
        return row.rename(target)

    return first_shown(targets, at)


def _steps_of(found: Found, of_1000: int) -> int:
    """So many steps of a schedule of 1000 in those of the campaign's network, at least one."""
    try:
        timesteps = float(found.quantity("figures/phases_numbers", "steps of the schedule")["ours"])
    except AbsentError:  # every other network here has 1000
        return of_1000
    return max(1, round(of_1000 * timesteps / 1000))


ROWS = (
    Row(
        "R13",
        "E 6",
        "early in training the forces win (k = 10)",
        "yes",
        QM9,
        of_edm(lambda f: _forces_win(f, QM9_TARGETS, PAPERS, late=False)),
    ),
    Row("R14", "E 6", "late the direct path wins (k = 10)", "yes", QM9, of_edm(_path_wins)),
    Row(
        "R15",
        "E 6",
        "steps agree with the forces no more than the forces with the path",
        "yes",
        QM9,
        of_edm(_cosines),
    ),
    Row(
        "R35",
        "E 13",
        "drugs: the forces win (k = 10)",
        "yes",
        DRUGS,
        of_edm(lambda f: _forces_win(f, DRUG_TARGETS, DRUG_TARGETS, late=True)),
    ),
)
