"""Rows R24 to R27, R30, R31 and R37 to R39: steps that denoised starts save, and the minima that they end in
(the EDM paper's figures 10 to 12, 16 and 17)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.comparison.statistics import per_molecule
from prerelax.ledger.criteria import (
    TOO_FEW,
    Estimate,
    all_of,
    less,
    median_of,
    number,
    quantile_interval,
    share,
    unless,
)
from prerelax.ledger.edm_campaigns import (
    DRUG_TARGETS,
    DRUGS,
    OTHER_LEVEL,
    QM9,
    QM9_TARGETS,
    at_papers_level,
    first_shown,
    of_edm,
    pairs_at,
)
from prerelax.ledger.row import AbsentError, Finding, Found, Row, Verdict

LARGE_DELTA_KCAL_MOL = 0.2
RESAMPLES = 2000
"""of the bootstrap"""


def _saved(found: Found, targets: Sequence[str], start: str, paper: float) -> Finding:
    pairs = pairs_at(found, targets, start)
    return number(median_of(pairs["steps_saved_percent"], pairs["id"]), paper, 0.0, " %")


def _quartiles(found: Found, target: str) -> Finding:
    pairs = found.pairs(target, "edm-n50")
    pairs = pairs[pairs["baseline_n_steps"] > 0]  # no step is no speedup, as in the paper
    ratios = pairs["baseline_n_steps"] / pairs["n_steps"].clip(lower=1)
    times = pd.Series(per_molecule(ratios, pairs["id"]))
    parts = []
    for q, paper in ((0.25, 2.0), (0.75, 4.0)):
        quartile = Estimate(float(times.quantile(q)), *quantile_interval(times, q), len(times))
        parts.append(number(quartile, paper, unit=" times"))
    return all_of(parts)


def _deltas(found: Found, target: str) -> Finding:
    pairs = pd.concat([found.pairs(target, start) for start in ("edm-n20", "edm-n50")])
    large = pairs["delta_kcal_mol"].abs() > LARGE_DELTA_KCAL_MOL
    return less(share(large, pairs["id"]), 10, " % beyond 0.2 kcal/mol")


def _delta_is_a_difference(found: Found) -> Finding:
    def at(target: str) -> Finding:
        pairs, mates = found.pairs(target, "edm-n50"), found.starts_of(target, "mmff94")
        energies = mates.set_index(["id", "conformer"])["energy_ev"]
        keys = pd.MultiIndex.from_frame(pairs[["id", "conformer"]])
        expected = (pairs["energy_ev"].to_numpy() - energies.reindex(keys).to_numpy()) / KCAL_MOL
        off = float(np.nanmax(np.abs(expected - pairs["delta_kcal_mol"].to_numpy())))
        return Finding(f"{off:.1g} kcal/mol off at most", len(pairs), "same" if off < 0.01 else "opposite")

    return first_shown(("qm9", *DRUG_TARGETS), at)


def _outlier(found: Found) -> Finding:
    largest: tuple[float, str, int] | None = None
    for target in QM9_TARGETS:
        for start in ("edm-n20", "edm-n50"):
            try:
                pairs = found.pairs(target, start)
            except AbsentError:
                continue
            row = pairs.iloc[int(pairs["delta_kcal_mol"].abs().to_numpy().argmax())]
            if largest is None or abs(row["delta_kcal_mol"]) > abs(largest[0]):
                largest = (float(row["delta_kcal_mol"]), f"{row['id']}, {target}", len(pairs))
        if largest is not None:
            break
    if largest is None:
        raise AbsentError(f"{found.name} has no pair of edm-n20 or edm-n50")
    words = f"{largest[0]:.1f} kcal/mol, {largest[1]}"
    if abs(largest[0]) <= LARGE_DELTA_KCAL_MOL:
        return Finding(words, largest[2], "undecided", "no minimum is another one")
    verdict: Verdict = "same" if largest[0] < 0 else "opposite"
    objection = "" if target == "qm9" else OTHER_LEVEL
    return unless(objection, Finding(words, largest[2], verdict, "same: a deeper basin"))


def _unchanged(found: Found, targets: Sequence[str]) -> Finding:
    """How far the median is moved by the pairs whose minima differ, with an interval over molecules."""
    pairs = pairs_at(found, targets, "edm-n50")
    near = pairs[pairs["delta_kcal_mol"].abs() <= LARGE_DELTA_KCAL_MOL]
    kept, whole = (median_of(rows["steps_saved_percent"], rows["id"]) for rows in (near, pairs))
    words = f"{kept.value:.3g} %, of all {whole.text()}"
    if np.isnan(whole.low) or np.isnan(kept.low):
        return Finding(words, kept.n, "undecided", TOO_FEW)
    if whole.low <= 0 <= whole.high:
        return Finding(words, kept.n, "undecided", "there is no saving that could change")
    return number(_moved(pairs, near), 0.0, unit=" points").named(f"{words}; moved by ")


def _moved(pairs: pd.DataFrame, near: pd.DataFrame) -> Estimate:
    """Median of molecules among `near` less that of all `pairs`, molecules drawn with replacement."""
    saved = "steps_saved_percent"
    every = pairs.groupby("id")[saved].mean()
    each = pd.DataFrame({"all": every, "near": near.groupby("id")[saved].mean().reindex(every.index)})
    rng = np.random.default_rng(0)
    drawn = each.to_numpy()[rng.integers(len(each), size=(RESAMPLES, len(each)))]
    moved = np.nanmedian(drawn[..., 1], axis=1) - np.median(drawn[..., 0], axis=1)
    low, high = np.nanquantile(moved, (0.025, 0.975))
    value = float(each["near"].median() - each["all"].median())
    return Estimate(value, float(low), float(high), int(each["near"].notna().sum()))


ROWS = (
    Row(
        "R24",
        "E 10",
        "steps saved at B3LYP, n = 20, median",
        "40 %",
        QM9,
        at_papers_level(lambda f, target: _saved(f, (target,), "edm-n20", 40)),
    ),
    Row(
        "R25",
        "E 10",
        "steps saved at B3LYP, n = 50, median",
        "57 %",
        QM9,
        at_papers_level(lambda f, target: _saved(f, (target,), "edm-n50", 57)),
    ),
    Row("R26", "E 10", "quartiles of the speedup, n = 50", "2 and 4 times", QM9, at_papers_level(_quartiles)),
    Row("R27", "E 10", "minima differ by nothing, but for one", "~0", QM9, at_papers_level(_deltas)),
    Row(
        "R30",
        "E 11",
        "delta: the start's minimum less MMFF94's",
        "definition",
        (*QM9, *DRUGS),
        _delta_is_a_difference,
    ),
    Row(
        "R31",
        "E 12",
        "steps saved for drugs at GFN2-xTB, median",
        "7 %",
        DRUGS,
        of_edm(lambda f: _saved(f, DRUG_TARGETS, "edm-n50", 7)),
    ),
    Row("R37", "E 16", "the outlier found a deeper basin", "−0.9 kcal/mol", QM9, of_edm(_outlier)),
    Row(
        "R38",
        "E 17 left",
        "without outliers the saving is unchanged",
        "nearly",
        QM9,
        of_edm(lambda f: _unchanged(f, QM9_TARGETS)),
    ),
    Row(
        "R39",
        "E 17 right",
        "the same for drugs",
        "nearly",
        DRUGS,
        of_edm(lambda f: _unchanged(f, DRUG_TARGETS)),
    ),
)
