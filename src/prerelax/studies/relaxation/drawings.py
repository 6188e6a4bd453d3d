"""Molecules before and after MoreRed's relaxations, drawn (paper M, figures 5 and 9)."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd

from prerelax.comparison.figures.molecule_drawing import best_view, draw_molecule
from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    figure_that_says,
    in_house_style,
    new_figure,
    number,
)
from prerelax.molecules.superposition import superimposed
from prerelax.studies.relaxation.figures import Drawn, named
from prerelax.studies.relaxation.table import counted, rows_of_start

QUANTILES = (0.1, 0.5, 0.9)
"""of the RMSD ratio, by which the molecules that are drawn are chosen"""


@in_house_style
def drawings(
    table: pd.DataFrame, results: Path, reference: str, input_name: str, methods: Sequence[str], by: str
) -> Drawn:
    """Minimum, input and what every method makes of it, for quantiles of `by`'s ratio (paper M, 5 and 9).

    The second figure is the rows of the inputs drawn, the third the rule by which they were chosen.
    """
    chosen = chosen_inputs(table, input_name, by)
    if chosen.empty:
        return figure_that_says(f"{by} has no result for {input_name} minima."), chosen, chosen
    starts = {"minimum": reference, "input": input_name, **{m: f"{m}-{input_name}" for m in methods}}
    rows = {
        name: {(r.id, r.conformer): r for r in rows_of_start(results, start)}
        for name, start in starts.items()
    }
    known = counted(table[table.input == input_name]).set_index(["method", "id", "conformer"])
    figure = new_figure(DOUBLE_COLUMN_MM, 28 * len(chosen) + 8)
    grid = figure.subplots(len(chosen), len(starts), squeeze=False)
    for line, pick in zip(grid, chosen.to_dict("records"), strict=True):
        minimum = rows["minimum"][str(pick["id"]), 0]
        view, centre = best_view([minimum.positions]), minimum.positions.mean(axis=0)
        for axes, name in zip(line, starts, strict=True):
            row = rows[name].get((str(pick["id"]), 0 if name == "minimum" else int(pick["conformer"])))
            if row is None:
                axes.set_axis_off()
                continue
            turned = (superimposed(row.positions, minimum.positions) - centre) @ view
            draw_molecule(axes, minimum.smiles, row.numbers, turned)
            axes.autoscale_view()
            axes.set_title(fill(named(name), 11) if axes in grid[0] else "", fontweight="bold", fontsize=6.5)
            axes.text(
                0.5,
                -0.02,
                _words(known, name, pick),
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=6,
            )
        words = {"transform": line[0].transAxes, "rotation": 90, "va": "center", "ha": "right"}
        line[0].text(-0.05, 0.5, f"quantile {pick['quantile']:g}", fontsize=6, color=GREY, **words)
    drawn = known.loc[[i for i in known.index if i[1:] in set(zip(chosen.id, chosen.conformer, strict=True))]]
    columns = ["smiles", "rmsd_before_ang", "rmsd_after_ang", "ratio", "status"]
    return figure, drawn.reset_index()[["method", "id", "conformer", *columns[1:]]], chosen


def _words(known: pd.DataFrame, name: str, pick: Mapping[Hashable, Any]) -> str:
    """What stands under a drawing: the id, the input's RMSD, or a method's RMSD or status."""
    if name == "minimum":
        return str(pick["id"])
    if name == "input":
        return f"{number(pick['rmsd_before_ang'], 2)} Å"
    rows = known.loc[[(name, pick["id"], pick["conformer"])]]
    if rows.ratio.isna().all():
        return str(rows.status.iloc[0]).replace("_", " ")
    return f"{number(float(rows.rmsd_after_ang.iloc[0]), 2)} Å"


def chosen_inputs(table: pd.DataFrame, input_name: str, by: str) -> pd.DataFrame:
    """The inputs whose ratios of method `by` are nearest to the QUANTILES, none of them twice."""
    known = counted(table)
    part = known[(known.input == input_name) & (known.method == by) & known.ratio.notna()]
    part = part.astype({"ratio": float}).sort_values("ratio")
    picks: list[object] = []
    for quantile in QUANTILES:
        rest = part.drop(picks)
        if len(rest):
            picks.append((rest.ratio - float(part.ratio.quantile(quantile))).abs().idxmin())
    found = part.loc[picks]
    if found.empty:
        return found
    found = found.assign(quantile=QUANTILES[: len(found)], chosen_by=by)
    return found[["quantile", "chosen_by", "id", "conformer", "rmsd_before_ang", "rmsd_after_ang", "ratio"]]
