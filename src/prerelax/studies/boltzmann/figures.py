"""Repeated denoising steps beside Metropolis's temperatures, as paper E's figures 7, 8 and 9."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    SINGLE_COLUMN_MM,
    in_house_style,
    left_out_words,
    lettered,
    new_figure,
    number,
    save,
    save_with_numbers,
)
from prerelax.studies.boltzmann.analysis import (
    ENOUGH_OVERLAP,
    PAPER_TEMPERATURES_K,
    Comparison,
    summarise,
)
from prerelax.studies.boltzmann.energies import DIFFUSION, METROPOLIS
from prerelax.studies.boltzmann.laws import laws

COLOURS = {METROPOLIS: "#E69F00", DIFFUSION: "#0B4F8A"}
PAPER_COLOUR = "#D55E00"
MAX_MOLECULES = 12
COLUMNS = 3
MAX_PAIRS = 5
"""of a step and a temperature in one panel"""


def boltzmann_figures(compared: Comparison, folder: Path) -> str:
    """Write `boltzmann_violins`, `boltzmann_laws`, `boltzmann_heat_capacity`, `boltzmann_temperature`; beside
    the last the numbers to be quoted, which are returned as a table.
    """
    for name, draw in FIGURES.items():
        save(*draw(compared), folder, name)
    return save_with_numbers(*temperature(compared), summarise(compared), folder / "boltzmann_temperature")


Side = Literal["low", "high"]


@in_house_style
def violins(compared: Comparison) -> tuple[Figure, pd.DataFrame]:
    """Distributions of energies, a panel for each molecule: steps beside the temperatures nearest to them.

    Of more than MAX_PAIRS steps those that the paper pairs, or else some from all over them, are drawn.
    The table has means and standard deviations of all distributions.
    """
    names = list(dict.fromkeys(compared.pairs["id"]))[:MAX_MOLECULES]
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(DOUBLE_COLUMN_MM * (0.7 if columns < 3 else 1), 16 + 52 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        _violin_panel(axes, compared, name)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("energy above the minimum / kcal/mol")
    words = f"n = {len(names)} molecules; below each pair its overlap; paper E: diffusion is wider"
    missing = left_out_words(compared.left_out).removeprefix("; ")
    figure.suptitle("\n".join(filter(None, (words, missing))), x=0.01, ha="left", fontsize=6.5, color=GREY)
    handles = [Patch(color=colour, alpha=0.7, lw=0) for colour in COLOURS.values()]
    figure.legend(handles=handles, labels=list(COLOURS), loc="outside lower center", ncols=2)
    return figure, compared.distributions


def _violin_panel(axes: Axes, compared: Comparison, name: str) -> None:
    pairs = _few(compared.pairs[compared.pairs["id"] == name])
    ticks = []
    columns = pairs[["paired_temperature_k", "n", "overlap"]].to_numpy(dtype=float)
    for place, (temperature_k, n, shared) in enumerate(columns):
        keys = (name, METROPOLIS, temperature_k), (name, DIFFUSION, n)
        sides: tuple[Side, Side] = ("low", "high")
        for side, key in zip(sides, keys, strict=True):
            _half_violin(axes, compared.energies[key], place, side, COLOURS[key[1]])
        ticks.append(f"{temperature_k:g} K\nn = {n:g}\n{number(shared, 2)}")
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.6, len(ticks) - 0.4)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.axhline(0, color=INK, lw=0.5)
    axes.grid(axis="y")
    offset = pairs["offset_kcal_mol"].iloc[0]
    axes.set_title(name, loc="left", fontweight="bold")
    axes.set_title(f"shifted by {number(offset, 2)} kcal/mol", loc="right", color=GREY, fontsize=6)


def _few(pairs: pd.DataFrame) -> pd.DataFrame:
    if len(pairs) <= MAX_PAIRS:
        return pairs
    known = pairs[pairs["n"].isin(PAPER_TEMPERATURES_K)]
    return known if len(known) > 1 else pairs.iloc[:: -(-len(pairs) // MAX_PAIRS)]


def _half_violin(axes: Axes, energies: NDArray[np.float64], place: float, side: Side, colour: str) -> None:
    sign = -1 if side == "low" else 1
    if np.ptp(energies) > 0:
        drawn = axes.violinplot(energies, [place], widths=0.85, showextrema=False, side=side)
        for body in drawn["bodies"]:  # type: ignore[attr-defined]
            body.set(facecolor=colour, alpha=0.7, linewidth=0)
    mean, spread = energies.mean(), energies.std()
    axes.errorbar(place + 0.05 * sign, mean, spread, fmt="o", ms=2, lw=0.8, color=INK)


@in_house_style
def temperature(compared: Comparison) -> tuple[Figure, pd.DataFrame]:
    """The temperature whose mean energy a step has, with one factor for all molecules, and the overlaps.

    The table has a row for each molecule and step, with the paper's temperature where it has the step.
    """
    pairs = compared.pairs
    figure = new_figure(DOUBLE_COLUMN_MM * 0.85, 68)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    most = max(pairs["n"].max(), 1) * 1.08
    n = np.linspace(0, most, 200)
    words = f"T = {number(compared.factor_k, 3)} n² K, one factor"
    left.plot(n, compared.factor_k * n**2, color=COLOURS[DIFFUSION], lw=1.2, label=words)
    inside, outside = pairs[~pairs["extrapolated"]], pairs[pairs["extrapolated"]]
    style: dict[str, Any] = {"color": COLOURS[DIFFUSION], "alpha": 0.75, "lw": 0.8}
    left.scatter(
        inside["n"],
        inside["temperature_k"],
        s=14,
        label="a molecule's step (its smallest made equal)",
        **style,
    )
    if len(outside):
        label = "beyond Metropolis's temperatures"
        left.scatter(
            outside["n"],
            outside["temperature_k"],
            s=14,
            facecolors="none",
            edgecolors=style["color"],
            label=label,
        )
    steps = [step for step in PAPER_TEMPERATURES_K if step <= most]
    values = [PAPER_TEMPERATURES_K[step] for step in steps]
    left.plot(steps, values, "x", color=PAPER_COLOUR, ms=5, label="paper E")
    left.set(xlabel="repeated step n", ylabel="temperature of the same mean energy / K")
    left.set_xlim(0, most)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylim(bottom=0)
    left.legend(loc="upper left")
    left.grid(axis="y")
    _overlaps(right, pairs)
    lettered((left, right))
    hot = compared.distributions[compared.distributions["kind"] == METROPOLIS]
    short = int((hot["overlap_of_halves"] < ENOUGH_OVERLAP).sum())
    found = f"n = {pairs['id'].nunique()} molecules{left_out_words(compared.left_out)}"
    found += (
        f"\n{short} of {len(hot)} Metropolis chains are short: their halves overlap below {ENOUGH_OVERLAP:g}"
    )
    figure.suptitle(found, x=0.01, ha="left", fontsize=6.5, color=GREY)
    return figure, pairs


def _overlaps(axes: Axes, pairs: pd.DataFrame) -> None:
    steps = sorted(pairs["n"].unique())
    for place, n in enumerate(steps):
        found = pairs[pairs["n"] == n]
        spread = np.linspace(-0.12, 0.12, len(found)) if len(found) > 1 else np.zeros(1)
        axes.plot(
            place - 0.15 + 0.5 * spread, found["overlap_of_halves"], "o", ms=3, color=COLOURS[METROPOLIS]
        )
        axes.plot(place + 0.15 + 0.5 * spread, found["overlap"], "o", ms=3, color=COLOURS[DIFFUSION])
    axes.plot([], [], "o", ms=3, color=COLOURS[METROPOLIS], label="halves of Metropolis's chain")
    axes.plot([], [], "o", ms=3, color=COLOURS[DIFFUSION], label="diffusion with Metropolis")
    axes.set_xticks(range(len(steps)), [f"n = {n}" for n in steps])
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_ylim(0, 1.25)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_ylabel("overlap of energies")
    axes.legend(loc="upper left")
    axes.grid(axis="y")


@in_house_style
def heat_capacity(compared: Comparison) -> tuple[Figure, pd.DataFrame]:
    """Heat capacities from the energies' variances, over a harmonic molecule's, against temperature.

    A step's temperature is that of the one factor. The table has a row for each molecule and distribution.
    """
    columns = ["id", "kind", "label", "temperature_k", "heat_capacity", "heat_capacity_error"]
    table = compared.distributions[columns]
    figure = new_figure(SINGLE_COLUMN_MM * 1.15, 66)
    axes = figure.add_subplot()
    axes.axhline(1, color=INK, lw=0.6)
    for kind, marker in ((METROPOLIS, "o"), (DIFFUSION, "s")):
        for place, (_, found) in enumerate(table[table["kind"] == kind].groupby("id")):
            style: dict[str, Any] = {"color": COLOURS[kind], "ms": 3, "lw": 0.7, "alpha": 0.75}
            label = kind if place == 0 else None
            axes.errorbar(
                found["temperature_k"],
                found["heat_capacity"],
                found["heat_capacity_error"],
                fmt=f"{marker}-",
                label=label,
                **style,
            )
    axes.set(xlabel="temperature / K", ylabel="heat capacity / harmonic one")
    finite = table["heat_capacity"][np.isfinite(table["heat_capacity"])]
    axes.set_ylim(0, max(1.5, 1.25 * float(finite.max())) if len(finite) else 1.5)
    axes.legend(loc="upper right")
    axes.grid(axis="y")
    words = f"n = {table['id'].nunique()} molecules; harmonic: (3N − 6)/2 k"
    axes.set_title(words, loc="left", color=GREY, fontsize=6.5)
    return figure, table


FIGURES: dict[str, Callable[[Comparison], tuple[Figure, pd.DataFrame]]] = {
    "boltzmann_violins": violins,
    "boltzmann_laws": laws,
    "boltzmann_heat_capacity": heat_capacity,
}
