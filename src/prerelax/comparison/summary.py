"""What a campaign showed: one row per target, start and subset of the counted pairs.

`summary.csv`, columns:

- `target`, `start`, `subset`: `all` counted pairs; `same basin`: those whose minima differ by at most
  0.2 kcal/mol, as paper E's text says; `within 0.2 eV`: paper E's code filters 0.2 eV instead. The baseline
  has the subset `all` only: its own converged relaxations.
- `n_rows` relaxations asked for; `n_counted` pairs in this subset; `n_left_out` of all pairs, and by reason
  in the columns `left_out_<reason>` at the end (n_rows = n_counted of `all` + n_left_out);
  `n_connectivity_changed` among all rows; `n_fallback`: rows whose start was made by another method than
  asked for (the comparison's column `fallback` says why), counted like any other; `n_baseline_zero_steps`:
  counted pairs whose baseline needs 0 steps, which `steps_saved_percent` leaves out.
- `gradients_saved_percent_*`, `steps_saved_percent_*`: `median`, its 95 % bootstrap interval `ci_low` to
  `ci_high`, `quartile_25`, `quartile_75`, `mean`.
- `n_gradients_median`, `n_steps_median` and the baseline's over the same pairs; `n_gradients_cheap_median`.
- `start_above_minimum_kcal_mol_median`, `_mean`: of the start above its own relaxed minimum.
- `delta_kcal_mol_median`, `n_deeper_minimum` (delta below -0.2 kcal/mol), `n_higher_minimum` (above +0.2).
- `rmsd_ang_median`, `rmsd_symmetry_ang_median`; `wall_s_before_median`, `wall_s_relax_median`,
  `wall_s_total_median`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from prerelax.comparison.pairs import BASELINE, COUNTED, KCAL_MOL
from prerelax.comparison.statistics import distribution

SAME_BASIN_KCAL_MOL = 0.2
PAPER_CODE_FILTER_KCAL_MOL = 0.2 / KCAL_MOL
ALL, SAME_BASIN, WITHIN_CODE_FILTER = "all", "same basin", "within 0.2 eV"

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
        for subset, counted in _subsets(relaxations, start == baseline)
    ]
    columns = list(_summary_row("", "", ALL, comparison.iloc[:0], comparison.iloc[:0]))
    reasons = sorted({name for row in rows for name in row if name.startswith("left_out_")})
    summary = pd.DataFrame(rows, columns=[*columns, *reasons])
    return summary.fillna(dict.fromkeys(reasons, 0)).astype(dict.fromkeys(reasons, int))


def groups(comparison: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(target, start, rows) for every one that occurs, in order of appearance."""
    grouped = comparison.groupby(["target", "start"], observed=True, sort=False)
    indices = grouped.indices
    for target in comparison["target"].cat.categories:
        for start in comparison["start"].cat.categories:
            if (target, start) in indices:
                yield target, start, comparison.iloc[indices[target, start]]


def usable(relaxations: pd.DataFrame) -> pd.DataFrame:
    """Relaxations that are half of a counted pair, or a baseline that could be."""
    return relaxations[relaxations["pair"].isin((COUNTED, BASELINE))]


def same_basin(pairs: pd.DataFrame) -> pd.DataFrame:
    """Counted pairs whose two minima differ by at most SAME_BASIN_KCAL_MOL."""
    return pairs[pairs["delta_kcal_mol"].abs() <= SAME_BASIN_KCAL_MOL]


