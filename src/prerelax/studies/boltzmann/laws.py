"""Energies against T and against n², and one factor between them, as paper E's figures 8 and 9."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    in_house_style,
    left_out_words,
    new_figure,
    number,
)
from prerelax.studies.boltzmann.analysis import Comparison, paper_factors_k
from prerelax.studies.boltzmann.energies import DIFFUSION, METROPOLIS

_MOLECULES = (
    *("#0B4F8A", "#E69F00", "#117733", "#882255", "#2F8FCB", "#D55E00", "#44AA99", "#AA4499", "#999933"),
    *("#332288", "#661100", "#6699CC"),
)
"""A colour for each molecule, the same in all panels (Tol; Okabe and Ito)."""
FEWEST_POINTS = 3
FEWEST_FOR_POWER = 4
"""points, to which a line of a power of x is fitted"""
POWERS = (0.1, 6.0)
"""among which it is sought"""


def slopes(compared: Comparison) -> pd.DataFrame:
    """A row for each molecule: slopes of its mean energies with T (kcal/mol/K) and n² (kcal/mol), their
    standard errors, the factor of T = factor n² that they give, and the powers of T and of n with which the
    means go; nan where there are fewer than two means, for powers than four.
    """
    rows = []
    for name, table in compared.distributions.groupby("id", sort=False):
        row: dict[str, object] = {"id": name}
        for kind, power, of, x_of in ((METROPOLIS, 1, "t", "t"), (DIFFUSION, 2, "n2", "n")):
            part = table[table["kind"] == kind]
            x, y = part["label"].to_numpy(float), part["mean_kcal_mol"].to_numpy(float)
            slope, error = _slope(x**power, y)
            row |= {f"slope_{of}": slope, f"slope_{of}_error": error, f"points_{of}": len(part)}
            row[f"power_of_{x_of}"] = _power(x, y)
        rows.append(row)
    found = pd.DataFrame(rows)
    found["factor_k"] = found["slope_n2"] / found["slope_t"]
    return found


def _slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    if len(x) < 2 or np.ptp(x) == 0:
        return np.nan, np.nan
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    if len(x) < FEWEST_POINTS:
        return slope, np.nan
    rest = y - y.mean() - slope * centred
    return slope, float(np.sqrt(rest @ rest / (len(x) - 2) / (centred @ centred)))


def _power(x: np.ndarray, y: np.ndarray) -> float:
    """The p of the line in x**p that is nearest to y; nan for too few points."""
    if len(x) < FEWEST_FOR_POWER or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan

    def off(p: float) -> float:
        powers = (x / x.max()) ** p
        centred = powers - powers.mean()
        rest = y - y.mean() - centred * (centred @ y) / (centred @ centred)
        return float(rest @ rest)

    return float(minimize_scalar(off, bounds=POWERS, method="bounded").x)


@in_house_style
def laws(compared: Comparison) -> tuple[Figure, pd.DataFrame]:
    """Mean ± standard deviation of every molecule against T and n², and their slopes with one factor.

    The table is that of `slopes`.
    """
    table, found = compared.distributions, slopes(compared)
    names = list(found["id"])
    colours = {name: _MOLECULES[place % len(_MOLECULES)] for place, name in enumerate(names)}
    figure = new_figure(DOUBLE_COLUMN_MM, 64)
    left, middle, right = figure.subplots(1, 3)
    middle.sharey(left)
    for axes, kind, power in ((left, METROPOLIS, 1), (middle, DIFFUSION, 2)):
        for name in names:
            part = table[(table["kind"] == kind) & (table["id"] == name)].sort_values("label")
            axes.errorbar(
                part["label"] ** power,
                part["mean_kcal_mol"],
                part["std_kcal_mol"],
                fmt="o-",
                ms=2.5,
                lw=0.8,
                elinewidth=0.5,
                color=colours[name],
                label=name,
            )
        axes.set_xlim(left=0)
        axes.grid(axis="y")
    left.set_ylim(bottom=0)  # after both, which share it
    left.set(xlabel="T / K", ylabel="energy above the minimum / kcal/mol")
    middle.set(xlabel="n²")
    _draw_slopes(right, found, compared.factor_k, colours)
    letters = {left: "a  Metropolis", middle: "b  repeated step", right: "c  slopes of the means"}
    for axes, words in letters.items():
        axes.set_title(words, loc="left", fontweight="bold")
    words = f"n = {len(names)} molecules; bars: standard deviations of the energies"
    words += left_out_words(compared.left_out)
    figure.suptitle(words, x=0.01, ha="left", fontsize=6.5, color=GREY)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(names), 6))
    return figure, found


def _draw_slopes(axes: Axes, found: pd.DataFrame, factor_k: float, colours: dict[str, str]) -> None:
    drawn = found.dropna(subset=["slope_t", "slope_n2"])
    for row in drawn.to_dict("records"):
        certain = min(row["points_t"], row["points_n2"]) >= FEWEST_POINTS
        colour = colours[row["id"]]
        axes.errorbar(
            row["slope_t"],
            row["slope_n2"],
            xerr=row["slope_t_error"] if certain else None,
            yerr=row["slope_n2_error"] if certain else None,
            fmt="o",
            ms=4,
            lw=0.7,
            color=colour,
            mfc=colour if certain else "none",
        )
    most = 1.15 * float(drawn["slope_t"].max()) if len(drawn) else 1.0
    line = np.array([0.0, most])
    low, high = paper_factors_k()
    axes.fill_between(line, low * line, high * line, color=GREY, alpha=0.15, lw=0, zorder=0)
    axes.plot(line, factor_k * line, color=INK, lw=0.8, ls="--", zorder=0)
    words = f"one factor: T = {number(factor_k, 2)} n² K\ngrey: paper E's pairs, {low:.2f} to {high:.2f} K"
    axes.text(0.05, 0.95, words, transform=axes.transAxes, va="top", fontsize=6)
    axes.set(xlabel="with T / kcal/mol/K", ylabel="with n² / kcal/mol")
    axes.set_xlim(0, most)
    axes.set_ylim(0, 1.45 * max(high * most, float(drawn["slope_n2"].max()) if len(drawn) else 0.0))
