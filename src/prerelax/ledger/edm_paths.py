"""Rows R8 to R12, R32 and R34: energies of denoised starts and of the paths to them (EDM's figure 4)."""

import numpy as np
import pandas as pd

from prerelax.comparison.statistics import times_fewer
from prerelax.ledger.criteria import Estimate, all_of, estimated, less, mean_of, more, number
from prerelax.ledger.edm_campaigns import (
    DRUG_TARGETS,
    DRUGS,
    QM9,
    at_papers_level,
    first_shown,
    of_edm,
    pairs_at,
)
from prerelax.ledger.row import AbsentError, Finding, Found, Row
from prerelax.studies.paths.analysis import ZERO


def _path_mean(found: Found, target: str, where: str, paper: float) -> Finding:
    table = _above_papers_zero(found.table(f"figures/paths_{target}_numbers"))
    rows = table[(table["where"] == where) & table["start"].str.fullmatch(r"edm-n\d+")]
    if rows.empty:
        raise AbsentError(f"{found.name}: no path of edm-n20, n30, n50 at {target}")
    rows = rows.head(1) if where == "start" else rows
    means = [estimated(row, "mean_kcal_mol") for _, row in rows.iterrows()]
    return all_of([number(mean, paper, unit=" kcal/mol") for mean in means])


def _times_lower(found: Found, target: str) -> Finding:
    paths = _paths(found, target, "edm-n50")
    end, start = (np.maximum(paths[left], 0.0) for left in (paths.columns.min(), paths.columns.max()))
    return number(Estimate(*times_fewer(end, start), len(paths)), 10, 1.0, " times")


def _at_first(found: Found, target: str) -> Finding:
    """After the first fifth of the calls: n = 20 lower than its start, n = 50 higher."""
    parts = []
    for start, rises in (("edm-n20", False), ("edm-n50", True)):
        paths = _paths(found, target, start)
        left = np.sort(paths.columns.to_numpy())[::-1]
        change = paths[left[len(left) // 5]] - paths[left[0]]
        judge = more if rises else less
        part = judge(mean_of(change, paths.index), 0.0, " kcal/mol")
        parts.append(part.named(f"{start}: "))
    return all_of(parts)


def _below_zero(found: Found, target: str) -> Finding:
    paths = _paths(found, target, "edm-n50")
    below = int((paths < 0).any(axis=1).sum())
    words = f"{below} of {len(paths)}"
    if below:
        return Finding(words, len(paths), "same", "one is enough")
    return Finding(words, len(paths), "opposite" if len(paths) >= 45 else "undecided", "the paper has 45")


def _drug_paths(found: Found) -> Finding:
    paths = first_shown(DRUG_TARGETS, lambda target: _paths(found, target, "edm-n50"))
    change = paths[paths.columns.min()] - paths[paths.columns.max()]
    return less(mean_of(change, paths.index), 0.0, " kcal/mol from start to end")


def _paths(found: Found, target: str, start: str) -> pd.DataFrame:
    """Energies of a start's paths, kcal/mol: a row for each molecule, columns by the calls left."""
    table = _above_papers_zero(found.table(f"figures/paths_{target}"))
    rows = table[table["start"] == start]
    if rows.empty:
        raise AbsentError(f"{found.name}: no path of {start} at {target}")
    return rows.pivot_table(index="id", columns="calls_left", values="above_kcal_mol").dropna()


def _above_papers_zero(table: pd.DataFrame) -> pd.DataFrame:
    """The rows above the paper's zero where it is known, else all: above each path's own minimum."""
    above = table[table["zero"] == ZERO]
    return table if above.empty else above


def _drug_energies(found: Found) -> Finding:
    parts = []
    for start, paper in (("mmff94", 14.3), ("edm-n50", 8.3)):
        pairs = pairs_at(found, DRUG_TARGETS, start)
        mean = mean_of(pairs["start_above_minimum_kcal_mol"], pairs["id"])
        parts.append(number(mean, paper, unit=" kcal/mol"))
    return all_of(parts)


ROWS = (
    Row(
        "R8",
        "E 4",
        "MMFF94's minima lie above the DFT minimum",
        "~10 kcal/mol",
        QM9,
        at_papers_level(lambda f, target: _path_mean(f, target, "start", 10)),
    ),
    Row(
        "R9",
        "E 4",
        "paths end above it, for every n",
        "~1 kcal/mol",
        QM9,
        at_papers_level(lambda f, target: _path_mean(f, target, "end", 1)),
    ),
    Row("R10", "E, abstract", "energy of the start, times lower", "10", QM9, at_papers_level(_times_lower)),
    Row(
        "R11", "E 4", "n = 20 improves at once, n = 50 worsens first", "yes", QM9, at_papers_level(_at_first)
    ),
    Row("R12", "E 4", "some curves dip below zero", "some of 45", QM9, at_papers_level(_below_zero)),
    Row(
        "R32",
        "E 12",
        "energy above the minimum: MMFF94, denoised",
        "14.3, 8.3 kcal/mol",
        DRUGS,
        of_edm(_drug_energies),
    ),
    Row("R34", "E, footnote", "figure 4 for drugs: the energy falls", "yes", DRUGS, of_edm(_drug_paths)),
)
