"""Energy above the minimum along every denoising path, as paper E's figure 4."""

from textwrap import fill

import numpy as np
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
    sample,
)
from prerelax.comparison.figures.words import start_words, target_words
from prerelax.studies.paths.analysis import OWN, Paths, summarise_paths

MAX_LINES = 100
LINEAR_KCAL_MOL = 0.2
"""Energies nearer to the minimum, and those below it, are drawn linearly: minima converged to 0.03 eV/Å are
not known better."""
PAPER_COLOUR = "#D55E00"
CHARACTERS_A_MM = 0.68


@in_house_style
def relaxation_paths(paths: Paths, target: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the energies behind it: a column for each start, a row for each zero.

    Grey lines are molecules, black is their mean, diamonds are the paper's means at start and end.
    """
    table = paths.table
    if table.empty:
        words = "; ".join(left_out_words(reasons, start) for start, reasons in paths.left_out.items())
        return figure_that_says(f"No path at {target} counts. {words}"), table
    starts = list(paths.left_out)
    zeros = list(table["zero"].unique())
    width = min(DOUBLE_COLUMN_MM, 30 + 55 * len(starts))
    figure = new_figure(width, 12 + 58 * len(zeros))
    about = f"{target_words(target)}; black: mean of the molecules; diamonds: the paper's means at B3LYP"
    lines = [fill(line, int(CHARACTERS_A_MM * width)) for line in (about, *_left_out_lines(paths))]
    words = "\n".join(lines)
    figure.suptitle(words, x=0.01, ha="left", fontsize=7)
    panels = figure.subplots(len(zeros), len(starts), squeeze=False, sharey="row")
    summary = summarise_paths(paths)
    for row, zero in zip(panels, zeros, strict=True):
        for axes, start in zip(row, starts, strict=True):
            chosen = table[(table["start"] == start) & (table["zero"] == zero)]
            axes.set_title(
                start_words(start) if zero == zeros[0] else " ", fontweight="bold", loc="left", pad=20
            )
            n = chosen.groupby(["id", "conformer"]).ngroups
            axes.set_title(f"n = {n}", loc="right", color=GREY, fontsize=6, pad=20)
            means = summary[(summary["start"] == start) & (summary["zero"] == zero)]
            _draw(axes, chosen, means)
        row[0].set_ylabel(f"above {'its own' if zero == OWN else 'the data set’s'} minimum / kcal/mol")
    for axes in panels[-1]:
        axes.set_xlabel("network calls left")
    lettered(panels.ravel(), above=20)
    return figure, table


def _left_out_lines(paths: Paths) -> list[str]:
    """What is left out and why, starts with the same reasons in one line."""
    starts: dict[str, list[str]] = {}
    for start, reasons in paths.left_out.items():
        if reasons:
            words = ", ".join(f"{n} {why}" for why, n in reasons.items())
            starts.setdefault(words, []).append(start_words(start))
    return [f"left out from {'; '.join(names)}: {words}" for words, names in starts.items()]


def _draw(axes: Axes, path: pd.DataFrame, means: pd.DataFrame) -> None:
    axes.set_yscale("symlog", linthresh=LINEAR_KCAL_MOL, linscale=0.4)
    axes.axhline(0, color=INK, lw=0.5)
    lines = path.pivot(index=["id", "conformer"], columns="calls_left", values="above_kcal_mol")
    if lines.empty:
        return
    left = lines.columns.to_numpy()
    drawn = sample(lines, MAX_LINES).to_numpy()
    axes.plot(left, drawn.T, color=GREY, lw=0.4, alpha=float(np.clip(15 / len(drawn), 0.15, 0.8)))
    axes.plot(left, lines.mean(), color=INK, lw=1.4)
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    for _, row in means.iterrows():
        at = 0 if row["where"] == "end" else left.max()
        axes.plot(at, row["paper_kcal_mol"], marker="D", ms=4.5, mfc="none", mec=PAPER_COLOUR, clip_on=False)
        interval = f"[{number(row['ci_low'], 1)}, {number(row['ci_high'], 1)}]"
        text = (
            f"{row['where']} {number(row['mean_kcal_mol'], 2)} {interval}, paper ~{row['paper_kcal_mol']:g}"
        )
        place = 1.08 if row["where"] == "start" else 1.015
        axes.text(0, place, text, transform=axes.transAxes, va="bottom", fontsize=6, color=GREY)
