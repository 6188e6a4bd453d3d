"""Energy of every start above the minimum that it relaxes to, in the manner of paper E's figure 4."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    LIGHT_GREY,
    SINGLE_COLUMN_MM,
    figure_that_says,
    in_house_style,
    name_starts,
    new_figure,
    number,
    sample,
    say,
    stacked,
    start_colours,
    title,
    which_molecules,
    wrapped,
)
from prerelax.comparison.summary import usable_everywhere

MAX_POINTS = 300
"""Molecules drawn; of more a random sample, while mean and quartiles are those of all."""
FLOOR_KCAL_MOL = 0.01
"""Bottom of the logarithmic axis, where everything below is drawn, such as a start that is a minimum."""
_VALUE = "start_above_minimum_kcal_mol"
_DATA = ["target", "start", "id", "conformer", _VALUE]


@in_house_style
def start_energies(comparison: pd.DataFrame, baseline: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the numbers behind it: one panel per target, the starts side by side on a logarithmic axis.

    A grey point is a molecule, black are the means, a bar is the middle half with its median. Only molecules
    whose relaxations count from every start are drawn, so that all starts are seen on the same molecules.
    """
    targets = list(comparison["target"].cat.categories)
    starts = list(comparison["start"].cat.categories)
    if not targets:
        return figure_that_says("No relaxations."), comparison[_DATA]
    width = SINGLE_COLUMN_MM if len(starts) <= 4 else DOUBLE_COLUMN_MM
    figure = new_figure(width, 66 * len(targets))
    drawn = []
    for part, target in zip(stacked(figure, [1] * len(targets)), targets, strict=True):
        axes = part.subplots()
        molecules, in_common = usable_everywhere(comparison[comparison["target"] == target])
        table = molecules.pivot(index=["id", "conformer"], columns="start", values=_VALUE)
        table = table[[start for start in starts if start in table and table[start].notna().any()]]
        absent = [start for start in _starts_at(comparison, target) if start not in table]
        drawn_words = f", {MAX_POINTS} drawn" if len(table) > MAX_POINTS else ""
        title(axes, target, which_molecules(len(table), in_common, absent) + drawn_words)
        _draw_target(axes, table, start_colours(starts, baseline))
        drawn.append(molecules[_DATA])
    return figure, pd.concat(drawn)


def _draw_target(axes: Axes, table: pd.DataFrame, colours: dict[str, str]) -> None:
    if table.empty:
        say(axes, "No relaxation at this target counts.")
        return
    places = np.arange(len(table.columns))
    values = np.maximum(table.to_numpy(), FLOOR_KCAL_MOL)
    points = np.maximum(sample(table, MAX_POINTS).to_numpy(), FLOOR_KCAL_MOL)
    jitter = np.random.default_rng(0).uniform(-0.16, 0.16, (len(points), 1))
    alpha = float(np.clip(8 / len(points), 0.2, 0.8))
    axes.plot(places + jitter, points, ls="", marker="o", ms=2, mew=0, color=GREY, alpha=alpha, zorder=1)
    for place, start in enumerate(table.columns):
        low, median, high = np.nanquantile(values[:, place], [0.25, 0.5, 0.75])
        axes.vlines(place, low, high, color=colours[start], lw=6, alpha=0.5, zorder=2)
        axes.plot(place, median, color="white", marker="_", ms=6, mew=1.2, zorder=2)
    means = np.maximum(table.mean().to_numpy(), FLOOR_KCAL_MOL)
    axes.plot(places, means, color=INK, ls="", marker="o", ms=3.5, zorder=3)
    for place, mean in enumerate(table.mean()):
        position = (place, max(mean, FLOOR_KCAL_MOL))
        text = axes.annotate(number(mean, 2), position, (6, 3), textcoords="offset points", zorder=5)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
    _finish_axes(axes, table, colours)


def _finish_axes(axes: Axes, table: pd.DataFrame, colours: dict[str, str]) -> None:
    axes.set_yscale("log")
    bottom = min(float(table.min().min()), 1.0)
    axes.set_ylim(bottom=max(bottom, FLOOR_KCAL_MOL) * 0.8)
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick_label))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=LIGHT_GREY, lw=0.4)
    axes.set_xlim(-0.4, len(table.columns) - 0.45)
    axes.set_xticks(range(len(table.columns)), [wrapped(start) for start in table.columns])
    name_starts(axes.get_xticklabels(), table.columns, colours)
    axes.set_ylabel("start above its own minimum / kcal/mol")


def _starts_at(comparison: pd.DataFrame, target: str) -> list[str]:
    return list(comparison.loc[comparison["target"] == target, "start"].unique())


def _tick_label(value: float, _place: int) -> str:
    return f"≤ {value:g}" if value <= FLOOR_KCAL_MOL else f"{value:g}"
