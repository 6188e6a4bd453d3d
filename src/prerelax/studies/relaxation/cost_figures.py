"""What relaxations cost: seconds per step and relaxation, and both errors and seconds by size (paper M)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    figure_that_says,
    in_house_style,
    lettered,
    new_figure,
)
from prerelax.studies.relaxation.figures import Drawn, colours_of, named, plain
from prerelax.studies.relaxation.table import counted


@in_house_style
def seconds(table: pd.DataFrame, methods: Sequence[str], serial: Sequence[str] = ()) -> Drawn:
    """Seconds per step and per relaxation of one structure (paper M, table D).

    The methods `serial` are others of them, one structure at a time and stopped early: steps alone count.
    """
    everything = [*methods, *serial]
    known = counted(table[table.method.isin(everything)])
    known = known[known.wall_s.notna()].astype({"wall_s": float})
    inputs = dict.fromkeys(known.input)
    rows = [_seconds(known, name, method) for name in inputs for method in everything]
    numbers = pd.DataFrame([row for row in rows if row["n"]])
    if known.empty:
        return figure_that_says("No method was timed."), known, numbers
    numbers.loc[numbers.method.isin(serial), ["relaxation_s_median", "all_s"]] = np.nan
    colours = colours_of(everything)
    figure = new_figure(DOUBLE_COLUMN_MM, 70)
    left, right = figure.subplots(1, 2)
    first = numbers[numbers.input == numbers.input.iloc[0]]
    for axes, column, words in (
        (left, "step_s_median", "seconds per step"),
        (right, "relaxation_s_median", "seconds per relaxation"),
    ):
        drawn = first[first[column].notna()].reset_index(drop=True)
        axes.barh(drawn.index, drawn[column], color=[colours[m] for m in drawn.method], height=0.65)
        axes.set_xscale("log")
        axes.set_xlim(*_decades(drawn[column]))
        plain(axes.xaxis, (1,))
        axes.set_yticks(drawn.index, drawn.method.map(named))
        axes.invert_yaxis()
        axes.set_xlabel(f"{words} and structure, median")
    lettered((left, right))
    for axes in (left, right):
        words = f"{first.input.iloc[0]} minima, n = {int(first.n.max())}"
        axes.set_title(words, loc="left", fontweight="bold")
    columns = ["input", "method", "id", "conformer", "n_atoms", "iterations", "wall_s"]
    return figure, known[columns], numbers


def _decades(values: pd.Series) -> tuple[float, float]:
    """Powers of ten around positive values."""
    logs = np.log10(values[values > 0])
    return (10.0 ** np.floor(logs.min() - 0.1), 10.0 ** np.ceil(logs.max())) if len(logs) else (0.1, 1.0)


def _seconds(known: pd.DataFrame, name: str, method: str) -> dict[str, object]:
    part = known[(known.input == name) & (known.method == method)]
    iterations = pd.to_numeric(part.iterations)
    return {
        "input": name,
        "method": method,
        "n": len(part),
        "step_s_median": (part.wall_s / iterations).median(),
        "iterations_median": iterations.median(),
        "relaxation_s_median": part.wall_s.median(),
        "all_s": part.wall_s.sum(),
    }


@in_house_style
def by_size(table: pd.DataFrame, methods: Sequence[str]) -> Drawn:
    """RMSD after and seconds against the number of heavy atoms (paper M, appendix E).

    A sampler's seconds are its batch's, shared out by pairs of atoms: they say nothing on sizes, and only
    methods that treat structures one after the other have a curve.
    """
    known = counted(table[table.method.isin(methods)])
    done = known[known.ratio.notna()].astype({"wall_s": float, "ratio": float})
    keys = ["input", "method", "n_heavy_atoms"]
    data = done.groupby(keys, sort=False).agg(
        n=("ratio", "size"),
        rmsd_before_ang=("rmsd_before_ang", "median"),
        rmsd_after_ang=("rmsd_after_ang", "median"),
        ratio=("ratio", "median"),
        wall_s=("wall_s", "median"),
    )
    data = data.reset_index().sort_values(["input", "method", "n_heavy_atoms"]).reset_index(drop=True)
    if data.empty:
        return figure_that_says("No method has a result."), data, data
    colours = colours_of(methods)
    inputs = list(dict.fromkeys(known.input))
    batched = _batched(done)
    figure = new_figure(DOUBLE_COLUMN_MM, 70)
    panels = figure.subplots(1, len(inputs) + 1)
    for axes, name in zip(panels, [*inputs, inputs[0]], strict=True):
        last = axes is panels[-1]
        for method in methods:
            part = data[(data.input == name) & (data.method == method)]
            if last and method in batched:
                continue
            values = part.wall_s if last else part.rmsd_after_ang
            axes.plot(
                part.n_heavy_atoms, values, "o-", ms=2.5, lw=0.9, color=colours[method], label=named(method)
            )
        n = int(
            data[(data.input == name) & ~(last & data.method.isin(batched))].groupby("method").n.sum().max()
        )
        axes.set_title(f"{name} minima, n = {n}", loc="left", fontweight="bold")
        axes.set_xlabel("heavy atoms")
        axes.set_yscale("log")
        axes.set_ylabel("seconds per relaxation" if last else "median RMSD after (Å)")
    limits = [axes.get_ylim() for axes in panels[:-1]]
    for axes in panels[:-1]:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    lettered(panels)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure, data, _trend(done, methods)


def _batched(done: pd.DataFrame) -> set[str]:
    """Methods that are samplers: they have a first step."""
    return set(done[done.first_step.notna()].method)


def _trend(done: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Exponents of the power laws error ~ atoms^a and seconds ~ atoms^b."""
    rows = []
    batched = _batched(done)
    for name in dict.fromkeys(done.input):
        for method in methods:
            part = done[(done.input == name) & (done.method == method) & (done.rmsd_after_ang > 0)]
            part = part[part.wall_s > 0]
            powers = [np.nan, np.nan]
            if part.n_atoms.nunique() > 1:
                size = np.log(part.n_atoms.to_numpy(float))
                powers = [
                    float(np.polyfit(size, np.log(part[c]), 1)[0]) for c in ("rmsd_after_ang", "wall_s")
                ]
            powers[1] = np.nan if method in batched else powers[1]
            rows.append(
                {
                    "input": name,
                    "method": method,
                    "n": len(part),
                    "error_power": powers[0],
                    "seconds_power": powers[1],
                }
            )
    return pd.DataFrame(rows)
