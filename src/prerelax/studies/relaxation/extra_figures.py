"""MoreRed's figures of energies, of chosen molecules and of training curves (paper M, 5, 6, 9 and 16)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from prerelax.comparison.figures.molecule_drawing import best_view, draw_molecule
from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    figure_that_says,
    in_house_style,
    new_figure,
    number,
)
from prerelax.molecules.superposition import superimposed
from prerelax.studies.relaxation.energies import summarise_energies
from prerelax.studies.relaxation.figures import Drawn, colours_of
from prerelax.studies.relaxation.table import counted, rows_of_start
from prerelax.studies.relaxation.training_curves import summarise_curves

QUANTILES = (0.1, 0.5, 0.9)
"""of the RMSD ratio, by which the molecules that are drawn are chosen"""


@in_house_style
def energies(table: pd.DataFrame, level: str, input_name: str) -> Drawn:
    """Energies above the minimum by method (paper M, figure 6)."""
    numbers = summarise_energies(table)
    methods = [m for m in dict.fromkeys(table.method) if m != "input"]
    known = table[table.energy_kcal_mol.notna() & (table.method != "input")]
    if known.empty:
        return figure_that_says("No energy is known: the table says why."), table, numbers
    colours = colours_of(methods)
    figure = new_figure(DOUBLE_COLUMN_MM, 75)
    axes = figure.add_subplot()
    for place, method in enumerate(methods):
        values = known[known.method == method].energy_kcal_mol.to_numpy(float)
        if not len(values):
            continue
        jitter = np.random.default_rng(0).uniform(-0.18, 0.18, len(values))
        axes.scatter(place + jitter, values, s=6, color=colours[method], alpha=0.7, lw=0)
        axes.hlines(np.median(values), place - 0.3, place + 0.3, color=INK, lw=1.2)
    axes.set_yscale("symlog", linthresh=1)
    axes.axhline(0, color=GREY, lw=0.6)
    axes.axhspan(-1, 1, color=GREY, alpha=0.12, lw=0)
    axes.set_xticks(range(len(methods)), methods, rotation=30, ha="right")
    axes.set_ylabel("energy above the minimum (kcal/mol)")
    n = int(table[table.method == "input"].shape[0])
    axes.set_title(
        f"{level} at {n} {input_name} inputs; grey: within 1 kcal/mol", loc="left", fontweight="bold"
    )
    return figure, table, numbers


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
            axes.set_title(name if axes in grid[0] else "", fontweight="bold", fontsize=6.5)
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


def _words(known: pd.DataFrame, name: str, pick: Mapping[Any, Any]) -> str:
    """What stands under a drawing: the id, the input's RMSD, or a method's RMSD or status."""
    if name == "minimum":
        return str(pick["id"])
    if name == "input":
        return f"{number(pick['rmsd_before_ang'], 2)} Å"
    key: Any = (name, pick["id"], pick["conformer"])
    row: Any = known.loc[key]
    return f"{number(float(row.rmsd_after_ang), 2)} Å" if row.ratio == row.ratio else str(row.status)


def chosen_inputs(table: pd.DataFrame, input_name: str, by: str) -> pd.DataFrame:
    """The inputs whose ratios of method `by` are nearest to the QUANTILES, none of them twice."""
    known = counted(table)
    part = known[(known.input == input_name) & (known.method == by) & known.ratio.notna()]
    part = part.astype({"ratio": float}).sort_values("ratio")
    picks: list[Any] = []
    for quantile in QUANTILES:
        rest = part.drop(picks)
        if len(rest):
            picks.append((rest.ratio - float(part.ratio.quantile(quantile))).abs().idxmin())
    found = part.loc[picks]
    if found.empty:
        return found
    found = found.assign(quantile=QUANTILES[: len(found)], chosen_by=by)
    return found[["quantile", "chosen_by", "id", "conformer", "rmsd_before_ang", "rmsd_after_ang", "ratio"]]


@in_house_style
def curves(table: pd.DataFrame, absent: Mapping[str, str]) -> Drawn:
    """Validation losses with and without the average of the weights (paper M, figure 16)."""
    numbers = summarise_curves(table)
    models = list(dict.fromkeys(table.model))
    if not models:
        return figure_that_says("No training has a validation loss."), table, numbers
    figure: Figure = new_figure(DOUBLE_COLUMN_MM, 55)
    for axes, model in zip(figure.subplots(1, len(models), squeeze=False)[0], models, strict=True):
        part = table[table.model == model]
        axes.plot(part.step, part.current_loss, color="#E69F00", lw=0.9, label="current weights")
        axes.plot(part.step, part.averaged_loss, color="#0B4F8A", lw=0.9, label="their average")
        if part.current_loss.max() > 3 * part.current_loss.min():
            axes.set_yscale("log")
        axes.set_title(model, loc="left", fontweight="bold")
        axes.set_xlabel("gradient steps")
    figure.axes[0].set_ylabel("validation loss")
    figure.axes[0].legend()
    if absent:
        figure.suptitle("; ".join(f"{name}: no curve" for name in absent), fontsize=6, color=GREY)
    return figure, table, numbers
