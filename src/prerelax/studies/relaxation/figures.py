"""MoreRed's figures of relaxations: RMSD, predicted steps, energies, training curves (paper M).

Each takes a table and gives the figure, the rows behind it and the numbers to be quoted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy.stats import pearsonr

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    LIGHT_GREY,
    figure_that_says,
    in_house_style,
    lettered,
    new_figure,
    start_colours,
)
from prerelax.studies.relaxation.energies import summarise_energies
from prerelax.studies.relaxation.table import (
    counted,
    in_bins,
    judged,
    left_out,
    outliers,
    overall,
    summarise_ratios,
)
from prerelax.studies.relaxation.training_curves import summarise_curves

Drawn = tuple[Figure, pd.DataFrame, pd.DataFrame]
_COLOURS = {
    "mmff94-ob": "#882255",
    "mmff94": "#CC6677",
    "mlff": "#999933",
    "gfn2": "#E69F00",
    "itp": "#117733",
    "as": "#44AA99",
    "jt": "#0B4F8A",
}


_NAMES = {
    "mmff94-ob": "MMFF94, Open Babel",
    "mmff94": "MMFF94",
    "mlff": "MLFF",
    "gfn2": "GFN2-xTB",
    "itp": "ITP",
    "as": "AS",
    "jt": "JT",
}
_VARIANTS = {
    "serial": "one at a time",
    "mlff": "retrained",
    "so3": "SO3net",
    "painn": "PaiNN",
    "blind": "no bonds, random weights",
}

_NETWORKS = {"noise": "noise network", "time": "time network"}
_BARS: dict[str, Any] = {"fmt": "o-", "ms": 2.5, "lw": 0.9, "elinewidth": 0.5, "capsize": 1}


def named(method: str) -> str:
    """A method as people call it; others keep their name of the config."""
    if method in _NAMES:
        return _NAMES[method]
    base, _, variant = method.rpartition("-")
    return f"{_NAMES[base]}, {_VARIANTS[variant]}" if base in _NAMES and variant in _VARIANTS else method


def colours_of(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method, the same in every figure for well-known names."""
    same = {method: method.removesuffix("-serial").removesuffix("-blind") for method in methods}
    known = {method: _COLOURS.get(base) for method, base in same.items()}
    others = start_colours([method for method, colour in known.items() if not colour], baseline="")
    return {method: colour or others[method] for method, colour in known.items()}


def _panels(table: pd.DataFrame, height_mm: float) -> tuple[Figure, dict[str, Axes]]:
    """One panel for every kind of input, side by side."""
    inputs = list(dict.fromkeys(table.input))
    figure = new_figure(DOUBLE_COLUMN_MM, height_mm)
    axes = figure.subplots(1, len(inputs), squeeze=False, sharey=True)[0]
    return figure, dict(zip(inputs, axes, strict=True))


def _headed(axes: Axes, name: str, part: pd.DataFrame, pad: float = 4) -> None:
    inputs = counted(part).drop_duplicates(["id", "conformer"])
    axes.set_title(f"{name}, n = {len(inputs)}", loc="left", fontweight="bold", pad=pad)
    absent = sum(left_out(part).values())
    words = f"{inputs.id.nunique()} molecules" + (f"; {absent} inputs left out" if absent else "")
    axes.set_title(words, loc="right", color=GREY, fontsize=6, pad=pad)


@in_house_style
def ratios(table: pd.DataFrame, methods: Sequence[str]) -> Drawn:
    """Boxplots of RMSD after / before, failures as 1, and their share (paper M, figure 4)."""
    table = table[table.method.isin(methods)]
    known = counted(table)
    numbers = summarise_ratios(table)
    if known.empty:
        return figure_that_says("No input has a minimum to compare with."), known, numbers
    colours = colours_of(methods)
    figure, panels = _panels(known, 75)
    for name, axes in panels.items():
        _headed(axes, name, table[table.input == name], pad=14)
        for place, method in enumerate(methods):
            part = known[(known.input == name) & (known.method == method)]
            values = judged(part)
            if len(values):
                box = axes.boxplot(
                    values,
                    positions=[place],
                    widths=0.6,
                    whis=(5, 95),
                    showfliers=False,
                    patch_artist=True,
                    medianprops={"color": INK},
                )
                box["boxes"][0].set(facecolor=colours[method], alpha=0.7, lw=0.6)
            text = f"{100 * part.failed.astype(float).mean():.0f} %" if len(part) else "–"
            axes.text(
                place, 1.01, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=6
            )
        axes.axhline(1, color=GREY, lw=0.6, ls="--")
        axes.set_yscale("log")
        axes.text(
            -0.75, 1.01, "fail:", transform=axes.get_xaxis_transform(), ha="right", va="bottom", fontsize=6
        )
        axes.set_xticks(range(len(methods)), map(named, methods), rotation=30, ha="right")
    next(iter(panels.values())).set_ylabel("RMSD after / before, failures as 1")
    lettered(panels.values(), above=14)
    return figure, known, numbers


