"""The house style: sizes, type, one colour per start in every figure, and how a figure is saved."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text

from prerelax.analysis.summary import in_words

SINGLE_COLUMN_MM, DOUBLE_COLUMN_MM = 85.0, 170.0
MM = 1 / 25.4
"""inch"""

INK, GREY, LIGHT_GREY = "#222222", "#767676", "#C9C9C9"
_BASELINE_COLOUR = "#555555"
# Okabe and Ito's colours, the yellow left out since it is too pale for dots; then Tol's muted ones.
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#999933",
    "#332288",
    "#44AA99",
)
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "text.color": INK,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.w_pad": 0.06,
    "pdf.fonttype": 42,
    "svg.hashsalt": "prerelax",
}

in_house_style = matplotlib.rc_context(_STYLE)
"""Decorator of every function that makes a figure."""


def start_colours(starts: Sequence[str], baseline: str) -> dict[str, str]:
    """A colour for each start: grey for the baseline, then by order of appearance."""
    others = [start for start in starts if start != baseline]
    colours = {start: _COLOURS[place % len(_COLOURS)] for place, start in enumerate(others)}
    return {baseline: _BASELINE_COLOUR} | colours


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """An empty figure of this size whose parts lay themselves out."""
    return Figure(figsize=(width_mm * MM, height_mm * MM), layout="constrained")


def figure_that_says(text: str) -> Figure:
    """A small figure where there is nothing to draw."""
    figure = new_figure(SINGLE_COLUMN_MM, 30)
    say(figure.add_subplot(), text)
    return figure


def say(axes: Axes, text: str) -> None:
    """Put `text` in place of a panel's content."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, wrap=True, transform=axes.transAxes)


def stacked(figure: Figure, heights: Sequence[float]) -> list[SubFigure]:
    """Parts of the figure, one above the other, whose heights are as these numbers."""
    parts = figure.subfigures(len(heights), 1, height_ratios=list(heights), squeeze=False)
    return list(parts[:, 0])


def title(axes: Axes, target: str, words: str = "") -> None:
    """The target's name above a panel, and at its right what the panel is made of."""
    axes.set_title(f"target {target}", loc="left", fontweight="bold", pad=8)
    axes.set_title(words, loc="right", color=GREY, fontsize=6.5, pad=8)


def name_starts(labels: Sequence[Text], starts: Iterable[str], colours: dict[str, str]) -> None:
    """Tick labels in the colours of the starts that they name."""
    for label, start in zip(labels, starts, strict=True):
        label.set(color=colours[start], fontweight="bold")


def number(value: float, decimals: int = 0) -> str:
    """`value` with a true minus sign; a dash where there is none."""
    return in_words(value, decimals).replace("-", "−")


def sample(rows: pd.DataFrame, at_most: int) -> pd.DataFrame:
    """At most that many rows, chosen evenly at random but always the same ones, in their order."""
    if len(rows) <= at_most:
        return rows
    chosen = np.random.default_rng(0).choice(len(rows), at_most, replace=False)
    return rows.iloc[np.sort(chosen)]


def nice_number(value: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `value` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(digit * power for digit in (5, 2, 1) if digit * power <= value * (1 + 1e-9))


@in_house_style
def save(figure: Figure, data: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write the figure as PDF and PNG and what it shows as CSV; the same input gives the same bytes."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    paths = [folder / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")]
    figure.savefig(paths[0], metadata={"CreationDate": None, "Creator": None, "Producer": None}, dpi=300)
    figure.savefig(paths[1], metadata={"Software": None}, dpi=220)
    data.to_csv(paths[2], index=False, float_format="%.6g")
    return paths
