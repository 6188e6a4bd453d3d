"""One row for every input and method: RMSD to the minimum before and after, iterations, seconds.

What MoreRed's figures 3, 4, 8, 10 and 11 are drawn from (Kahouli et al., MLST 2024, 5, 035038).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from prerelax.campaign.layout import start_folder
from prerelax.errors import UserError
from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.molecules.status import PROCEED
from prerelax.molecules.superposition import rmsd, symmetric_rmsd
from prerelax.records.record import Record
from prerelax.records.shard import read_shard

MEASURED = ("rmsd_before_ang", "rmsd_after_ang", "rmsd_symmetry_before_ang", "rmsd_symmetry_after_ang")
N_BINS = 8
"""of paper M, figures 8, 10 and 11"""


def rows_of_start(results: Path, start: str) -> list[Record]:
    """All rows of a start of a campaign. Raises UserError where it has none."""
    folder = results / start_folder(start)
    shards = sorted(folder.glob("[0-9]*.extxyz"))
    if not shards:
        raise UserError(f"{folder}: no shards; run the campaign's start {start} first")
    return [row for shard in shards for row in read_shard(shard)]


def relaxation_table(results: Path, reference: str, inputs: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Rows (input, method, molecule, conformer) of every input start and its methods, with columns:

    status, message, n_atoms, n_heavy_atoms, RMSD in Å to the row of the start `reference` before and after
    with symmetry-equivalent atoms matched and without, `ratio` = after / before and `failed` = ratio above 1
    or no result (status that does not proceed, no ratio then), `iterations` (of the sampler, or gradients of
    the optimizer; missing where they are not counted), `first_step` as predicted, `true_step` of diffused
    inputs, `wall_s`. Inputs without a geometry or a reference are rows with their status and no numbers.
    Raises UserError where a start's shards are missing.
    """
    minima = {row.id: row for row in rows_of_start(results, reference)}
    rows: list[dict[str, object]] = []
    for name, methods in inputs.items():
        given = rows_of_start(results, name)
        for method in methods:
            ends = {(r.id, r.conformer): r for r in rows_of_start(results, f"{method}-{name}")}
            for begin in given:
                end = ends.get((begin.id, begin.conformer))
                minimum = minima.get(begin.id)
                rows.append({"input": name, "method": method, **_row(begin, end, minimum)})
    return pd.DataFrame(rows)


def _row(begin: Record, end: Record | None, minimum: Record | None) -> dict[str, object]:
    row: dict[str, object] = {
        "id": begin.id,
        "conformer": begin.conformer,
        "n_atoms": len(begin.numbers),
        "n_heavy_atoms": int((begin.numbers > 1).sum()),
        "status": begin.status if end is None or not begin.proceeds else end.status,
        "message": begin.message if end is None or not begin.proceeds else end.message,
        **dict.fromkeys((*MEASURED, "ratio", "failed", "iterations", "first_step", "true_step", "wall_s")),
    }
    if end is None:
        row |= {"status": "input_error", "message": "the method's shard has no such row"}
        return row
    if not begin.proceeds or minimum is None or not minimum.proceeds:
        if begin.proceeds:
            row |= {"status": "input_error", "message": "there is no minimum to compare with"}
        return row
    found: dict[str, float] = {}
    for word, geometry in (("before", begin.positions), ("after", end.positions)):
        found[word] = rmsd(geometry, minimum.positions)
        row[f"rmsd_{word}_ang"] = found[word]
        mol = mol_from_mapped_smiles(minimum.smiles)
        row[f"rmsd_symmetry_{word}_ang"] = symmetric_rmsd(mol, geometry, minimum.positions)
    done = end.status in PROCEED
    ratio = found["after"] / found["before"] if done else None
    gradients = end.n_gradients_cheap - begin.n_gradients_cheap
    return row | {
        "ratio": ratio,
        "failed": ratio is None or ratio > 1,
        "iterations": end.n_iterations if end.n_iterations is not None else gradients or None,
        "first_step": end.first_step,
        "true_step": _true_step(begin),
        "wall_s": end.wall_s,
    }


