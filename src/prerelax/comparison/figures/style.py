"""The house style: sizes, type, one colour per start in every figure, and how a figure is saved."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text

from prerelax.comparison.summary import in_words

SINGLE_COLUMN_MM, DOUBLE_COLUMN_MM = 85.0, 170.0
MM = 1 / 25.4
"""inch"""

INK, GREY, LIGHT_GREY = "#222222", "#767676", "#C9C9C9"
_BASELINE_COLOUR = "#555555"
_KNOWN_COLOURS = {
    "rdkit": "#CC79A7",
    "uff": "#882255",
    "mmff94-200": "#999933",
    "gfn2": "#E69F00",
    "edm-n20": "#7CC3EE",
    "edm-n30": "#2F8FCB",
    "edm-n50": "#0B4F8A",
    "morered-jt": "#009E73",
    "morered-as": "#44AA99",
    "morered-itp": "#117733",
}
_KNOWN_COLOURS |= {
    "RDKit embedding": _KNOWN_COLOURS["rdkit"],
    "UFF": _KNOWN_COLOURS["uff"],
    "GFN2-xTB": _KNOWN_COLOURS["gfn2"],
    **{f"EDM, {n} steps": _KNOWN_COLOURS[f"edm-n{n}"] for n in (20, 30, 50)},
    **{f"MoreRed-{name.upper()}": _KNOWN_COLOURS[f"morered-{name}"] for name in ("jt", "as", "itp")},
}
"""Safe for colour-blind eyes (Okabe and Ito; Tol); a family of starts shares a hue."""
_OTHER_COLOURS = ("#D55E00", "#332288", "#AA4499", "#661100", "#DDAA33", "#88CCEE", "#6699CC", "#999999")
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
    "pdf.fonttype": 3,
    "svg.hashsalt": "prerelax",
}

FIXED, ADAPTIVE = "#0B4F8A", "#009E73"
"""Colours of what denoises by the fixed schedule, and by steps that a network predicts."""

in_house_style = matplotlib.rc_context(_STYLE)
"""Decorator of every function that makes a figure."""


def start_colours(starts: Sequence[str], baseline: str) -> dict[str, str]:
    """A colour for each start: grey for the baseline, the same in every campaign for well-known names."""
    unknown = [start for start in starts if start != baseline and start not in _KNOWN_COLOURS]
    others = {start: _OTHER_COLOURS[place % len(_OTHER_COLOURS)] for place, start in enumerate(unknown)}
    return _KNOWN_COLOURS | others | {baseline: _BASELINE_COLOUR}


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


def lettered(panels: Iterable[Axes], above: float = 4) -> None:
    """Letters a, b, c, … `above` (points) the panels that hold something, for a text that points at them."""
    for letter, axes in zip("abcdefghijkl", (axes for axes in panels if axes.axison), strict=False):
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(letter, (0, 1), (-18, above), fontweight="bold", fontsize=8, va="bottom", **place)


def stacked(figure: Figure, heights: Sequence[float]) -> list[SubFigure]:
    """Parts of the figure, one above the other, whose heights are as these numbers."""
    parts = figure.subfigures(len(heights), 1, height_ratios=list(heights), squeeze=False)
    return list(parts[:, 0])


def title(axes: Axes, target: str, words: str = "") -> None:
    """The target's name above a panel, unless a page says it, and at its right what the panel is made of."""
    axes.set_title(f"target {target}" if target else "", loc="left", fontweight="bold", pad=8)
    axes.set_title(words, loc="right", color=GREY, fontsize=6.5, pad=8)


def which_molecules(n: int, in_common: bool, absent: Iterable[str] = ()) -> str:
    """What a panel over molecules that count from every start is made of, and the starts it has none of."""
    counted = f"n = {n} molecule{'' if n == 1 else 's'}"
    words = counted if in_common else "no molecule counts from every start: each over its own"
    return words + "".join(f"; none from {start}" for start in absent)


def left_out_words(reasons: Mapping[str, int], of: str = "") -> str:
    """What is not in a panel and why, as `; 2 left out: scf_failed`, or of whom; empty where nothing is."""
    if not reasons:
        return ""
    why = ", ".join(reasons)
    return (
        f"{sum(reasons.values())} of {of} left out: {why}"
        if of
        else f"; {sum(reasons.values())} left out: {why}"
    )


def name_starts(labels: Sequence[Text], starts: Iterable[str], colours: dict[str, str]) -> None:
    """Tick labels in the colours of the starts that they name."""
    for label, start in zip(labels, starts, strict=True):
        label.set(color=colours[start], fontweight="bold")


def wrapped(name: str, width: int = 18) -> str:
    """A start's name in lines for a tick or a narrow panel; words of a few letters more stay whole."""
    longest = max(map(len, name.split()), default=0)
    is_long = longest > width + 4
    return fill(name, width if is_long else max(width, longest), break_on_hyphens=is_long)


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
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")]
    figure.savefig(paths[0], metadata={"CreationDate": None, "Creator": None, "Producer": None}, dpi=300)
    figure.savefig(paths[1], metadata={"Software": None}, dpi=220)
    data.to_csv(paths[2], index=False, float_format="%.6g")
    return paths


def save_with_numbers(figure: Figure, data: pd.DataFrame, numbers: pd.DataFrame, base: Path) -> str:
    """`save` under the path `base`, and beside it the numbers to be quoted as `<base>_numbers.csv`.

    Returns these numbers as a table for the terminal.
    """
    save(figure, data, base.parent, base.name)
    numbers.to_csv(base.with_name(f"{base.name}_numbers.csv"), index=False, float_format="%.4g")
    return numbers.to_string(index=False, float_format="%.3g")
