"""Steps saved over training, as paper E's figures 10 (right) and 17."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    figure_that_says,
    in_house_style,
    lettered,
    new_figure,
    number,
    say,
    stacked,
    start_colours,
)
from prerelax.comparison.figures.words import target_words
from prerelax.comparison.summary import ALL
from prerelax.studies.training.analysis import FILTERS_KCAL_MOL

COLOURS = {steps: start_colours([f"edm-n{steps}"], "")[f"edm-n{steps}"] for steps in (20, 30, 50)}
OTHER_COLOUR = "#332288"
_SAVED = "steps_saved_percent"


@in_house_style
def training_speedup(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Figure and the table behind it (`prerelax.studies.training.analysis`): a row for each target and model.

    Columns: all pairs (figure 10 right), minima within 0.2 kcal/mol and within 0.2 eV (figure 17), and how
    many times nearer to its minimum the start is. Bands are the middle half, bars the 95 % interval
    of the median, dashes the paper's fully trained network.
    """
    groups = [(names, rows) for names, rows in table.groupby(["target", "model"], sort=False)]
    if not groups:
        return figure_that_says("No start is made by a checkpoint."), table
    figure = new_figure(DOUBLE_COLUMN_MM, 58 * len(groups) + 4)
    for part, ((target, model), rows) in zip(stacked(figure, [1] * len(groups)), groups, strict=True):
        part.suptitle(f"{target_words(str(target))}, checkpoints of {model}", x=0.01, ha="left", fontsize=7.5)
        panels = part.subplots(1, len(FILTERS_KCAL_MOL) + 1)
        for axes, subset in zip(panels, FILTERS_KCAL_MOL, strict=False):
            _draw_saved(axes, rows[rows["subset"] == subset], subset)
        _share_height(panels[: len(FILTERS_KCAL_MOL)])
        panels[0].set_ylabel("steps saved / %")
        _draw_ratio(panels[-1], rows[rows["subset"] == ALL])
        panels[-1].legend(loc="best", fontsize=6)
        lettered(panels, above=10)
    return figure, table


def _draw_saved(axes: Axes, rows: pd.DataFrame, subset: str) -> None:
    axes.set_title("all pairs" if subset == ALL else subset, loc="left", fontweight="bold", pad=10)
    counts = [int(n) for n in rows.loc[rows["n_counted"] > 0, "n_counted"]]
    if not counts:
        left_out = ", ".join(sorted(set(rows["left_out"]) - {""}))
        say(axes, f"no pair counts\n{left_out}")
        return
    span = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)}…{max(counts)}"
    axes.text(0, 1.02, f"n = {span}", transform=axes.transAxes, color=GREY, fontsize=6)
    for steps, line in rows.groupby("steps", sort=True):
        colour = COLOURS.get(int(str(steps)), OTHER_COLOUR)
        known = line[line["n_counted"] > 0]
        epochs, median = known["epoch"], known[f"{_SAVED}_median"]
        axes.fill_between(
            epochs,
            known[f"{_SAVED}_quartile_25"],
            known[f"{_SAVED}_quartile_75"],
            color=colour,
            alpha=0.2,
            lw=0,
        )
        interval = [median - known[f"{_SAVED}_ci_low"], known[f"{_SAVED}_ci_high"] - median]
        axes.errorbar(epochs, median, interval, color=colour, marker="o", ms=3, lw=1)
        paper = float(line["paper_percent"].iloc[0])
        axes.axhline(paper, color=colour, ls="--", lw=0.8)
        axes.annotate(f"paper, QM9: {number(paper)}", (1, paper), **_PAPER_TEXT, color=colour)
    absent = rows[(rows["n_counted"] == 0) & (rows["left_out"] != "")]
    if len(absent):
        lines = sorted({f"epoch {row.epoch:g}: {row.left_out}" for row in absent.itertuples()})
        axes.text(0.02, 0.02, "\n".join(lines), transform=axes.transAxes, fontsize=5.5, color=GREY)
    axes.axhline(0, color=INK, lw=0.5)
    _epoch_axis(axes, rows)


_PAPER_TEXT: dict[str, Any] = {  # as matplotlib takes it
    "xycoords": ("axes fraction", "data"),
    "ha": "right",
    "va": "bottom",
    "fontsize": 5.5,
}


def _share_height(panels: Iterable[Axes]) -> None:
    """One height for the panels with numbers, so that they can be compared."""
    drawn = [axes for axes in panels if axes.axison]
    low = min((axes.get_ylim()[0] for axes in drawn), default=0)
    high = max((axes.get_ylim()[1] for axes in drawn), default=1)
    for axes in drawn:
        axes.set_ylim(max(low, -100), high)


def _draw_ratio(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_title("energy of the start", loc="left", fontweight="bold", pad=10)
    axes.text(0, 1.02, "paper: 2 × at epoch 50, 3 × at 100", transform=axes.transAxes, fontsize=6, color=GREY)
    for steps, line in rows.groupby("steps", sort=True):
        colour = COLOURS.get(int(str(steps)), OTHER_COLOUR)
        known = line.dropna(subset="energy_ratio")
        axes.plot(
            known["epoch"], known["energy_ratio"], color=colour, marker="o", ms=3, lw=1, label=f"n = {steps}"
        )
    axes.axhline(1, color=INK, lw=0.5)
    axes.set_ylabel("times lower than the baseline's")
    _epoch_axis(axes, rows)


def _epoch_axis(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_xscale("log")
    epochs = sorted(set(rows["epoch"]))
    axes.set_xticks(_legible(epochs))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.tick_params(axis="x", labelsize=5.5)
    axes.set_xlim(min(epochs) * 0.85, max(epochs) * 1.15)
    axes.set_xlabel("epoch")
    axes.grid(axis="y")


def _legible(epochs: list[float]) -> list[float]:
    """The last of the ascending `epochs`, and of those before it what leaves room for a label."""
    ticks = epochs[-1:]
    for epoch in reversed(epochs):
        if epoch < ticks[0] / 1.8:
            ticks.insert(0, epoch)
    return ticks