def _true_step(row: Record) -> int | None:
    steps = json.loads(row.settings or "{}").get("steps")
    return int(steps[row.conformer]) if isinstance(steps, list) and row.conformer < len(steps) else None


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have an input and a minimum to compare with; what another method made instead of one that
    failed is a failure of the latter."""
    known = table[table.rmsd_before_ang.notna()].copy()
    known["failed"] = known["failed"].astype(float)
    if "status" in known:
        known.loc[known["status"] == "fallback", ["ratio", "failed"]] = [np.nan, 1.0]
    return known


def judged(table: pd.DataFrame) -> pd.Series:
    """RMSD ratios with failures as 1, as the paper counts an input that is given back."""
    ratio = table["ratio"].astype(float)
    return ratio.fillna(1.0).clip(upper=1.0)


def outliers(rmsd_before: pd.Series, first_step: pd.Series) -> pd.Series:
    """Which predicted steps lie beyond three robust standard deviations off the straight line through all."""
    x, y = rmsd_before.to_numpy(float), first_step.to_numpy(float)
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    spread = 1.4826 * np.median(np.abs(residual - np.median(residual)))
    return pd.Series(np.abs(residual) > 3 * spread, index=first_step.index)


def left_out(table: pd.DataFrame) -> dict[str, int]:
    """How many inputs are not counted, by status."""
    one = table[table.method == table.method.iloc[0]] if len(table) else table
    return {str(k): int(v) for k, v in one[one.rmsd_before_ang.isna()].status.value_counts().items()}


PAPER: dict[str, dict[str, object]] = {
    "mmff94-ob": {"paper_failures": "> 40 %"},
    "mlff": {"paper_failures": "> 20 %", "paper_ratio": 0.4},
    "gfn2": {"paper_failures": "> 20 %", "paper_ratio": 0.4},
    "itp": {"paper_failures": "almost none", "paper_rmsd_ang": 0.12},
    "as": {"paper_rmsd_ang": 0.05},
    "jt": {"paper_rmsd_ang": 0.06},
}
"""Figure 4 of the paper for its displaced inputs, by the names that the configs give its methods."""
PAPER_DIFFUSED: dict[str, dict[str, object]] = {
    "mmff94-ob": {"paper_failures": "mostly returns its input"},
    "mlff": {"paper_failures": "~ 90 %"},
    "gfn2": {"paper_failures": "> twice those of displaced"},
    "itp": {"paper_failures": "more than displaced"},
    "as": {"paper_failures": "more than displaced"},
    "jt": {"paper_failures": "more than displaced"},
}


def summarise_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Medians, quartiles and failures of every input and method, with the paper's beside them."""
    rows = [_summary(name, method, part) for (name, method), part in _groups(counted(table))]
    return pd.DataFrame(rows)


def _groups(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    for key, part in table.groupby(["input", "method"], sort=False):
        assert isinstance(key, tuple)
        yield (str(key[0]), str(key[1])), part


def _summary(name: str, method: str, part: pd.DataFrame) -> dict[str, object]:
    done = part[part.ratio.notna()]
    ratio = done.ratio.astype(float)
    symmetric = done.rmsd_symmetry_after_ang / done.rmsd_symmetry_before_ang
    quartiles = ratio.quantile([0.25, 0.75]).tolist() if len(done) else [np.nan, np.nan]
    known = PAPER_DIFFUSED if name.startswith("diffused") else PAPER
    return {
        "input": name,
        "method": method,
        "n": len(part),
        "judged_median": judged(part).median(),
        "ratio_median": ratio.median(),
        "ratio_quartile_1": quartiles[0],
        "ratio_quartile_3": quartiles[1],
        "failures_percent": 100 * part.failed.astype(float).mean(),
        "without_result_percent": 100 * part.ratio.isna().mean(),
        "rmsd_before_median_ang": part.rmsd_before_ang.median(),
        "rmsd_after_median_ang": done.rmsd_after_ang.median(),
        "ratio_symmetry_median": symmetric.median(),
        "failures_symmetry_percent": 100 * (1 - (symmetric <= 1).sum() / len(part)),
        "rmsd_symmetry_after_median_ang": done.rmsd_symmetry_after_ang.median(),
        "iterations_median": pd.to_numeric(part.iterations).median(),
        "at_limit_percent": 100 * (part.status == "not_converged").mean(),
        **dict.fromkeys(("paper_ratio", "paper_rmsd_ang", "paper_failures")),
        **known.get(method, {}),
    }


def overall(known: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Medians over all inputs of each method."""
    summary = summarise_ratios(known[known.method.isin(methods)])
    names = ["input", "method", "n", "rmsd_before_median_ang", "rmsd_after_median_ang", "ratio_median"]
    return summary[[*names, "failures_percent", "paper_rmsd_ang"]]


def in_bins(
    known: pd.DataFrame, methods: Sequence[str], repeats: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Per input kind, method and one of 8 bins with equally many inputs: medians, quartiles, and the mean
    spread over noise with its standard error."""
    rows = []
    for name, part in known.groupby("input", sort=False):
        before = part.drop_duplicates(["id", "conformer"]).rmsd_before_ang
        edges = np.quantile(before, np.linspace(0, 1, N_BINS + 1)[1:-1])
        part = part.assign(bin=np.digitize(part.rmsd_before_ang, edges))
        for method in methods:
            again = part[part.method.isin([method, *repeats.get(method, [])]) & part.ratio.notna()]
            seeds = again.groupby(["bin", "id", "conformer"]).rmsd_after_ang.agg(["std", "count"])
            spread = seeds[seeds["count"] > 1]["std"].groupby("bin").agg(["mean", "sem"])
            for place, rest in part[(part.method == method) & part.ratio.notna()].groupby("bin"):
                low, middle, high = rest.rmsd_after_ang.quantile([0.25, 0.5, 0.75])
                rows.append(
                    {
                        "input": name,
                        "method": method,
                        "bin": place,
                        "n": len(rest),
                        "rmsd_before_ang": rest.rmsd_before_ang.median(),
                        "rmsd_after_ang": middle,
                        "quartile_1_ang": low,
                        "quartile_3_ang": high,
                        "spread_ang": spread["mean"].get(place, np.nan),
                        "spread_error_ang": spread["sem"].get(place, np.nan),
                    }
                )
    return pd.DataFrame(rows)
