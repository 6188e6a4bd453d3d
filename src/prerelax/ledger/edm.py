"""Rows R1 to R39: Rothchild et al., Chem. Sci. 2024, 15, 13506 (paper E)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.comparison.statistics import FEWEST, distribution, mean_interval, times_fewer
from prerelax.ledger import edm_boltzmann as boltzmann
from prerelax.ledger.criteria import (
    TOO_FEW,
    all_of,
    first,
    less,
    mean_of,
    median_number,
    more,
    number,
    quantile_interval,
    rising,
    share,
    text,
    unless,
)
from prerelax.ledger.edm_boltzmann import QM9
from prerelax.ledger.row import AbsentError, Finding, Found, Judge, Row, Verdict

DRUGS = ("edm-drugs", "edm-drugs-mini")
DRUG_TARGETS = ("gfn2", "gfn2-small")
VALID_SHARE = 0.5
"""Of its molecules that a network must make with allowed valences before its chains prove anything."""
LARGE_DELTA_KCAL_MOL = 0.2
Shown = TypeVar("Shown")
OTHER_LEVEL = "at GFN2-xTB, which is not the paper's level"
TOLD_MORE = {
    "edm-qm9-mini": "its network knows the bonds, the paper's does not",
    "edm-drugs-mini": "its network knows the bonds and learned from MMFF94's minima, the paper's did not",
}
"""Campaigns whose networks are no EDM as published, which proves nothing of it."""
NO_GRAPHICS_CARD = "needs the paper's 6 200 epochs: days of a graphics card"


def _first_shown(targets: Sequence[str], at: Callable[[str], Shown]) -> Shown:
    """What `at` finds at the first of the targets that has it. Raises AbsentError where none does."""
    reasons = []
    for target in targets:
        try:
            return at(target)
        except AbsentError as reason:
            reasons.append(str(reason))
    raise AbsentError("; ".join(dict.fromkeys(reasons)))


def _of_edm(judge: Judge) -> Judge:
    """A claim on the paper's network, which those of some campaigns are not."""

    def at(found: Found) -> Finding:
        return unless(TOLD_MORE.get(found.name, ""), judge(found))

    return at


def _at_papers_level(judge: Callable[[Found, str], Finding]) -> Judge:
    """At QM9's own level; where that was not affordable GFN2-xTB's numbers, which decide nothing."""

    def at(found: Found) -> Finding:
        try:
            return judge(found, "qm9")
        except AbsentError:
            finding = judge(found, "gfn2")
            return unless(OTHER_LEVEL, replace(finding, ours=f"{finding.ours}, GFN2-xTB"))

    return _of_edm(at)


def _numbers(target: str, found: Found, study: str) -> pd.DataFrame:
    return found.table(f"figures/{study}_{target}_numbers")


def _invalid(found: Found) -> str:
    """Why the generating network proves nothing; empty where it makes molecules."""
    share_valid = float(found.quantity("figures/phases_numbers", "share of finished molecules")["ours"])
    return "" if share_valid >= VALID_SHARE else f"{100 * share_valid:.0f} % of its molecules are valid"


def _settled(found: Found, whom: str, what: str = "element") -> float:
    words = f"steps left when half of the {whom} have their final {what}"
    return float(found.quantity("figures/phases_numbers", words)["ours_of_1000"])


def _elements(found: Found) -> Finding:
    step = _settled(found, "molecules")
    n = int(found.quantity("figures/phases_numbers", "molecules")["ours"])
    words = "steps left when the schedule alone makes half of the molecules"
    null = float(found.quantity("figures/phases_numbers", words)["ours_of_1000"])
    if abs(step - null) <= 5:
        return Finding(f"{step:.0f}", n, "undecided", f"the schedule alone gives {null:.0f}")
    verdict: Verdict = "same" if 40 <= step <= 60 else "opposite"
    return unless(
        _invalid(found),
        Finding(f"{step:.0f}", n, verdict, f"same: 40 to 60; the schedule alone gives {null:.0f}"),
    )


def _at_once(found: Found) -> Finding:
    atoms, molecules = _settled(found, "atoms"), _settled(found, "molecules")
    verdict: Verdict = "same" if atoms - molecules < 20 else "opposite"
    words = f"atoms at {atoms:.0f}, molecules at {molecules:.0f}"
    return unless(_invalid(found), Finding(words, None, verdict, "same: within 20 steps of 1000"))


def _valences(found: Found) -> Finding:
    valence, element = _settled(found, "molecules", "valence"), _settled(found, "molecules")
    verdict: Verdict = "same" if valence < element else "opposite"
    words = f"{valence:.0f} against {element:.0f} steps left"
    return unless(_invalid(found), Finding(words, None, verdict, "same: fewer steps left"))


