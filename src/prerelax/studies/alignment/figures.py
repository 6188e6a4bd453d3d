"""Cosines between coming steps, forces and the direct path to the minimum, as paper E's figure 6."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    figure_that_says,
    in_house_style,
    left_out_words,
    lettered,
    new_figure,
    number,
    say,
)
from prerelax.comparison.figures.words import start_words, target_words
from prerelax.studies.alignment.analysis import MEASURES, Alignment, summarise_alignment

COLOURS = {"steps_forces": "#D55E00", "steps_path": "#0B4F8A", "forces_path": "#999999"}
WORDS = {
    "steps_forces": "next k steps with the forces",
    "steps_path": "next k steps with the direct path",
    "forces_path": "forces with the direct path",
}
PAPER = (
    "paper E, QM9 (9 × 256): early in training the forces win, late the direct path",
    "paper E, drug-like molecules (4 × 256): the forces win",
)


@in_house_style
def alignment(cosines: Alignment, target: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the means behind it: a column for each start (epochs), a row for each k.

    A line is the mean over molecules of the mean over atoms, the band its standard deviation. Below each
    panel's title stands by how much the steps follow the path rather than the forces.
    """
    table = cosines.table
    if table.empty:
        words = "; ".join(left_out_words(reasons, start) for start, reasons in cosines.left_out.items())
        return figure_that_says(f"No path at {target} counts. {words}"), table
    starts = [start for start in cosines.left_out if (table["start"] == start).any()]
    sums = list(table["k"].unique())
    figure = new_figure(DOUBLE_COLUMN_MM if len(starts) > 2 else 110, 16 + 40 * len(sums))
    absent = [start for start in cosines.left_out if start not in starts]
    missing = [left_out_words(cosines.left_out[start], start) for start in absent]
    figure.suptitle(
        "\n".join([target_words(target), *PAPER, *missing]), x=0.01, ha="left", fontsize=6.5, color=GREY
    )
    panels = figure.subplots(len(sums), len(starts), squeeze=False, sharey=True, sharex=True)
    summary = summarise_alignment(cosines).set_index(["start", "k"])
    means = []
    for row, k in zip(panels, sums, strict=True):
        for axes, start in zip(row, starts, strict=True):
            chosen = table[(table["start"] == start) & (table["k"] == k)]
            if chosen.empty:
                say(axes, f"no path of {start} has {k} steps")
                continue
            means.append(_draw(axes, chosen).assign(start=start, k=k))
            _title(axes, start_words(start) if k == sums[0] else "", summary.loc[(start, k)])
        row[0].set_ylabel(f"cosine, k = {k}")
    for axes in panels[-1]:
        axes.set_xlabel("network calls left")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lettered(panels.ravel(), above=6)
    panels[0][0].invert_xaxis()
    figure.legend(
        *panels[0][0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3 if len(starts) > 2 else 1,
    )
    return figure, pd.concat(means)


def _draw(axes: Axes, cosines: pd.DataFrame) -> pd.DataFrame:
    """Draw mean and standard deviation over molecules along the path; returns them."""
    of_call = cosines.groupby("calls_left")[list(MEASURES)]
    mean, spread = of_call.mean(), of_call.std()
    axes.axhline(0, color=INK, lw=0.5)
    axes.set_ylim(-0.5, 1)
    axes.grid(axis="y")
    for name in MEASURES:
        axes.plot(mean.index, mean[name], color=COLOURS[name], lw=1.1, label=WORDS[name])
        band = (mean[name] - spread[name], mean[name] + spread[name])
        axes.fill_between(mean.index, *band, color=COLOURS[name], alpha=0.15, lw=0)
    return mean.join(spread, rsuffix="_std").reset_index()


def _title(axes: Axes, start: str, row: pd.Series) -> None:
    """Start and verdict above a panel, however narrow it is: its text takes no part in the layout."""
    axes.set_title(" ", pad=16 if start else 9)
    interval = f"[{number(row['ci_low'], 2)}, {number(row['ci_high'], 2)}]"
    words = f"{row['conclusion']}, n = {row['n']}\n{number(row['path_minus_forces'], 2)} {interval}"
    place: dict[str, Any] = {"transform": axes.transAxes, "in_layout": False}
    axes.text(0, 1.21, start, fontweight="bold", fontsize=6.5, **place)
    axes.text(0, 1.03, words, fontsize=5.5, color=GREY, **place)
