"""What a campaign showed: one row per target, start and subset of the counted pairs.

`summary.csv`, columns:

- `target`, `level`, `optimizer`, `start`, `subset`: `no fallback`: counted pairs whose two starts were made
  as asked for, the headline; `all` counted pairs, starts made by a fallback included; `same minimum`: those
  without fallback whose `pair` is `same`; `within 0.2 kcal/mol` and `within 0.2 eV`: those whose energies
  differ by no more, as paper E's text and its code filter. The baseline has the subset `all` only: its own
  converged relaxations.
- `n_rows` relaxations asked for, `n_finished` of them converged, `n_gradients_spent` on all of them, failures
  included; `n_counted` pairs in this subset, of `n_molecules` molecules; `n_left_out` of
  all pairs, and by reason in the columns `left_out_<reason>` at the end (n_rows = n_counted of `all` +
  n_left_out); `n_connectivity_changed` among all rows; `n_fallback`: rows whose start was made by another
  method than asked for (the comparison's column `fallback` says why), `n_baseline_fallback`: counted pairs
  whose baseline's was; `n_baseline_zero_steps`: counted pairs
  whose baseline needs 0 steps, which `steps_saved_percent` leaves out.
- `gradients_saved_percent_*`, `steps_saved_percent_*`: `median`, its 95 % interval `ci_low` to `ci_high`
  (none below 8 molecules), `quartile_25`, `quartile_75`, `mean`; over molecules, conformers averaged.
- `times_fewer`: gradients of the baseline over those of this start, both summed over the counted pairs, with
  the 95 % interval `times_fewer_ci_low` to `_ci_high`; `times_fewer_median` of each molecule's own ratio;
  `wilcoxon_p`: of the paired signed-rank test between the two counts.
- `n_gradients_mean` and `baseline_n_gradients_mean`: these sums divided by the number of pairs;
  `wall_h_saved`, `core_h_saved`: hours of the baseline minus hours of this start, all stages before included,
  summed over the counted pairs; a molecule is relaxed on one core.
- `n_gradients_pilot`, `core_h_pilot`: what taught the start's denoiser the level, all of it; 0 for other
  starts. Gradients saved, `times_fewer`, `n_gradients_mean` and the hours saved carry the shares of their
  pairs, which in `no fallback` and `all` are the whole, and so does `n_gradients_spent`. A gradient of a
  fragment counts as one, though it is cheaper than a molecule's. `break_even_molecules`: as many as earn its
  core hours back.
- `n_gradients_median`, `n_steps_median` and the baseline's over the same pairs; `n_gradients_cheap_median`.
  All medians are of molecules, conformers averaged.
- `start_above_minimum_kcal_mol_median`, `_mean`: of the start above its own relaxed minimum.
- `delta_kcal_mol_median`, `n_same_minimum`, `n_deeper_minimum`, `n_higher_minimum`, `n_undecided_minimum`: by
  `pair`.
- `rmsd_ang_median`, `rmsd_symmetry_ang_median`; `wall_s_before_median`, `wall_s_relax_median`,
  `wall_s_total_median`.
- `n_single_point_<name>`: rows that were evaluated at this level of `single_points`.
- `share_start_meets_<criterion>`, `share_meets_<criterion>`: of all rows that say so, the share whose start
  (it needs no step) or end meets Gaussian's loose, default or tight criteria or stricter ones.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from prerelax.comparison.ends import COUNTED, SAME
from prerelax.comparison.pairs import BASELINE, KCAL_MOL, UNPAIRED
from prerelax.comparison.pilots import N_GRADIENTS, WALL_S
from prerelax.comparison.single_points import BEGINNING as SINGLE_POINT
from prerelax.comparison.statistics import (
    distribution,
    paired_p,
    per_molecule,
    sums_per_molecule,
    times_fewer,
)

Row = Mapping[Any, Any]
"""A row of the summary, as pandas gives it."""
PAPER_TEXT_FILTER_KCAL_MOL = 0.2
PAPER_CODE_FILTER_KCAL_MOL = 0.2 / KCAL_MOL
NO_FALLBACK, ALL, SAME_MINIMUM = "no fallback", "all", "same minimum"
WITHIN_TEXT_FILTER, WITHIN_CODE_FILTER = "within 0.2 kcal/mol", "within 0.2 eV"

CRITERIA = ("loose", "default", "tight")
"""Gaussian's, from the first to the strictest"""
_SAVED = ("gradients_saved_percent", "steps_saved_percent")
_MEDIANS = (
    "n_gradients",
    "baseline_n_gradients",
    "n_steps",
    "baseline_n_steps",
    "n_gradients_cheap",
    "start_above_minimum_kcal_mol",
    "delta_kcal_mol",
    "rmsd_ang",
    "rmsd_symmetry_ang",
    "wall_s_before",
    "wall_s_relax",
    "wall_s_total",
)


