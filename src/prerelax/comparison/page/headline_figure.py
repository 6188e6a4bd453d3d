"""The figure of the first screen: gradients per relaxation, method by method."""

import numpy as np
from matplotlib.figure import Figure

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    figure_that_says,
    in_house_style,
    new_figure,
    number,
    sample,
    start_colours,
)
from prerelax.comparison.page.methods import Method
from prerelax.comparison.summary import as_asked, usable

MAX_METHODS = 8
MAX_POINTS = 200
_ROW_MM = 8.5


@in_house_style
def headline_figure(methods: list[Method], baseline: str) -> Figure:
    """Bars are gradients per relaxation (sums), points relaxations; usual practice on top, then the best."""
    practice = [each for each in methods if each.is_baseline and each.whole["n_counted"]]
    others = [each for each in methods if not each.is_baseline and each.alone["n_counted"]]
    others.sort(key=lambda each: each.alone["n_gradients_mean"])
    shown = [*practice, *others][:MAX_METHODS]
    if not shown:
        return figure_that_says("No relaxation counts.")
    figure = new_figure(DOUBLE_COLUMN_MM, len(shown) * _ROW_MM + 12)
    axes = figure.subplots()
    colours = start_colours([each.start for each in shown], baseline)
    for place, each in enumerate(shown):
        colour = GREY if each.is_baseline else colours.get(each.start, INK)
        if each.start == baseline and not each.is_baseline:
            colour = INK
        values = sample(as_asked(usable(each.rows)), MAX_POINTS)["n_gradients"].to_numpy()
        mean = each.alone["n_gradients_mean"]
        axes.barh(place, mean, height=0.62, color=colour, alpha=0.45, linewidth=0)
        jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(values))
        axes.scatter(values, place + jitter, s=6, color=colour, linewidths=0, alpha=0.8)
        fewer = each.alone["times_fewer"]
        words = f"{number(mean, 1)}" + (f"   {number(fewer, 1)}× fewer" if each.is_ranked else "")
        axes.text(1.01, place, words, transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(range(len(shown)), [each.name for each in shown])
    axes.set_ylim(len(shown) - 0.45, -0.55)
    axes.set_xlim(left=0)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlabel("gradients per relaxation")
    return figure