@in_house_style
def start_steps(table: pd.DataFrame, methods: Sequence[str]) -> Drawn:
    """First step as predicted against the RMSD of the input (paper M, figure 3a)."""
    known = counted(table[table.method.isin(methods)])
    known = known[known.first_step.notna()].astype({"first_step": float})
    numbers = pd.DataFrame([_correlation(known, i, m) for i in dict.fromkeys(known.input) for m in methods])
    if known.empty:
        return figure_that_says("No method predicted a step."), known, numbers
    colours = colours_of(methods)
    figure, panels = _panels(known, 70)
    for name, axes in panels.items():
        _headed(axes, name, table[(table.input == name) & table.method.isin(methods)])
        for method in methods:
            part = known[(known.input == name) & (known.method == method)]
            words = numbers[(numbers.input == name) & (numbers.method == method)].iloc[0]
            label = f"{named(method)}, r = {words.pearson_r:.2f}"
            axes.scatter(
                part.rmsd_before_ang,
                part.first_step,
                s=5,
                alpha=0.6,
                color=colours[method],
                label=label,
                lw=0,
            )
        axes.set_xlabel("RMSD of the input (Å)")
        axes.legend(loc="upper left")
    next(iter(panels.values())).set_ylabel("predicted first step")
    lettered(panels.values())
    return figure, known, numbers


def _correlation(known: pd.DataFrame, name: str, method: str) -> dict[str, object]:
    """Pearson's r, outliers of the straight line, and errors where the true step is known."""
    part = known[(known.input == name) & (known.method == method)]
    row: dict[str, object] = {"input": name, "method": method, "n": len(part), "pearson_r": np.nan}
    if len(part) < 3 or part.first_step.nunique() < 2:
        return row
    x, y = part.rmsd_before_ang.to_numpy(float), part.first_step.to_numpy(float)
    row["pearson_r"] = float(pearsonr(x, y).statistic)
    row["outliers_percent"] = 100 * float(outliers(part.rmsd_before_ang, part.first_step).mean())
    error = y - part.true_step.to_numpy(float)
    row["step_error_median"] = float(np.median(np.abs(error))) if np.isfinite(error).all() else np.nan
    row["paper"] = "JT has fewer outliers"
    return row


@in_house_style
def rmsd_in_bins(table: pd.DataFrame, methods: Sequence[str], repeats: Mapping[str, Sequence[str]]) -> Drawn:
    """RMSD after in bins of the RMSD before, and its spread over noise (paper M, figures 8, 10 and 11).

    Bars are quartiles over inputs. The spread is the standard deviation over a method and its `repeats` with
    other seeds, of each input, and its bars are standard errors; it has no panels where nothing was repeated.
    """
    known = counted(table)
    wanted = [m for m in methods if m in set(known.method)]
    binned = in_bins(known, wanted, repeats)
    if binned.empty:
        return figure_that_says("No input has a minimum to compare with."), binned, binned
    colours = colours_of(wanted)
    aside = dict(zip(wanted, np.geomspace(0.95, 1.05, len(wanted)).tolist(), strict=True))
    inputs = list(dict.fromkeys(binned.input))
    heights = [2, 1] if binned.spread_ang.notna().any() else [1]
    figure = new_figure(DOUBLE_COLUMN_MM, 95 if len(heights) > 1 else 65)
    grid = figure.subplots(
        len(heights), len(inputs), squeeze=False, sharex="col", sharey="row", height_ratios=heights
    )
    without: Axes | None = None
    for column, name in enumerate(inputs):
        above, below = grid[0, column], grid[-1, column]
        _headed(above, name, table[(table.input == name) & table.method.isin(wanted)])
        for method in wanted:
            part = binned[(binned.input == name) & (binned.method == method)]
            middle, x = part.rmsd_after_ang, part.rmsd_before_ang * aside[method]
            bars = [middle - part.quartile_1_ang, part.quartile_3_ang - middle]
            style = {"color": colours[method], **_BARS}
            above.errorbar(x, middle, bars, label=named(method), **style)
            if part.spread_ang.notna().any():
                below.errorbar(x, part.spread_ang, part.spread_error_ang, **style)
        ends = binned[binned.input == name].rmsd_before_ang.agg(["min", "max"])
        above.plot(ends, ends, color=LIGHT_GREY, lw=0.7, zorder=0)
        above.loglog()
        below.set_yscale("log")
        plain(above.xaxis, (1, 2, 5))
        plain(above.yaxis, (1, 2, 5))
        below.set_xlabel("RMSD of the input (Å), medians of 8 bins")
        if below is not above and not below.lines:
            below.set_axis_off()
            without = below
            above.tick_params(labelbottom=True)
            above.set_xlabel(below.get_xlabel())
    grid[0, 0].set_ylabel("RMSD after (Å), median, quartiles")
    if len(heights) > 1:
        grid[1, 0].set_ylabel("spread over noise (Å)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if without is None:
        columns = min(len(labels), 3 if max(map(len, labels)) > 20 else 7)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    else:
        without.legend(handles, labels, loc="center", ncols=2)
    lettered(grid.ravel())
    return figure, binned, overall(known, wanted)


def plain(axis: Axis, digits: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers at these digits."""
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


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
    axes.set_xticks(range(len(methods)), map(named, methods), rotation=30, ha="right")
    axes.set_ylabel("energy above the minimum (kcal/mol)")
    n = len(known.drop_duplicates(["id", "conformer"]))
    axes.set_title(
        f"{level} at {n} {input_name} inputs; grey: within 1 kcal/mol", loc="left", fontweight="bold"
    )
    return figure, table, numbers


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
        axes.plot(part.step, part.averaged_loss, color="#0B4F8A", lw=0.9, label="their average (EMA)")
        if part.current_loss.max() > 3 * part.current_loss.min():
            axes.set_yscale("log")
        words = f"{_NETWORKS.get(model, named(model))}, n = {len(part)}"
        axes.set_title(words, loc="left", fontweight="bold")
        axes.set_xlabel("training steps")
    figure.axes[0].set_ylabel("validation loss")
    lettered(figure.axes)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    if absent:
        figure.suptitle("; ".join(f"{name}: no curve" for name in absent), fontsize=6, color=GREY)
    return figure, table, numbers
