"""Generation as paper E draws it: phases (figure 2), energies at the chain's end (3), samples (14 and 15)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from ase.formula import Formula
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from prerelax.comparison.figures.sample_drawing import draw_sample, evenly_spaced, sample_grid
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
)
from prerelax.comparison.figures.words import target_words
from prerelax.molecules.bond_orders import allowed, bond_orders, valences
from prerelax.studies.generation.chain_end import CHAIN, LINE
from prerelax.studies.generation.chains import Chains
from prerelax.studies.generation.phases import PAPER_FINAL_STEP, Phases

ATOMS, MOLECULES, VALID = "#0B4F8A", "#D55E00", "#009E73"
COLOURS = {CHAIN: "#0B4F8A", LINE: "#D55E00"}
PAPER_TIMESTEPS = 1000
DRAWN = 24
"""molecules, evenly spaced over all chains"""


@in_house_style
def phases(found: Phases, model: str, timesteps: int) -> tuple[Figure, pd.DataFrame]:
    """Figure and the table behind it, by the network calls still to come, on a logarithmic axis."""
    table = found.table
    if table.empty:
        text = f"{model}: all {found.blown_up} chains blew up; a network trained longer is needed"
        return figure_that_says(text), table
    figure = new_figure(DOUBLE_COLUMN_MM, 105)
    left_out = f", {found.blown_up} blew up" if found.blown_up else ""
    words = (
        f"{model}: {len(found.settled_step)} molecules{left_out}; "
        f"{number(100 * found.valid_atoms)} % of atoms, {number(100 * found.valid_molecules)} % of molecules "
        "with allowed valences at the end"
    )
    half = float(table.loc[table["settled_element_molecules"] >= 0.5, "steps_left"].max())
    figure.suptitle(f"{words}\n{_words(half, timesteps)}", x=0.01, ha="left", fontsize=7)
    (size, error), (element, valence) = figure.subplots(2, 2, sharex=True)
    _mean_and_spread(size, table, "step_size")
    size.set(ylabel="step size / Å", yscale="log")
    _mean_and_spread(error, table[:-1], "bond_error")  # 0 at the end
    error.set(ylabel="bond-length error / Å", yscale="log")
    for whom, colour in (("atoms", ATOMS), ("molecules", MOLECULES)):
        element.plot(_left(table), table[f"settled_element_{whom}"], color=colour, lw=1.2, label=f"{whom}")
        element.plot(_left(table), table[f"element_{whom}"], color=colour, lw=0.6, ls=":")
        element.plot(_left(table), table[f"null_element_{whom}"], color=colour, lw=2.5, alpha=0.25)
        valence.plot(_left(table), table[f"settled_valence_{whom}"], color=colour, lw=1.2)
        valence.plot(_left(table), table[f"valid_valence_{whom}"], color=colour, lw=0.8, ls="--")
    element.set_ylabel("final element from here on")
    element.plot([], [], color=GREY, lw=2.5, alpha=0.4, label="by the schedule alone")
    element.plot([], [], color=GREY, lw=0.6, ls=":", label="final now")
    element.plot([], [], color=GREY, lw=0.8, ls="-.", label="paper E")
    element.legend(loc="lower right")
    valence.set_ylabel("final valence from here on")
    valence.text(0.03, 0.93, "dashed: allowed now", transform=valence.transAxes, fontsize=6)
    for axes in (size, error, element, valence):
        _mark(axes, half, timesteps)
    lettered((size, error, element, valence))
    for axes in (element, valence):
        axes.set(ylim=(-0.02, 1.02), xlabel="network calls left")
    size.set_xscale("log")
    size.invert_xaxis()
    size.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure, table


def _left(table: pd.DataFrame) -> pd.Series:
    """Calls left; the finished molecule, at 0, is drawn at a half."""
    return table["steps_left"].astype(float).clip(lower=0.5)


def _mark(axes: Axes, half: float, timesteps: int) -> None:
    axes.grid(axis="y")
    if np.isfinite(half):
        axes.axvline(max(half, 0.5), color=MOLECULES, lw=0.8)
    axes.axvline(PAPER_FINAL_STEP * timesteps / PAPER_TIMESTEPS, color=GREY, lw=0.8, ls="-.")


def _mean_and_spread(axes: Axes, table: pd.DataFrame, name: str) -> None:
    """Mean, and a band of one standard deviation as far as the logarithm allows."""
    mean, spread = table[f"{name}_ang"], table[f"{name}_sd"]
    low = (mean - spread).clip(lower=0.1 * float(mean[mean > 0].min()))
    axes.fill_between(_left(table), low, mean + spread, color=INK, alpha=0.15, lw=0)
    axes.plot(_left(table), mean, color=INK, lw=1)


def _words(half: float, timesteps: int) -> str:
    ours = f"half of the molecules have their final elements at {number(half)} calls"
    of = "" if timesteps == PAPER_TIMESTEPS else f" of {PAPER_TIMESTEPS}"
    return f"{ours}; paper E: near {PAPER_FINAL_STEP}{of}; bands: ± SD"


@in_house_style
def chain_end(table: pd.DataFrame, left_out: Mapping[str, int], target: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the energies behind it: the chain at the left, the straight line at the right."""
    if table.empty:
        words = left_out_words(left_out) or "; no chain ended in one piece"
        return figure_that_says(f"Nothing to evaluate at {target}{words}"), table
    figure = new_figure(DOUBLE_COLUMN_MM * 0.75, 62)
    n = table["id"].nunique()
    n_valid = int(table.groupby("id")["allowed_valences"].first().sum())
    words = (
        f"{target_words(target)}, n = {n}, {n_valid} of them with allowed valences{left_out_words(left_out)}"
    )
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
    lettered(panels)
    panels[0].set_title("paper E: consistently falling", loc="right", fontsize=6, color=GREY)
    return figure, table


@in_house_style
def samples(chains: Chains) -> tuple[Figure, pd.DataFrame]:
    """Finished molecules as they come, and a row for every one: formula, atoms with allowed valences."""
    ends = [(positions[-1], numbers[-1].astype(np.int64)) for positions, numbers in chains]
    table = pd.DataFrame([{"sample": place, **_sample(*end)} for place, end in enumerate(ends)])
    chosen = evenly_spaced(len(ends), DRAWN)
    if not chosen:
        return figure_that_says("No molecule was generated."), table
    words = (
        f"{chains.model}: {len(chosen)} of {len(ends)} molecules, evenly spaced; "
        "in red the share of atoms with an allowed valence, where it is not all"
    )
    figure, grid = sample_grid(len(chosen), words)
    for axes, row in zip(grid, table.loc[chosen].to_dict("records"), strict=True):
        positions, numbers = ends[int(row["sample"])]
        fine = str(row["formula"]) if row["allowed_atoms"] == 1 else ""
        draw_sample(axes, numbers, positions, fine, f"{number(100 * row['allowed_atoms'])} %")
    return figure, table


def _sample(positions: NDArray[np.floating], numbers: NDArray[np.integer]) -> dict[str, object]:
    fine = np.zeros(len(numbers), dtype=bool)
    if np.isfinite(positions).all():
        fine = allowed(numbers, valences(bond_orders(numbers, positions)))
    formula = Formula.from_list([chemical_symbols[z] for z in numbers]).format("hill")
    return {"formula": formula, "n_atoms": len(numbers), "allowed_atoms": float(fine.mean())}