def usable_everywhere(relaxations: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Usable relaxations (at one target) of the molecules that have one from every start, and True.

    Starts without any do not matter. Where no molecule has them all: every usable relaxation, and False.
    """
    rows = usable(relaxations)
    n_starts = rows["start"].nunique()
    n_of_molecule = rows.groupby(["id", "conformer"])["start"].transform("size")
    common = rows[n_of_molecule == n_starts]
    return (rows, False) if common.empty and len(rows) else (common, True)


def _subsets(relaxations: pd.DataFrame, is_baseline: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    counted = usable(relaxations)
    yield ALL, counted
    if not is_baseline:
        yield SAME_BASIN, same_basin(counted)
        yield WITHIN_CODE_FILTER, counted[counted["delta_kcal_mol"].abs() <= PAPER_CODE_FILTER_KCAL_MOL]


def _summary_row(
    target: str, start: str, subset: str, relaxations: pd.DataFrame, counted: pd.DataFrame
) -> dict[str, Any]:
    pairs = relaxations["pair"].value_counts()
    left_out = {str(reason): int(n) for reason, n in pairs.items() if n and reason not in (COUNTED, BASELINE)}
    row: dict[str, Any] = {
        "target": target,
        "start": start,
        "subset": subset,
        "n_rows": len(relaxations),
        "n_counted": len(counted),
        "n_left_out": sum(left_out.values()),
        "n_connectivity_changed": int((relaxations["connectivity_unchanged"] == False).sum()),  # noqa: E712
        "n_fallback": int((relaxations["fallback"].fillna("") != "").sum()),
        "n_baseline_zero_steps": int((counted["baseline_n_steps"] == 0).sum()),
    }
    for name in _SAVED:
        numbers = asdict(distribution(counted[name]))
        for statistic in ("median", "ci_low", "ci_high", "quartile_25", "quartile_75", "mean"):
            row[f"{name}_{statistic}"] = numbers[statistic]
    row |= {f"{name}_median": _median(counted[name]) for name in _MEDIANS}
    row["start_above_minimum_kcal_mol_mean"] = counted["start_above_minimum_kcal_mol"].mean()
    row["n_deeper_minimum"] = int((counted["delta_kcal_mol"] < -SAME_BASIN_KCAL_MOL).sum())
    row["n_higher_minimum"] = int((counted["delta_kcal_mol"] > SAME_BASIN_KCAL_MOL).sum())
    return row | {f"left_out_{reason.replace(' ', '_')}": n for reason, n in left_out.items()}


def _median(values: pd.Series) -> float:
    return float(values.median()) if values.notna().any() else float("nan")


def left_out_reasons(row: Mapping[Any, Any]) -> str:
    """The pairs that a row of the summary leaves out, such as `3 not_converged, 1 baseline scf_failed`."""
    counts = {name.removeprefix("left_out_"): n for name, n in row.items() if name.startswith("left_out_")}
    return ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in counts.items() if n)


_HEADINGS = (
    "start",
    "pairs",
    "gradients saved / %",
    "same basin",
    "steps saved / %",
    "gradients",
    "steps",
    "above min.",
    "deeper/higher",
    "s before+relax",
)
_LEGEND = """\
pairs: counted of all asked for. saved: median against the baseline and its 95 % bootstrap interval.
same basin: pairs whose minima agree to 0.2 kcal/mol (how many). gradients, steps, seconds, and the
energy of the start above its own minimum in kcal/mol: medians. deeper/higher: minima more than
0.2 kcal/mol below/above the baseline's."""


def summary_text(summary: pd.DataFrame, baseline: str) -> str:
    """The summary as a table of fixed columns for the terminal, one block per target."""
    if summary.empty:
        return "No relaxations to compare."
    blocks = [
        _target_block(str(target), of_target, baseline)
        for target, of_target in summary.groupby("target", sort=False)
    ]
    return "\n\n".join([*blocks, _LEGEND])


def _target_block(target: str, summary: pd.DataFrame, baseline: str) -> str:
    lines: list[tuple[str, ...]] = [_HEADINGS]
    notes = []
    for start, of_start in summary.groupby("start", sort=False):
        subsets = dict(zip(of_start["subset"], of_start.to_dict("records"), strict=True))
        lines.append(
            _line(subsets[ALL], subsets[ALL if start == baseline else SAME_BASIN], start == baseline)
        )
        if reasons := left_out_reasons(subsets[ALL]):
            notes.append(f"  left out from {start}: {reasons}")
        if n := subsets[ALL]["n_fallback"]:
            notes.append(f"  fallbacks in {start}: {n} made by another method")
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join([f"target {target}", *text, *notes])


def _line(row: Mapping[Any, Any], same: Mapping[Any, Any], is_baseline: bool) -> tuple[str, ...]:
    return (
        row["start"],
        f"{row['n_counted']}/{row['n_rows']}",
        "baseline" if is_baseline else saved(row, "gradients_saved_percent"),
        "" if is_baseline else f"{in_words(same['gradients_saved_percent_median'])} ({same['n_counted']})",
        "" if is_baseline else saved(row, "steps_saved_percent"),
        in_words(row["n_gradients_median"], 1),
        in_words(row["n_steps_median"], 1),
        in_words(row["start_above_minimum_kcal_mol_median"], 2),
        "" if is_baseline else f"{row['n_deeper_minimum']}/{row['n_higher_minimum']}",
        f"{in_words(row['wall_s_before_median'], 2)}+{in_words(row['wall_s_relax_median'], 2)}",
    )


def saved(row: Mapping[Any, Any], name: str) -> str:
    """Median and bootstrap interval of `name` in a row of the summary, such as `40 [35, 46]`."""
    median, low, high = (row[f"{name}_{statistic}"] for statistic in ("median", "ci_low", "ci_high"))
    return (
        f"{in_words(median)} [{in_words(low)}, {in_words(high)}]" if np.isfinite(median) else in_words(median)
    )


def in_words(value: float, decimals: int = 0) -> str:
    """`value` for people, a dash where there is none."""
    return f"{value + 0.0:.{decimals}f}" if np.isfinite(value) else "-"
