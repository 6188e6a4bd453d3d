"""Steps from each start against steps from the baseline, as paper E's figures 10 and 12 (left)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from prerelax.comparison.ends import DEEPER, HIGHER
from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    INK,
    LIGHT_GREY,
    MM,
    SINGLE_COLUMN_MM,
    figure_that_says,
    in_house_style,
    new_figure,
    nice_number,
    number,
    sample,
    say,
    stacked,
    start_colours,
    wrapped,
)
from prerelax.comparison.statistics import distribution
from prerelax.comparison.summary import as_asked, groups, is_baseline, is_counted

MAX_POINTS = 2000
"""Drawn in one panel; of more molecules a random sample, while the median is that of all."""
MAX_ARROWS = 60
"""Drawn in one panel; of more a random sample."""
_MOST_COLUMNS = 4
_BELOW_ZERO = 0.2
"""of the panel's height"""
_DATA = ["target", "start", "id", "conformer", "n_atoms", "baseline_n_steps", "n_steps", "delta_kcal_mol"]
_TITLE_LINE_MM = 4.0
_LONG_ARROW_MM, _LONGEST_ARROW_MM, _SHAFT_MM, _HEAD_MM = 8.0, 12.0, 0.22, 0.9


@in_house_style
def steps_vs_steps(comparison: pd.DataFrame, baseline: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the points behind it: one panel per target and start, steps against the baseline's.

    A circle is a molecule, its area proportional to the number of atoms; hollow where the start was made by
    a fallback, which no number counts. An arrow, where they ended in two minima, is the energy from the
    baseline's minimum to this start's: upward when positive.
    """
    of_target: dict[str, dict[str, pd.DataFrame]] = {}
    for target, start, relaxations in groups(comparison):
        if not is_baseline(relaxations, start, baseline):
            of_target.setdefault(target, {})[start] = relaxations
    if not of_target:
        return figure_that_says(f"No start but {baseline} was relaxed."), comparison[_DATA].iloc[:0]
    colours = start_colours(list(comparison["start"].cat.categories), baseline)
    columns = min(_MOST_COLUMNS, max(map(len, of_target.values())))
    width = SINGLE_COLUMN_MM if columns == 1 else DOUBLE_COLUMN_MM * (0.75 if columns == 2 else 1)
    lines = [-(-len(starts) // columns) if _pairs(starts) else 0 for starts in of_target.values()]
    title_lines = max(wrapped(start).count("\n") for starts in of_target.values() for start in starts)
    panel = (1 + _BELOW_ZERO / 2) * width / columns + 4 + _TITLE_LINE_MM * title_lines
    heights = [line * panel + 14 if line else 28 for line in lines]
    figure = new_figure(width, sum(heights))
    drawn = []
    for part, (target, starts) in zip(stacked(figure, heights), of_target.items(), strict=True):
        if target:
            part.suptitle(f"target {target}", x=0.01, ha="left", fontsize=7.5, fontweight="bold")
        if _pairs(starts):
            drawn += _draw_target(part, starts, columns, colours, baseline)
        else:
            say(part.subplots(), "no pair counts: see the table for what is left out and why")
    return figure, pd.concat(drawn or [comparison.iloc[:0]])[_DATA]


def _pairs(starts: dict[str, pd.DataFrame]) -> bool:
    return any(is_counted(relaxations).any() for relaxations in starts.values())


def _draw_target(
    part: SubFigure, starts: dict[str, pd.DataFrame], columns: int, colours: dict[str, str], baseline: str
) -> list[pd.DataFrame]:
    """Draw the panels of a target; returns the points drawn in each."""
    points = {start: sample(rows[is_counted(rows)], MAX_POINTS) for start, rows in starts.items()}
    everything = pd.concat(points.values())
    limit = _limit(everything)
    kcal_mol_per_mm = _arrow_scale(_elsewhere(everything)["delta_kcal_mol"].abs())
    area = float(np.clip(8 / np.sqrt(max(map(len, points.values())) + 1), 0.25, 1.8))
    panels = part.subplots(-(-len(starts) // columns), columns, squeeze=False).flat
    for place, (axes, (start, near)) in enumerate(zip(panels, points.items(), strict=False)):
        axes.set_title(wrapped(start), color=colours[start], fontweight="bold", loc="left", pad=10)
        axes.text(0, 1.02, _caption(starts[start]), transform=axes.transAxes, **_SMALL)
        # room for arrows that point below zero, so that none crosses the tick labels
        bottom = -_BELOW_ZERO * limit if (_elsewhere(everything)["delta_kcal_mol"] < 0).any() else 0.0
        axes.set(xlim=(0, limit), ylim=(bottom, limit), aspect="equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= limit])
        axes.plot([0, limit], [0, limit], color=LIGHT_GREY, lw=0.8, zorder=0)
        inside = near[(near["baseline_n_steps"] <= limit) & (near["n_steps"] <= limit)]
        _draw_points(axes, inside, colours[start], area)
        _draw_arrows(axes, sample(_elsewhere(inside), MAX_ARROWS), kcal_mol_per_mm)
        if len(inside) < len(near):
            beyond = f"{len(near) - len(inside)} beyond"
            axes.text(0.96, 0.98, beyond, transform=axes.transAxes, ha="right", va="top", **_SMALL)
        if place % columns == 0:
            axes.set_ylabel("steps from the start")
        if place + columns >= len(points):
            axes.set_xlabel(f"steps from {baseline}")
    for axes in panels[len(starts) :]:
        axes.set_axis_off()
    n_arrows = max(len(_elsewhere(near)) for near in points.values())
    _draw_keys(part, everything["n_atoms"], area, kcal_mol_per_mm, n_arrows)
    return list(points.values())


_SMALL: dict[str, Any] = {"color": GREY, "fontsize": 6, "in_layout": False}


def _caption(relaxations: pd.DataFrame) -> str:
    counted = as_asked(relaxations[is_counted(relaxations)])
    if counted.empty:
        return f"no pair of {len(relaxations)} counts"
    of_all = f" of {len(relaxations)}" if len(relaxations) > len(counted) else ""
    saved = distribution(counted["steps_saved_percent"], counted["id"])
    conformers = f", {saved.n} molecules" if counted["id"].nunique() < len(counted) else ""
    return f"{number(saved.median)} % of steps saved, n = {len(counted)}{of_all}{conformers}"


def _elsewhere(points: pd.DataFrame) -> pd.DataFrame:
    """Pairs that ended in two minima."""
    return points[points["pair"].isin((DEEPER, HIGHER))]


def _limit(points: pd.DataFrame) -> float:
    """Upper end of both axes: everything, unless a few outliers would crowd the rest into a corner."""
    steps = points[["baseline_n_steps", "n_steps"]].to_numpy()
    if steps.size == 0:
        return 1.0
    high = float(np.quantile(steps, 0.99))
    return 1.06 * max(float(steps.max()) if steps.max() <= 2 * high else 1.3 * high, 5.0)


def _draw_points(axes: Axes, points: pd.DataFrame, colour: str, area: float) -> None:
    alone = as_asked(points)
    _draw_circles(axes, alone, area, color=colour, alpha=0.55 if len(alone) < 300 else 0.3, linewidths=0)
    fallbacks = points.drop(alone.index)
    _draw_circles(axes, fallbacks, area, facecolors="none", edgecolors=GREY, linewidths=0.6)


def _draw_circles(axes: Axes, points: pd.DataFrame, area: float, **style: Any) -> None:
    axes.scatter(
        points["baseline_n_steps"],
        points["n_steps"],
        s=points["n_atoms"] * area,
        clip_on=False,
        rasterized=len(points) > 500,
        **style,
    )


def _arrow_scale(sizes: pd.Series) -> float:
    """kcal/mol that a millimetre of arrow stands for, such that hardly any is longer than _LONG_ARROW_MM."""
    return (float(sizes.quantile(0.95)) if len(sizes) else 1.0) / _LONG_ARROW_MM


def _draw_arrows(axes: Axes, points: pd.DataFrame, kcal_mol_per_mm: float) -> None:
    if points.empty:
        return
    length_mm = np.clip(points["delta_kcal_mol"] / kcal_mol_per_mm, -_LONGEST_ARROW_MM, _LONGEST_ARROW_MM)
    axes.quiver(
        points["baseline_n_steps"],
        points["n_steps"],
        np.zeros(len(points)),
        length_mm.to_numpy() * MM,
        alpha=0.9 if len(points) < 20 else 0.6,
        **_ARROW,
    )


_ARROW: dict[str, Any] = {
    "angles": "uv",
    "units": "inches",
    "scale_units": "inches",
    "scale": 1.0,
    "width": _SHAFT_MM * MM,
    "headwidth": _HEAD_MM / _SHAFT_MM,
    "headlength": _HEAD_MM / _SHAFT_MM,
    "headaxislength": _HEAD_MM / _SHAFT_MM,
    "minlength": 0.0,
    "color": INK,
    "clip_on": True,
    "in_layout": False,
}


def _draw_keys(
    part: SubFigure, n_atoms: pd.Series, area: float, kcal_mol_per_mm: float, n_arrows: int
) -> None:
    """Below the panels what a circle's area and an arrow's length mean."""
    sizes = sorted({int(n) for n in n_atoms.quantile([0.0, 1.0])})
    handles = [
        Line2D([], [], ls="", marker="o", mew=0, color=GREY, ms=np.sqrt(n * area), label=f"{n} atoms")
        for n in sizes
    ]
    if n_arrows:
        key = nice_number(0.7 * _LONG_ARROW_MM * kcal_mol_per_mm)
        length_mm = key / kcal_mol_per_mm
        arrow = Line2D([], [], ls="", marker=Outline(_arrow_outline(length_mm)), mew=0, color=INK)
        at_most = f" ({MAX_ARROWS} arrows at most)" if n_arrows > MAX_ARROWS else ""
        arrow.set(markersize=length_mm * MM * 72, label=f"minimum {key:g} kcal/mol higher{at_most}")
        handles.append(arrow)
    part.legend(handles=handles, loc="outside lower right", ncols=len(handles), handletextpad=0.3)


def _arrow_outline(length_mm: float) -> NDArray[np.float64]:
    """Corners [n, 2] of an upward arrow as `_ARROW` draws it, from -1 to 1."""
    shaft, head, tip = _SHAFT_MM / length_mm, _HEAD_MM / length_mm, 1.0
    neck = tip - 2 * head
    right = np.array([[shaft, -1], [shaft, neck], [head, neck], [0, tip]])
    return np.concatenate([right, right[::-1] * [-1, 1]])
