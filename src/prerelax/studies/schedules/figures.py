"""Predicted time steps: paper M's figures 3b, 7 and 13."""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import chi

from prerelax.comparison.figures.style import (
    ADAPTIVE,
    DOUBLE_COLUMN_MM,
    FIXED,
    GREY,
    INK,
    in_house_style,
    lettered,
    new_figure,
    number,
)

COLOURS = {"fixed": FIXED, "adaptive": ADAPTIVE}
DIMENSIONS = (1, 3, 10)
_DIMENSION_COLOURS = ("#CC79A7", "#E69F00", "#2F8FCB", INK)
_SHELLS_DRAWN = 4


@in_house_style
def schedules(along: pd.DataFrame, ends: pd.DataFrame) -> Figure:
    """Steps by iteration above, RMSD to the minimum below; a column for each kind of start."""
    starts = list(ends["start"].unique())
    figure = new_figure(DOUBLE_COLUMN_MM, 100)
    grid = figure.subplots(2, len(starts), squeeze=False, sharey="row")
    for column, start in enumerate(starts):
        _trajectories(grid[0, column], along[along["start"] == start])
        _boxes(grid[1, column], ends[ends["start"] == start])
        n = ends[ends["start"] == start]["id"].nunique()
        grid[0, column].set_title(f"{fill(str(start), 12)}\nn = {n}", loc="left", fontweight="bold")
        grid[0, column].set_xlabel("iteration")
    highest = max(float(along["predicted"].quantile(0.99)), float(along["step"].max()))
    grid[0, 0].set(ylabel="step of the schedule", ylim=(0, 1.05 * highest))
    grid[1, 0].set(ylabel="RMSD to the minimum / Å", ylim=(0, None))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    lettered(grid.ravel())
    return figure


def _trajectories(axes: Axes, rows: pd.DataFrame) -> None:
    for schedule, part in rows.groupby("schedule", sort=False):
        wide = part.pivot(index="iteration", columns="id", values="predicted").ffill()
        colour = COLOURS[str(schedule)]
        width = 2.2 if schedule == "fixed" else 0.9  # where both agree, one is seen within the other
        axes.plot(wide.median(axis=1), color=colour, lw=width, label=f"{schedule}: predicted", zorder=3)
        axes.fill_between(
            wide.index, wide.quantile(0.1, axis=1), wide.quantile(0.9, axis=1), color=colour, alpha=0.15, lw=0
        )
        if schedule == "fixed":
            taken = part.pivot(index="iteration", columns="id", values="step").ffill()
            axes.plot(taken.median(axis=1), color=colour, lw=0.8, ls=":", label="fixed: taken", zorder=4)


def _boxes(axes: Axes, rows: pd.DataFrame) -> None:
    before = rows[rows["schedule"] == rows["schedule"].iloc[0]]["rmsd_before_ang"]
    names = list(rows["schedule"].unique())
    values = [before, *(rows[rows["schedule"] == name]["rmsd_after_ang"] for name in names)]
    boxes = axes.boxplot(
        values,
        tick_labels=[
            f"{name}\n{number(float(np.median(value)), 3)}"
            for name, value in zip(["before", *names], values, strict=True)
        ],
        widths=0.6,
        patch_artist=True,
        flierprops={"marker": ".", "ms": 2, "mec": GREY},
        medianprops={"color": INK},
    )
    for box, name in zip(boxes["boxes"], ["before", *names], strict=True):
        box.set(facecolor=COLOURS.get(name, "white"), alpha=0.6, lw=0.6)
    axes.tick_params(axis="x", labelsize=5)
    axes.grid(axis="y")


@in_house_style
def shells(table: pd.DataFrame, model: str) -> Figure:
    """Where noise lies in many dimensions, shells of several steps, and predicted against true step."""
    figure = new_figure(DOUBLE_COLUMN_MM, 58)
    density, radii, prediction = figure.subplots(1, 3)
    dimension = int(table["dimension"].median())
    _densities(density, table, dimension)
    _shells(radii, table, dimension)
    _prediction(prediction, table)
    lettered((density, radii, prediction))
    prediction.set_title(f"{model}, n = {table['id'].nunique()}", loc="right", color=GREY, fontsize=6)
    return figure


def _densities(axes: Axes, table: pd.DataFrame, dimension: int) -> None:
    x = np.linspace(0.01, 2.5, 400)
    for d, colour in zip((*DIMENSIONS, dimension), _DIMENSION_COLOURS, strict=True):
        axes.plot(x, chi.pdf(x * np.sqrt(d), d) * np.sqrt(d), color=colour, lw=1, label=f"d = {d}")
    relative = table["radius_ang"] / table["sigma_ang"] / np.sqrt(table["dimension"])
    near = relative[(table["dimension"] - dimension).abs() <= 3]
    axes.hist(near, bins=40, density=True, color=INK, alpha=0.2, label="noised minima,\nthis d ± 3")
    axes.set(xlabel="radius / (σ √d)", ylabel="density", xlim=(0, 2.5))
    axes.legend(fontsize=5.5)


def _shells(axes: Axes, table: pd.DataFrame, dimension: int) -> None:
    """Densities of the radius at some steps; none overlap that are far apart, which is why a step is told."""
    steps = np.array(sorted(table["step"].unique()))
    drawn = np.unique(steps[np.linspace(0, len(steps) - 1, _SHELLS_DRAWN + 2).round().astype(int)[1:-1]])
    sigma = table.groupby("step")["sigma_ang"].first()
    for step, colour in zip(drawn, _DIMENSION_COLOURS, strict=False):  # of few steps there are fewer
        for d, line in ((dimension, "-"), (DIMENSIONS[1], ":")):
            scale = float(sigma[step])
            x = np.linspace(0.01, 1.6 * float(sigma.max()) * np.sqrt(d), 500)
            pdf = chi.pdf(x / scale, d) / scale
            label = f"step {step}, σ = {scale:.2f} Å" if d == dimension else None
            axes.plot(x / np.sqrt(d), pdf * np.sqrt(d), line, color=colour, lw=1, label=label)
    axes.set(xlabel="radius / √d / Å", ylabel=f"density (d = {dimension}; dotted: 3)")
    axes.set_xlim(0, min(1.6, 2 * float(sigma[drawn].max())))
    axes.legend(fontsize=5.5)


def _prediction(axes: Axes, table: pd.DataFrame) -> None:
    seen = table[table["predicted"] >= 0]
    of_step = seen.groupby("step")["predicted"]
    low, median, high = (of_step.quantile(q) for q in (0.1, 0.5, 0.9))
    axes.fill_between(median.index, low, high, color=ADAPTIVE, alpha=0.25, lw=0)
    axes.plot(median, color=ADAPTIVE, lw=1.2, label="median, 10–90 %")
    limit = float(table["step"].max())
    axes.plot([0, limit], [0, limit], color=GREY, lw=0.7, ls="--")
    r = float(seen["predicted"].corr(seen["step"]))
    axes.text(0.05, 0.83, f"Pearson r = {r:.4f}", transform=axes.transAxes, fontsize=6)
    axes.set(xlabel="true step", ylabel="predicted step")
    axes.legend(fontsize=6, loc="upper left")