def _step_size(found: Found) -> Finding:
    table = found.table("figures/phases")
    return rising(table["steps_left"], table["step_size_ang"], "step size against steps left")


def _falls(found: Found) -> Finding:
    row = found.quantity("figures/chain_end_numbers", "the same, chain averaged")
    finding = more(float(row["ours"]), float(row["ci_low"]), float(row["ci_high"]), 0.75, _chains(found))
    return unless(_invalid(found), finding)


def _below_line(found: Found) -> Finding:
    words = "share of geometries at which the chain is lower"
    row = found.quantity("figures/chain_end_numbers", words)
    finding = more(float(row["ours"]), float(row["ci_low"]), float(row["ci_high"]), 0.5, _chains(found))
    return unless(_invalid(found), finding)


def _samples(found: Found) -> Finding:
    table = found.table("figures/samples")
    valid = int((table["allowed_atoms"] == 1).sum())
    words = f"drawn; {valid} of {len(table)} with allowed valences alone"
    return Finding(words, len(table), "undecided", "a drawing is judged by eye")


def _chains(found: Found) -> int:
    return int(found.table("figures/chain_end")["id"].nunique())


def _zeroed(found: Found, target: str) -> pd.DataFrame:
    """Path numbers above the paper's zero where it is known, else above each path's own minimum."""
    table = _numbers(target, found, "paths")
    above = table[table["zero"] == "data set's minimum"]
    return table if above.empty else above


def _path_mean(found: Found, target: str, where: str, paper: float) -> Finding:
    table = _zeroed(found, target)
    rows = table[(table["where"] == where) & table["start"].str.fullmatch(r"edm-n\d+")]
    if rows.empty:
        raise AbsentError(f"{found.name}: no path of edm-n20, n30, n50 at {target}")
    rows = rows.head(1) if where == "start" else rows
    return all_of(
        [
            number(mean, low, high, paper, int(n), unit=" kcal/mol")
            for mean, low, high, n in rows[["mean_kcal_mol", "ci_low", "ci_high", "n"]].to_numpy(float)
        ]
    )


def _paths(found: Found, target: str, start: str) -> pd.DataFrame:
    """Energies of a start's paths, kcal/mol: a row for each molecule, columns by the calls left."""
    table = found.table(f"figures/paths_{target}")
    zeros = table["zero"].unique()
    zero = "data set's minimum" if "data set's minimum" in zeros else zeros[0]
    rows = table[(table["start"] == start) & (table["zero"] == zero)]
    if rows.empty:
        raise AbsentError(f"{found.name}: no path of {start} at {target}")
    return rows.pivot_table(index="id", columns="calls_left", values="above_kcal_mol").dropna()


def _times_lower(found: Found, target: str) -> Finding:
    paths = _paths(found, target, "edm-n50")
    times, low, high = times_fewer(
        np.maximum(paths[paths.columns.min()], 0.0), np.maximum(paths[paths.columns.max()], 0.0)
    )
    return number(times, low, high, 10, len(paths), 1.0, " times")


