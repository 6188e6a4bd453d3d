"""Energies along the end of the generating chain, as paper E's figure 3."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    figure_that_says,
    in_house_style,
    left_out_words,
    new_figure,
)
from prerelax.studies.generation.chain_end import CHAIN, LINE

COLOURS = {CHAIN: "#0B4F8A", LINE: "#D55E00"}


@in_house_style
def chain_end(table: pd.DataFrame, left_out: Mapping[str, int], target: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the energies behind it: the chain at the left, the straight line at the right."""
    if table.empty:
        words = left_out_words(left_out) or "; no chain ended in one piece"
        return figure_that_says(f"Nothing to evaluate at {target}{words}"), table
    figure = new_figure(DOUBLE_COLUMN_MM * 0.75, 62)
    n = table["id"].nunique()
    n_valid = int(table.groupby("id")["allowed_valences"].first().sum())
    words = f"target {target}, n = {n}, {n_valid} of them with allowed valences{left_out_words(left_out)}"
    figure.suptitle(words, x=0.01, ha="left", fontsize=7)
    panels = figure.subplots(1, 2, sharey=True, sharex=True)
    for axes, name in zip(panels, (CHAIN, LINE), strict=True):
        lines = table[table["path"] == name].pivot(index="id", columns="calls_left", values="above_kcal_mol")
        left = lines.columns.to_numpy()
        axes.plot(left, lines.to_numpy().T, color=GREY, lw=0.4, alpha=float(np.clip(8 / n, 0.15, 0.8)))
        axes.plot(left, lines.median(), color=COLOURS[name], lw=1.5)
        axes.set_title(name, loc="left", fontweight="bold", color=COLOURS[name])
        axes.axhline(0, color=INK, lw=0.5)
        axes.set_xlabel("network calls left")
        axes.grid(axis="y")
    panels[0].set_yscale("symlog", linthresh=10)
    panels[0].set_ylim(bottom=min(-2.0, 1.2 * float(table["above_kcal_mol"].min())))
    panels[0].set_ylabel("above the finished molecule / kcal/mol")
    panels[0].invert_xaxis()
    panels[0].set_title("paper E: consistently falling", loc="right", fontsize=6, color=GREY)
    return figure, table
