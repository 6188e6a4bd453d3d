"""How many gradients each start saves: every molecule, quartiles, median and its bootstrap interval."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    LIGHT_GREY,
    figure_that_says,
    in_house_style,
    name_starts,
    new_figure,
    number,
    sample,
    stacked,
    start_colours,
    title,
)
from prerelax.comparison.pairs import COUNTED
from prerelax.comparison.statistics import Distribution, distribution
from prerelax.comparison.summary import ALL, SAME_BASIN, groups, same_basin

MAX_POINTS = 500
LOWEST_PERCENT = -100.0
"""Left end of the axis: twice the baseline's gradients; molecules beyond are counted there."""
PAPER_PERCENT = {"edm-n20": 40.0, "edm-n50": 57.0}
"""Paper E's median share of steps saved, for QM9 at B3LYP/6-31G(2df,p) (figure 10)."""
_ROW_MM = 11.0


@in_house_style
def speedup(comparison: pd.DataFrame, baseline: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the statistics behind it: gradients saved per start, of all pairs and of the same basin."""
    others = [(target, start, rows) for target, start, rows in groups(comparison) if start != baseline]
    targets = list(dict.fromkeys(target for target, _, _ in others))
    if not targets:
        return figure_that_says(f"No start but {baseline} was relaxed."), pd.DataFrame(columns=_DATA)
    colours = start_colours(list(comparison["start"].cat.categories), baseline)
    n_starts = [sum(target == each for each, _, _ in others) for target in targets]
    heights = [n * _ROW_MM + 17 for n in n_starts]
    figure = new_figure(DOUBLE_COLUMN_MM, sum(heights) + 6)
    data = []
    for part, target in zip(stacked(figure, heights), targets, strict=True):
        pairs = {start: rows[rows["pair"] == COUNTED] for each, start, rows in others if each == target}
        data += _draw_target(part.subplots(), target, pairs, colours, baseline)
    marked = any(start in PAPER_PERCENT for _, start, _ in others)
    figure.legend(
        handles=_keys(marked), loc="outside lower center", ncols=5, handletextpad=0.5, columnspacing=1.5
    )
    return figure, pd.DataFrame(data, columns=_DATA)


_DATA = [
    "target",
    "start",
    "subset",
    "n",
    "mean",
    "median",
    "quartile_25",
    "quartile_75",
    "ci_low",
    "ci_high",
]


def _draw_target(
    axes: Axes, target: str, pairs: dict[str, pd.DataFrame], colours: dict[str, str], baseline: str
) -> list[dict[str, object]]:
    lowest = min(
        (float(rows["gradients_saved_percent"].min()) for rows in pairs.values() if len(rows)), default=0
    )
    left = float(np.clip(10 * np.floor(lowest / 10), LOWEST_PERCENT, -10))
    title(axes, target)
    axes.set(xlim=(left - 3, 102), ylim=(len(pairs) - 0.45, -0.55))
    axes.axvline(0, color=INK, lw=0.6)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    data = []
    for place, (start, rows) in enumerate(pairs.items()):
        subsets = {ALL: (place - 0.16, rows), SAME_BASIN: (place + 0.22, same_basin(rows))}
        for subset, (height, counted) in subsets.items():
            numbers = distribution(counted["gradients_saved_percent"])
            _draw_row(axes, height, counted["gradients_saved_percent"], numbers, colours[start], subset, left)
            data.append({"target": target, "start": start, "subset": subset, **vars(numbers)})
        if start in PAPER_PERCENT and len(rows):
            axes.plot(PAPER_PERCENT[start], place - 0.16, **_PAPER_MARK)
    axes.set_yticks(range(len(pairs)), list(pairs))
    name_starts(axes.get_yticklabels(), pairs, colours)
    axes.set_xlabel(f"gradients saved against {baseline} / %")
    return data


def _draw_row(
    axes: Axes, height: float, values: pd.Series, numbers: Distribution, colour: str, subset: str, left: float
) -> None:
    right, whole = axes.get_yaxis_transform(), subset == ALL
    if numbers.n == 0:
        text = "no pair counts" if whole else ""
        axes.text(1.01, height, text, transform=right, va="center", color=GREY, fontsize=6.5)
        return
    if whole:
        _draw_molecules(axes, height, values, colour, left)
    axes.plot(
        np.clip([numbers.quartile_25, numbers.quartile_75], left, 100),
        [height, height],
        color=colour,
        lw=5 if whole else 2.5,
        alpha=0.45,
        solid_capstyle="butt",
    )
    interval = np.clip([numbers.ci_low, numbers.ci_high], left, 100)
    axes.plot(interval, [height, height], color=INK, lw=1.0, marker="|", ms=4, mew=1.0)
    axes.plot(
        np.clip(numbers.median, left, 100),
        height,
        "o",
        ms=4.5 if whole else 3.5,
        mfc=colour if whole else "white",
        mec=INK,
        mew=0.7,
        zorder=4,
    )
    interval_text = f"[{number(numbers.ci_low)}, {number(numbers.ci_high)}]"
    text = f"{number(numbers.median)} %  {interval_text}  n = {numbers.n}"
    axes.text(1.01, height, text, transform=right, va="center", fontsize=6.5, color=INK if whole else GREY)


def _draw_molecules(axes: Axes, height: float, values: pd.Series, colour: str, left: float) -> None:
    shown = sample(values.dropna().to_frame(), MAX_POINTS).iloc[:, 0]
    inside = shown[shown >= left]
    jitter = np.random.default_rng(0).uniform(-0.13, 0.13, len(inside))
    alpha = float(np.clip(15 / np.sqrt(len(shown) + 1) / 3, 0.15, 0.6))
    axes.scatter(inside, height - 0.02 + jitter, s=5, color=colour, alpha=alpha, linewidths=0, zorder=1)
    beyond = int((values < left).sum())
    if beyond:
        axes.text(left - 2, height - 0.26, f"◂ {beyond}", va="center", color=colour, fontsize=6)


_PAPER_MARK: dict[str, Any] = {
    "marker": "D",
    "ms": 4.5,
    "mfc": "none",
    "mec": INK,
    "mew": 0.9,
    "ls": "",
    "zorder": 5,
}


def _keys(with_paper: bool) -> list[Line2D]:
    keys = [
        Line2D([], [], ls="", marker="o", ms=4.5, mfc=GREY, mec=INK, mew=0.7, label="median, all pairs"),
        Line2D([], [], ls="", marker="o", ms=3.5, mfc="white", mec=INK, mew=0.7, label="same basin"),
        Line2D([], [], color=INK, lw=1, marker="|", ms=4, mew=1.0, label="95 % bootstrap interval"),
        Line2D([], [], color=LIGHT_GREY, lw=5, solid_capstyle="butt", label="middle half"),
    ]
    paper = Line2D([], [], **_PAPER_MARK, label="paper E (steps, QM9, B3LYP)")
    return [*keys, paper] if with_paper else keys