def _at_first(found: Found, target: str) -> Finding:
    """After the first fifth of the calls: n = 20 lower than its start, n = 50 higher."""
    parts = []
    for start, rises in (("edm-n20", False), ("edm-n50", True)):
        paths = _paths(found, target, start)
        left = np.sort(paths.columns.to_numpy())[::-1]
        change = (paths[left[len(left) // 5]] - paths[left[0]]).to_numpy()
        low, high = mean_interval(change)
        judge = more if rises else less
        part = judge(float(change.mean()), low, high, 0.0, len(change), " kcal/mol")
        parts.append(part.named(f"{start}: "))
    return all_of(parts)


def _below_zero(found: Found, target: str) -> Finding:
    paths = _paths(found, target, "edm-n50")
    below = int((paths < 0).any(axis=1).sum())
    words = f"{below} of {len(paths)}"
    if below:
        return Finding(words, len(paths), "same", "one is enough")
    return Finding(words, len(paths), "opposite" if len(paths) >= 45 else "undecided", "the paper has 45")


def _steps_of(found: Found, of_1000: int) -> int:
    """So many steps of a schedule of 1000 in those of the campaign's network, at least one."""
    try:
        timesteps = float(found.quantity("figures/phases_numbers", "steps of the schedule")["ours"])
    except AbsentError:  # every other network here has 1000
        return of_1000
    return max(1, round(of_1000 * timesteps / 1000))


def _alignment(found: Found, targets: tuple[str, ...], late: bool, of_1000: int = 10) -> pd.Series:
    k = _steps_of(found, of_1000)

    def at(target: str) -> pd.Series:
        table = _numbers(target, found, "alignment")
        starts = list(dict.fromkeys(table["start"]))
        if not late and len(starts) < 2:
            raise AbsentError(f"{found.name}: no early checkpoint at {target}")
        rows = table[(table["start"] == starts[-1 if late else 0]) & (table["k"] == k)]
        if rows.empty:
            raise AbsentError(f"{found.name}: no alignment for k = {k} at {target}")
        row: pd.Series = rows.iloc[0]
        return row.rename(target)

    return _first_shown(targets, at)


def _path_wins(found: Found) -> Finding:
    row = _alignment(found, ("qm9", "gfn2"), late=True)
    finding = more(row["path_minus_forces"], row["ci_low"], row["ci_high"], 0.0, int(row["n"]))
    return _by_forces(finding, row, ("qm9",))


def _forces_win(found: Found, targets: tuple[str, ...], papers: tuple[str, ...], late: bool) -> Finding:
    row = _alignment(found, targets, late)
    finding = less(row["path_minus_forces"], row["ci_low"], row["ci_high"], 0.0, int(row["n"]))
    return _by_forces(finding, row, papers)


def _cosines(found: Found) -> Finding:
    """Cosines of steps and forces less those of forces and path, as if the two were independent."""
    parts = []
    for of_1000 in (1, 10, 30):
        row = _alignment(found, ("qm9", "gfn2"), late=True, of_1000=of_1000)
        n, mean = int(row["n"]), float(row["steps_forces"] - row["forces_path"])
        half = 1.96 * float(np.hypot(row["steps_forces_std"], row["forces_path_std"])) / np.sqrt(n)
        half = half if n >= FEWEST else np.nan
        part = less(mean, mean - half, mean + half, 0.0, n)
        parts.append(part.named(f"k = {row['k']}: "))
    whole = all_of(parts)
    return _by_forces(whole, row, ("qm9",))


def _by_forces(finding: Finding, row: pd.Series, papers: tuple[str, ...]) -> Finding:
    """With the target whose forces they are, which decides nothing where it is not among the paper's."""
    said = replace(finding, ours=f"{finding.ours}, forces of {row.name}")
    return unless("" if row.name in papers else OTHER_LEVEL, said)


# --- Steps saved --------------------------------------------------------------------------------------------


def _saved(found: Found, targets: tuple[str, ...], start: str, paper: float) -> Finding:
    pairs = _pairs(found, targets, start)
    return median_number(pairs["steps_saved_percent"], pairs["id"], paper, 0.0, " %")


def _pairs(found: Found, targets: tuple[str, ...], start: str) -> pd.DataFrame:
    return _first_shown(targets, lambda target: found.pairs(target, start))


def _quartiles(found: Found, target: str) -> Finding:
    pairs = found.pairs(target, "edm-n50")
    times = pairs["baseline_n_steps"] / pairs["n_steps"].clip(lower=1)
    parts = []
    for q, paper in ((0.25, 2.0), (0.75, 4.0)):
        low, high = quantile_interval(times, q)
        parts.append(number(float(times.quantile(q)), low, high, paper, len(times), unit=" times"))
    return all_of(parts)


def _deltas(found: Found, target: str) -> Finding:
    pairs = pd.concat([found.pairs(target, start) for start in ("edm-n20", "edm-n50")])
    large = pairs["delta_kcal_mol"].abs() > LARGE_DELTA_KCAL_MOL
    percent, low, high, n = share(large, pairs["id"])
    return less(percent, low, high, 10, n, " % beyond 0.2 kcal/mol")


def _over_training(found: Found, target: str) -> pd.DataFrame:
    """Savings of n = 50 by epoch, where molecules were counted."""
    table = found.table(f"figures/training_speedup_{target}")
    rows = table[(table["steps"] == 50) & (table["n_counted"] > 0)].sort_values("epoch")
    if rows.empty:
        raise AbsentError(f"{found.name}: no checkpoint counts at {target}")
    return rows


def _of_first_subset(rows: pd.DataFrame) -> pd.DataFrame:
    of_it: pd.DataFrame = rows[rows["subset"] == rows["subset"].iloc[0]]
    return of_it


def _rises(found: Found) -> Finding:
    def at(target: str) -> Finding:
        rows = _of_first_subset(_over_training(found, target))
        medians = rows["steps_saved_percent_median"]
        words = f"{first(medians):.0f} → {first(medians.iloc[::-1]):.0f} %, {target}"
        return rising(rows["epoch"], medians, words, int(rows["n_counted"].min()))

    return _first_shown(("qm9", "gfn2"), at)


def _early_epochs(found: Found) -> Finding:
    table = _over_training(found, "qm9")
    parts = []
    for epoch, percent in ((50, 0.0), (100, 4.0)):
        rows = table[table["epoch"] == epoch]
        if rows.empty:
            raise AbsentError(f"{found.name} has no epoch {epoch}")
        row = rows.iloc[0]
        saved = "steps_saved_percent"
        values = [float(row[f"{saved}_{key}"]) for key in ("median", "ci_low", "ci_high")]
        part = number(values[0], values[1], values[2], percent, int(row["n_counted"]), unit=" %")
        parts.append(part.named(f"{row['energy_ratio']:.1f} times, "))
    return all_of(parts)


def _delta_is_a_difference(found: Found) -> Finding:
    def at(target: str) -> Finding:
        pairs, mates = found.pairs(target, "edm-n50"), found.starts_of(target, "mmff94")
        energies = mates.set_index(["id", "conformer"])["energy_ev"]
        keys = pd.MultiIndex.from_frame(pairs[["id", "conformer"]])
        expected = (pairs["energy_ev"].to_numpy() - energies.reindex(keys).to_numpy()) / KCAL_MOL
        off = float(np.nanmax(np.abs(expected - pairs["delta_kcal_mol"].to_numpy())))
        return Finding(f"{off:.1g} kcal/mol off at most", len(pairs), "same" if off < 0.01 else "opposite")

    return _first_shown(("qm9", *DRUG_TARGETS), at)


def _drug_energies(found: Found) -> Finding:
    parts = []
    for start, paper in (("mmff94", 14.3), ("edm-n50", 8.3)):
        pairs = _pairs(found, DRUG_TARGETS, start)
        mean, low, high, n = mean_of(pairs["start_above_minimum_kcal_mol"], pairs["id"])
        parts.append(number(mean, low, high, paper, n, unit=" kcal/mol"))
    return all_of(parts)


def _linear(found: Found) -> Finding:
    rows = _of_first_subset(_first_shown(DRUG_TARGETS, lambda target: _over_training(found, target)))
    if len(rows) < 5:
        return Finding(f"{len(rows)} checkpoints", None, "undecided", "five are needed")
    n = int(rows["n_counted"].min())
    medians = rows["steps_saved_percent_median"]
    if n < FEWEST or medians.nunique() < 2:
        return Finding(f"{len(rows)} checkpoints", n, "undecided", TOO_FEW if n < FEWEST else "all alike")
    r2 = float(np.corrcoef(rows["epoch"], medians)[0, 1] ** 2)
    verdict: Verdict = "same" if r2 > 0.9 else "opposite"
    return Finding(f"R² = {r2:.2f}", n, verdict, "same: R² above 0.9")


def _drug_paths(found: Found) -> Finding:
    paths = _first_shown(DRUG_TARGETS, lambda target: _paths(found, target, "edm-n50"))
    change = (paths[paths.columns.min()] - paths[paths.columns.max()]).to_numpy()
    low, high = mean_interval(change)
    return less(float(change.mean()), low, high, 0.0, len(change), " kcal/mol from start to end")


def _outlier(found: Found) -> Finding:
    largest: tuple[float, str, int] | None = None
    for target in ("qm9", "gfn2"):
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


def _unchanged(found: Found, targets: tuple[str, ...]) -> Finding:
    """The median without the pairs whose minima differ, within the interval of the median of all."""
    pairs = _pairs(found, targets, "edm-n50")
    near = pairs[pairs["delta_kcal_mol"].abs() <= LARGE_DELTA_KCAL_MOL]
    kept = distribution(near["steps_saved_percent"], near["id"])
    whole = distribution(pairs["steps_saved_percent"], pairs["id"])
    words = f"{kept.median:.3g} %, of all {text(whole.median, whole.ci_low, whole.ci_high)}"
    if np.isnan(whole.ci_low):
        return Finding(words, kept.n, "undecided", TOO_FEW)
    if whole.ci_low <= 0 <= whole.ci_high:
        return Finding(words, kept.n, "undecided", "there is no saving that could change")
    inside = whole.ci_low <= kept.median <= whole.ci_high
    return Finding(words, kept.n, "same" if inside else "opposite", "same: within the interval of all")


ROWS = (
    Row("R1", "E 2", "elements are final near step 50", "50", QM9, _elements),
    Row("R2", "E 2", "all elements of a molecule are decided at once", "yes", QM9, _at_once),
    Row("R3", "E 2", "valences come after the elements", "yes", QM9, _valences),
    Row("R4", "E 2", "the step size shrinks as n falls", "yes", QM9, _step_size),
    Row(
        "R5",
        "E, methods",
        "validation improves to about epoch 3000; best 5150",
        "5150",
        needs=NO_GRAPHICS_CARD,
    ),
    Row("R6", "E 3", "the energy falls along the chain's end", "consistently", QM9, _falls),
    Row("R7", "E 3", "the chain lies below the straight line", "yes", QM9, _below_line),
    Row(
        "R8",
        "E 4",
        "MMFF94's minima lie above the DFT minimum",
        "~10 kcal/mol",
        QM9,
        _at_papers_level(lambda f, target: _path_mean(f, target, "start", 10)),
    ),
    Row(
        "R9",
        "E 4",
        "paths end above it, for every n",
        "~1 kcal/mol",
        QM9,
        _at_papers_level(lambda f, target: _path_mean(f, target, "end", 1)),
    ),
    Row("R10", "E, abstract", "energy of the start, times lower", "10", QM9, _at_papers_level(_times_lower)),
    Row(
        "R11", "E 4", "n = 20 improves at once, n = 50 worsens first", "yes", QM9, _at_papers_level(_at_first)
    ),
    Row("R12", "E 4", "some curves dip below zero", "some of 45", QM9, _at_papers_level(_below_zero)),
    Row(
        "R13",
        "E 6",
        "early in training the forces win (k = 10)",
        "yes",
        QM9,
        _of_edm(lambda f: _forces_win(f, ("qm9", "gfn2"), ("qm9",), late=False)),
    ),
    Row("R14", "E 6", "late the direct path wins (k = 10)", "yes", QM9, _of_edm(_path_wins)),
    Row(
        "R15",
        "E 6",
        "steps agree with the forces no more than the forces with the path",
        "yes",
        QM9,
        _of_edm(_cosines),
    ),
    *boltzmann.ROWS,
    Row(
        "R24",
        "E 10",
        "steps saved at B3LYP, n = 20, median",
        "40 %",
        QM9,
        _at_papers_level(lambda f, target: _saved(f, (target,), "edm-n20", 40)),
    ),
    Row(
        "R25",
        "E 10",
        "steps saved at B3LYP, n = 50, median",
        "57 %",
        QM9,
        _at_papers_level(lambda f, target: _saved(f, (target,), "edm-n50", 57)),
    ),
    Row(
        "R26", "E 10", "quartiles of the speedup, n = 50", "2 and 4 times", QM9, _at_papers_level(_quartiles)
    ),
    Row("R27", "E 10", "minima differ by nothing, but for one", "~0", QM9, _at_papers_level(_deltas)),
    Row("R28", "E 10", "the saving rises with training", "yes", QM9, _of_edm(_rises)),
    Row(
        "R29", "E 10", "epochs 50 and 100: energy, saving", "2 ×, 0 %; 3 ×, 4 %", QM9, _of_edm(_early_epochs)
    ),
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
        _of_edm(lambda f: _saved(f, DRUG_TARGETS, "edm-n50", 7)),
    ),
    Row(
        "R32",
        "E 12",
        "energy above the minimum: MMFF94, denoised",
        "14.3, 8.3 kcal/mol",
        DRUGS,
        _of_edm(_drug_energies),
    ),
    Row("R33", "E 12", "the saving is near linear in training", "yes", DRUGS, _of_edm(_linear)),
    Row("R34", "E, footnote", "figure 4 for drugs: the energy falls", "yes", DRUGS, _of_edm(_drug_paths)),
    Row(
        "R35",
        "E 13",
        "drugs: the forces win (k = 10)",
        "yes",
        DRUGS,
        _of_edm(lambda f: _forces_win(f, DRUG_TARGETS, DRUG_TARGETS, late=True)),
    ),
    Row("R36", "E 14–15", "samples", "drawings", QM9, _samples),
    Row("R37", "E 16", "the outlier found a deeper basin", "−0.9 kcal/mol", QM9, _of_edm(_outlier)),
    Row(
        "R38",
        "E 17 left",
        "without outliers the saving is unchanged",
        "nearly",
        QM9,
        _of_edm(lambda f: _unchanged(f, ("qm9", "gfn2"))),
    ),
    Row(
        "R39",
        "E 17 right",
        "the same for drugs",
        "nearly",
        DRUGS,
        _of_edm(lambda f: _unchanged(f, DRUG_TARGETS)),
    ),
)
