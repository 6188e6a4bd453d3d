"""Generated molecules: paper M's table 1 and figures 12, 17 and 18."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prerelax.comparison.figures.sample_drawing import draw_sample, evenly_spaced, sample_grid
from prerelax.comparison.figures.style import (
    ADAPTIVE,
    DOUBLE_COLUMN_MM,
    FIXED,
    GREY,
    INK,
    figure_that_says,
    in_house_style,
    new_figure,
    number,
    say,
)
from prerelax.studies.from_noise.analysis import CUMULATIVE
from prerelax.studies.from_noise.samples import Samples

_MORE = ("#D55E00", "#CC79A7", "#882255", "#999933")


def run_colours(samplers: dict[str, str]) -> dict[str, str]:
    """A colour for each run by its sampler: the first with the fixed schedule, the first adaptive, others."""
    colours: dict[str, str] = {}
    rest = list(_MORE)
    for run, sampler in samplers.items():
        wanted = FIXED if sampler == "ddpm" else ADAPTIVE
        colours[run] = wanted if wanted not in colours.values() else rest.pop(0)
        rest = rest or list(_MORE)
    return colours


@in_house_style
def generated_shares(numbers: pd.DataFrame) -> Figure:
    """V, V+U, V+U+N of every run with 95 % intervals, a panel for each set of compositions, and the paper's.

    `numbers` is what `summarise` makes.
    """
    ends = numbers[numbers["limit"] == 0]
    sets = ends["compositions"].unique()
    colours = run_colours(dict(zip(ends["run"], ends["sampler"], strict=True)))
    figure = new_figure(DOUBLE_COLUMN_MM, 70)
    for axes, compositions in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        _bars(axes, ends[ends["compositions"] == compositions], colours)
        axes.set_title(f"compositions: {compositions}", loc="left", fontweight="bold")
    axes = figure.axes[0]
    axes.set_ylabel("share of all samples / %")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=6)
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, colours: dict[str, str]) -> None:
    runs = list(rows["run"].unique())
    width = 0.8 / (len(runs) * 2)
    for place, run in enumerate(runs):
        for second, definition in enumerate(("table", "rdkit")):
            part = rows[(rows["run"] == run) & (rows["validity_by"] == definition)].set_index("quantity")
            part = part.loc[list(CUMULATIVE)]
            x = np.arange(len(CUMULATIVE)) - 0.4 + width * (2 * place + second + 0.5)
            errors = [part["percent"] - part["ci_low"], part["ci_high"] - part["percent"]]
            colour = colours[run]
            axes.bar(
                x,
                part["percent"],
                width * 0.9,
                color=colour if definition == "table" else "white",
                edgecolor=colour,
                lw=0.8,
                label=f"{run}, n = {part['n'].iloc[0]}" + (" (RDKit)" if second else ""),
                yerr=np.clip(errors, 0, None),
                error_kw={"lw": 0.6, "capsize": 1.5, "ecolor": INK},
            )
            if definition == "table":
                axes.plot(x, part["paper_percent"], "_", color=colour, ms=9, mew=1.4)
    axes.plot([], [], "_", color=GREY, ms=9, mew=1.4, label="the paper’s, by schedule")
    axes.set(xticks=range(len(CUMULATIVE)), xticklabels=CUMULATIVE, ylim=(0, 100))
    axes.grid(axis="y")


@in_house_style
def generation_limits(numbers: pd.DataFrame, steps: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """Shares after a number of iterations, and the predicted step by iteration.

    `numbers` is what `summarise` makes of one set of compositions; `steps` has for each run the step of every
    iteration of every molecule.
    """
    colours = run_colours(dict(zip(numbers["run"], numbers["sampler"], strict=True)))
    figure = new_figure(DOUBLE_COLUMN_MM, 62)
    valid, along = figure.subplots(1, 2)
    by_table = numbers[(numbers["validity_by"] == "table") & (numbers["limit"] > 0)]
    for run, rows in by_table.groupby("run", sort=False):
        for quantity, line in zip(CUMULATIVE, ("-", "--", ":"), strict=True):
            part = rows[rows["quantity"] == quantity]
            valid.plot(
                part["limit"], part["percent"], line, color=colours[str(run)], marker="o", ms=2.5, lw=1
            )
            if quantity == "V":
                valid.fill_between(
                    part["limit"], part["ci_low"], part["ci_high"], color=colours[str(run)], alpha=0.15, lw=0
                )
    for quantity, line in zip(CUMULATIVE, ("-", "--", ":"), strict=True):
        valid.plot([], [], line, color=GREY, lw=1, label=quantity)
    if by_table.empty:
        say(valid, "No limits were asked for.")
    else:
        valid.set(xlabel="limit on iterations", ylabel="share of all samples / %", ylim=(0, None))
        valid.legend(fontsize=6)
        valid.grid(axis="y")
    for run, of_molecules in steps.items():
        _step_quantiles(along, of_molecules, colours[run], run)
    along.set(xlabel="iteration", ylabel="step of the schedule")
    along.legend(fontsize=6)
    return figure


def _step_quantiles(axes: Axes, of_molecules: Sequence[np.ndarray], colour: str, label: str) -> None:
    """Median and the middle 80 % over all molecules; one that is done stays at its last step."""
    longest = max((len(steps) for steps in of_molecules), default=0)
    if not longest:
        return
    padded = np.array([np.pad(steps, (0, longest - len(steps)), mode="edge") for steps in of_molecules])
    low, median, high = np.quantile(padded, [0.1, 0.5, 0.9], axis=0)
    axes.plot(median, color=colour, lw=1.2, label=label)
    axes.fill_between(np.arange(longest), low, high, color=colour, alpha=0.15, lw=0)


@in_house_style
def generated_pictures(
    samples: Samples, judged: pd.DataFrame, n: int, run: str
) -> tuple[Figure, pd.DataFrame]:
    """`n` molecules evenly spaced over the samples, whatever they are, with what they are found to be.

    `judged` are the rows of `judge` for these samples, in their order.
    """
    ends = judged[judged["limit"] == 0].reset_index(drop=True)
    rows = evenly_spaced(len(samples), n)
    if not rows:
        return figure_that_says("No molecule was generated."), ends
    words = (
        f"{run}: {len(rows)} of {len(samples)} molecules, evenly spaced; SMILES where valid, "
        "else share of valences satisfied"
    )
    figure, grid = sample_grid(len(rows), words)
    atoms_of = list(samples.atoms_of())
    drawn = ends.loc[rows]
    shares = drawn["satisfied"].astype(float)
    for axes, row, smiles, share in zip(grid, rows, drawn["table_smiles"], shares, strict=True):
        atoms = atoms_of[row]
        fine = smiles if isinstance(smiles, str) else ""
        draw_sample(axes, samples.numbers[atoms], samples.positions[atoms], fine, f"{number(100 * share)} %")
    return figure, drawn
