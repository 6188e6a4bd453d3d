"""How many gradients each start saves: every molecule, quartiles, median and its interval."""

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
from prerelax.comparison.statistics import FEWEST, Distribution, distribution
from prerelax.comparison.summary import (
    NO_FALLBACK,
    SAME_MINIMUM,
    as_asked,
    groups,
    is_baseline,
    is_counted,
    same_minimum,
)

MAX_POINTS = 500
LOWEST_PERCENT = -100.0
"""Left end of the axis: twice the baseline's gradients; molecules beyond are counted there."""
_ROW_MM = 11.0


@in_house_style
def speedup(comparison: pd.DataFrame, baseline: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the statistics behind it: gradients saved per start, of all pairs and within one minimum.

    Starts made by a fallback are drawn hollow and counted in none of the numbers. Below 8 molecules there is
    no interval: the molecules are seen.
    """
    others = [
        (target, start, rows)
        for target, start, rows in groups(comparison)
        if not is_baseline(rows, start, baseline)
    ]
    targets = list(dict.fromkeys(target for target, _, _ in others))
    if not targets:
        return figure_that_says(f"No start but {baseline} was relaxed."), pd.DataFrame(columns=_DATA)
    colours = start_colours(list(comparison["start"].cat.categories), baseline)
    n_starts = [sum(target == each for each, _, _ in others) for target in targets]
    heights = [n * _ROW_MM + 17 for n in n_starts]
    figure = new_figure(DOUBLE_COLUMN_MM, sum(heights) + 6)
    data = []
    for part, target in zip(stacked(figure, heights), targets, strict=True):
        pairs = {start: rows[is_counted(rows)] for each, start, rows in others if each == target}
        data += _draw_target(part.subplots(), target, pairs, colours, baseline)
    marked = any(len(rows) > len(as_asked(rows)) for _, _, rows in others)
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
        alone = as_asked(rows)
        subsets = {NO_FALLBACK: (place - 0.16, alone), SAME_MINIMUM: (place + 0.22, same_minimum(alone))}
        _draw_fallbacks(axes, place - 0.18, rows.drop(alone.index)["gradients_saved_percent"], left)
        for subset, (height, counted) in subsets.items():
            numbers = distribution(counted["gradients_saved_percent"], counted["id"])
            _draw_row(axes, height, counted["gradients_saved_percent"], numbers, colours[start], subset, left)
            data.append({"target": target, "start": start, "subset": subset, **vars(numbers)})
    axes.set_yticks(range(len(pairs)), list(pairs))
    name_starts(axes.get_yticklabels(), pairs, colours)
    axes.set_xlabel(f"gradients saved against {baseline} / %")
    return data


def _draw_row(
    axes: Axes, height: float, values: pd.Series, numbers: Distribution, colour: str, subset: str, left: float
) -> None:
    right, whole = axes.get_yaxis_transform(), subset == NO_FALLBACK
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
    if np.isfinite(numbers.ci_low):
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
    interval_text = f"[{number(numbers.ci_low)}, {number(numbers.ci_high)}]  " if numbers.n >= FEWEST else ""
    text = f"{number(numbers.median)} %  {interval_text}n = {numbers.n}"
    axes.text(1.01, height, text, transform=right, va="center", fontsize=6.5, color=INK if whole else GREY)


def _draw_fallbacks(axes: Axes, height: float, values: pd.Series, left: float) -> None:
    shown = np.clip(values.dropna(), left, 100)
    axes.scatter(shown, np.full(len(shown), height), s=9, facecolors="none", edgecolors=GREY, linewidths=0.6)


def _draw_molecules(axes: Axes, height: float, values: pd.Series, colour: str, left: float) -> None:
    shown = sample(values.dropna().to_frame(), MAX_POINTS).iloc[:, 0]
    inside = shown[shown >= left]
    jitter = np.random.default_rng(0).uniform(-0.13, 0.13, len(inside))
    alpha = float(np.clip(15 / np.sqrt(len(shown) + 1) / 3, 0.15, 0.6))
    axes.scatter(inside, height - 0.02 + jitter, s=5, color=colour, alpha=alpha, linewidths=0, zorder=1)
    beyond = int((values < left).sum())
    if beyond:
        axes.text(left - 2, height - 0.26, f"◂ {beyond}", va="center", color=colour, fontsize=6)


def _keys(with_fallbacks: bool) -> list[Line2D]:
    keys = [
        Line2D([], [], ls="", marker="o", ms=4.5, mfc=GREY, mec=INK, mew=0.7, label="median"),
        Line2D([], [], ls="", marker="o", ms=3.5, mfc="white", mec=INK, mew=0.7, label="same minimum"),
        Line2D([], [], color=INK, lw=1, marker="|", ms=4, mew=1.0, label="95 % interval"),
        Line2D([], [], color=LIGHT_GREY, lw=5, solid_capstyle="butt", label="middle half"),
    ]
    fallback = Line2D([], [], ls="", marker="o", ms=3, mfc="none", mec=GREY, mew=0.6, label="fallback")
    return [*keys, fallback] if with_fallbacks else keys