def summarise(comparison: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The summary of a comparison (as `read_comparison` returns it), targets and starts in its order."""
    rows = [
        _summary_row(target, start, subset, relaxations, counted)
        for target, start, relaxations in groups(comparison)
        for subset, counted in _subsets(relaxations, is_baseline(relaxations, start, baseline))
    ]
    columns = list(_summary_row("", "", ALL, comparison.iloc[:0], comparison.iloc[:0]))
    reasons = sorted({name for row in rows for name in row if name.startswith("left_out_")})
    summary = pd.DataFrame(rows, columns=[*columns, *reasons])
    return summary.fillna(dict.fromkeys(reasons, 0)).astype(dict.fromkeys(reasons, int))


def is_baseline(relaxations: pd.DataFrame, start: str, baseline: str) -> bool:
    """Whether these relaxations (of a start at a target) are what the others are compared with.

    At another target of the same level the baseline's start may be compared with itself.
    """
    return start == baseline and not is_counted(relaxations).any()


def is_counted(relaxations: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows are a pair whose saving counts."""
    return relaxations["pair"].isin(COUNTED)


def groups(comparison: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(target, start, rows) for every one that occurs, in order of appearance."""
    grouped = comparison.groupby(["target", "start"], observed=True, sort=False)
    indices = grouped.indices
    for target in comparison["target"].cat.categories:
        for start in comparison["start"].cat.categories:
            if (target, start) in indices:
                yield target, start, comparison.iloc[indices[target, start]]


def as_asked(relaxations: pd.DataFrame) -> pd.DataFrame:
    """Relaxations whose start, and their baseline's, was made by the method asked for."""
    made = relaxations[["fallback", "baseline_fallback"]].fillna("") == ""
    return relaxations[made.all(axis=1)]


def usable(relaxations: pd.DataFrame) -> pd.DataFrame:
    """Relaxations that are half of a counted pair, or a baseline that could be; all without a baseline."""
    return relaxations[relaxations["pair"].isin((*COUNTED, BASELINE, UNPAIRED))]


def same_minimum(pairs: pd.DataFrame) -> pd.DataFrame:
    """Counted pairs that ended in one minimum."""
    return pairs[pairs["pair"] == SAME]


def usable_everywhere(relaxations: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Usable relaxations (at one target) of the molecules that have one from every start, and True.

    Starts that were made by a fallback do not count, and starts without any do not matter. Where no molecule
    has them all: every usable relaxation, and False.
    """
    rows = as_asked(usable(relaxations))
    n_starts = rows["start"].nunique()
    n_of_molecule = rows.groupby(["id", "conformer"])["start"].transform("size")
    common = rows[n_of_molecule == n_starts]
    return (rows, False) if common.empty and len(rows) else (common, True)


def _subsets(relaxations: pd.DataFrame, whole_only: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    counted = usable(relaxations)
    if whole_only:
        yield ALL, counted
        return
    alone = as_asked(counted)
    yield NO_FALLBACK, alone
    yield ALL, counted
    yield SAME_MINIMUM, same_minimum(alone)
    yield WITHIN_TEXT_FILTER, alone[alone["delta_kcal_mol"].abs() <= PAPER_TEXT_FILTER_KCAL_MOL]
    yield WITHIN_CODE_FILTER, alone[alone["delta_kcal_mol"].abs() <= PAPER_CODE_FILTER_KCAL_MOL]


def _summary_row(
    target: str, start: str, subset: str, relaxations: pd.DataFrame, counted: pd.DataFrame
) -> dict[str, Any]:
    pairs = relaxations["pair"].value_counts()
    left_out = {
        str(reason): int(n)
        for reason, n in pairs.items()
        if n and reason not in (*COUNTED, BASELINE, UNPAIRED)
    }
    row: dict[str, Any] = {
        "target": target,
        "level": _said(relaxations, "level"),
        "optimizer": _said(relaxations, "optimizer"),
        "start": start,
        "subset": subset,
        "n_rows": len(relaxations),
        "n_finished": int((relaxations["converged"] == True).sum()),  # noqa: E712
        "n_gradients_spent": round(float(_with_pilot(relaxations).sum())),
        "n_counted": len(counted),
        "n_molecules": counted["id"].nunique(),
        "n_left_out": sum(left_out.values()),
        "n_connectivity_changed": int((relaxations["connectivity_unchanged"] == False).sum()),  # noqa: E712
        "n_fallback": int((relaxations["fallback"].fillna("") != "").sum()),
        "n_baseline_fallback": int(
            (counted.loc[is_counted(counted), "baseline_fallback"].fillna("") != "").sum()
        ),
        "n_baseline_zero_steps": int((counted["baseline_n_steps"] == 0).sum()),
    }
    for name in _SAVED:
        numbers = asdict(distribution(counted[name], counted["id"]))
        for statistic in ("median", "ci_low", "ci_high", "quartile_25", "quartile_75", "mean"):
            row[f"{name}_{statistic}"] = numbers[statistic]
    row |= _against_baseline(counted) | _pilot(relaxations, counted)
    row |= {f"{name}_median": _median(per_molecule(counted[name], counted["id"])) for name in _MEDIANS}
    row["start_above_minimum_kcal_mol_mean"] = _mean(
        per_molecule(counted["start_above_minimum_kcal_mol"], counted["id"])
    )
    for word in COUNTED:
        row[f"n_{word}_minimum"] = int((counted["pair"] == word).sum())
    row |= _shares(relaxations)
    for name in (n for n in relaxations.columns if n.startswith(SINGLE_POINT)):
        row[f"n_{name.removesuffix('_ev')}"] = int(relaxations[name].notna().sum())
    return row | {f"left_out_{reason.replace(' ', '_')}": n for reason, n in left_out.items()}


def _said(relaxations: pd.DataFrame, column: str) -> str:
    """What the rows say that were relaxed; all of a target are of one level."""
    said = [str(each) for each in relaxations[column].unique() if isinstance(each, str) and each]
    return " and ".join(said)


def _against_baseline(counted: pd.DataFrame) -> dict[str, float]:
    """Sums over the counted pairs; the molecule is what is drawn again for an interval."""
    pairs = counted[is_counted(counted)]
    own = sums_per_molecule(_with_pilot(pairs), pairs["id"])
    other = sums_per_molecule(pairs["baseline_n_gradients"], pairs["id"])
    ratio, low, high = times_fewer(own, other)
    hours = (pairs["baseline_wall_s_total"] - pairs["wall_s_total"]).sum() / 3600
    each = other / np.maximum(own, 1)
    return {
        "n_gradients_mean": _mean(_with_pilot(counted)),
        "baseline_n_gradients_mean": _mean(pairs["baseline_n_gradients"]),
        "times_fewer": ratio,
        "times_fewer_ci_low": low,
        "times_fewer_ci_high": high,
        "times_fewer_median": _median(each),
        "wilcoxon_p": paired_p(
            per_molecule(_with_pilot(pairs), pairs["id"]),
            per_molecule(pairs["baseline_n_gradients"], pairs["id"]),
        ),
        "wall_h_saved": float(hours) if len(pairs) else float("nan"),
        "core_h_saved": float(hours) if len(pairs) else float("nan"),
    }


def _with_pilot(rows: pd.DataFrame) -> "pd.Series[float]":
    """Gradients of relaxations, and their share of what taught their start's denoiser the level."""
    if N_GRADIENTS not in rows.columns:
        return rows["n_gradients"]
    return rows["n_gradients"].fillna(0.0) + rows[N_GRADIENTS]


def _pilot(relaxations: pd.DataFrame, counted: pd.DataFrame) -> dict[str, float]:
    """What the denoiser's teaching took, and after how many molecules that is earned back."""
    if N_GRADIENTS not in relaxations.columns:
        return {"n_gradients_pilot": 0.0, "core_h_pilot": 0.0, "break_even_molecules": float("nan")}
    pairs = counted[is_counted(counted)]
    core_s = float(relaxations[WALL_S].sum())
    each_s = pairs["baseline_wall_s_total"] - pairs["wall_s_total"] + pairs[WALL_S]
    saved_s = float(per_molecule(each_s, pairs["id"]).mean()) if len(pairs) else float("nan")
    return {
        "n_gradients_pilot": float(relaxations[N_GRADIENTS].sum()),
        "core_h_pilot": core_s / 3600,
        "break_even_molecules": float(np.ceil(core_s / saved_s)) if core_s and saved_s > 0 else float("nan"),
    }


def _shares(relaxations: pd.DataFrame) -> dict[str, float]:
    """Share of the rows that say so whose start, or end, meets Gaussian's criteria or stricter ones."""
    shares: dict[str, float] = {}
    for name in (name for name in ("start_meets", "meets") if name in relaxations.columns):
        said = relaxations[name].replace("", np.nan).dropna()
        for place, criterion in enumerate(CRITERIA):
            met = said.isin(CRITERIA[place:])
            shares[f"share_{name}_{criterion}"] = float(met.mean()) if len(said) else float("nan")
    return shares


def _median(values: ArrayLike) -> float:
    known = np.asarray(values, dtype=float)
    return float(np.median(known)) if len(known) else float("nan")


def _mean(values: ArrayLike) -> float:
    known = np.asarray(values, dtype=float)
    return float(known.mean()) if len(known) else float("nan")


def left_out_reasons(row: Row) -> str:
    """The pairs that a row of the summary leaves out, such as `3 not_converged, 1 baseline scf_failed`."""
    counts = {name.removeprefix("left_out_"): n for name, n in row.items() if name.startswith("left_out_")}
    return ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in counts.items() if n)


_HEADINGS = (
    "start",
    "pairs",
    "gradients saved / %",
    "with fallbacks",
    "same minimum",
    "times fewer",
    "gradients",
    "steps",
    "above min.",
    "deeper/higher",
    "s before+relax",
)
_LEGEND = """\
pairs: counted of all asked for. saved: median against the baseline, conformers of a molecule averaged, and
its 95 % interval (none below 8 molecules), of starts made as asked for; then of all, those made by a fallback
included; then of pairs that ended in one minimum (how many). times fewer: the baseline's gradients
over the start's, both summed over the pairs, and the 95 % interval. gradients, steps, seconds, and the energy
of the start above its own minimum in kcal/mol: medians. deeper/higher: pairs that ended in a minimum below or
above the baseline's."""


def summary_text(summary: pd.DataFrame, baseline: str | None) -> str:
    """The summary as a table of fixed columns for the terminal, one block per target.

    `baseline` in words: a start, or a start and a target.
    """
    if summary.empty:
        return "No relaxations to compare."
    against = f"against {baseline}" if baseline else "no baseline: gradients spent, and no saving"
    blocks = [
        _target_block(str(target), of_target) for target, of_target in summary.groupby("target", sort=False)
    ]
    return "\n\n".join([against, *blocks, _LEGEND])


def _target_block(target: str, summary: pd.DataFrame) -> str:
    lines: list[tuple[str, ...]] = [_HEADINGS]
    notes = []
    for start, of_start in summary.groupby("start", sort=False):
        subsets = dict(zip(of_start["subset"], of_start.to_dict("records"), strict=True))
        lines.append(_line(subsets))
        if reasons := left_out_reasons(subsets[ALL]):
            notes.append(f"  left out from {start}: {reasons}")
        if subsets[ALL]["core_h_pilot"]:
            notes.append(f"  {pilot_in_words(str(start), subsets.get(NO_FALLBACK) or subsets[ALL])}")
        if n := subsets[ALL]["n_fallback"]:
            notes.append(f"  fallbacks in {start}: {n} made by another method")
        if n := subsets[ALL]["n_baseline_fallback"]:
            notes.append(
                f"  compared with fallbacks of the baseline: {n} of {start}, in `with fallbacks` alone"
            )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join([f"target {target}", *text, *notes])


def _line(subsets: Mapping[str, Row]) -> tuple[str, ...]:
    whole = subsets[ALL]
    alone, same = subsets.get(NO_FALLBACK, whole), subsets.get(SAME_MINIMUM)
    spent = alone if alone["n_counted"] else whole
    return (
        whole["start"],
        f"{whole['n_counted']}/{whole['n_rows']}",
        "baseline" if same is None else saved(alone, "gradients_saved_percent"),
        ""
        if same is None or whole["n_counted"] == alone["n_counted"]
        else in_words(whole["gradients_saved_percent_median"]),
        "" if same is None else f"{in_words(same['gradients_saved_percent_median'])} ({same['n_counted']})",
        "" if same is None else fewer(alone),
        in_words(spent["n_gradients_median"], 1),
        in_words(spent["n_steps_median"], 1),
        in_words(spent["start_above_minimum_kcal_mol_median"], 2),
        "" if same is None else f"{whole['n_deeper_minimum']}/{whole['n_higher_minimum']}",
        f"{in_words(spent['wall_s_before_median'], 2)}+{in_words(spent['wall_s_relax_median'], 2)}",
    )


def saved(row: Row, name: str) -> str:
    """Median and interval of `name` in a row of the summary, such as `40 [35, 46]`, or `40` alone."""
    median, low, high = (row[f"{name}_{statistic}"] for statistic in ("median", "ci_low", "ci_high"))
    return in_words(median) + (f" [{in_words(low)}, {in_words(high)}]" if np.isfinite(low) else "")


def fewer(row: Row) -> str:
    """Times fewer gradients and the interval, such as `3.1 [2.6, 3.9]`."""
    low, high = row["times_fewer_ci_low"], row["times_fewer_ci_high"]
    return in_words(row["times_fewer"], 1) + (
        f" [{in_words(low, 1)}, {in_words(high, 1)}]" if np.isfinite(low) else ""
    )


def pairs_in_words(row: Row, whole: Row) -> str:
    """What a row of the summary counts of all relaxations, such as `11 molecules of 12`."""
    n, molecules = row["n_counted"], row["n_molecules"]
    of_molecules = "1 molecule" if molecules == 1 else f"{molecules} molecules"
    return f"{of_molecules if n == molecules else f'{n} relaxations of {of_molecules},'} of {whole['n_rows']}"


def pilot_in_words(start: str, row: Row) -> str:
    """What the level was learned for, such as `mine learned its level from 124 gradients …`."""
    hours, molecules = float(row["core_h_pilot"]), float(row["break_even_molecules"])
    amount = f"{hours:.2g} core hours" if hours >= 0.1 else f"{hours * 60:.2g} core minutes"
    earned = (
        f"its hours are earned back after {molecules:.0f} molecules"
        if np.isfinite(molecules)
        else "its hours are not earned back"
    )
    return (
        f"{start} learned its level first: {row['n_gradients_pilot']:.0f} gradients and {amount}, which the "
        f"gradients and hours saved carry; {earned}"
    )


def in_words(value: float, decimals: int = 0) -> str:
    """`value` for people, a dash where there is none."""
    return f"{value + 0.0:.{decimals}f}" if np.isfinite(value) else "-"
