"""Seconds per molecule from each start, stage by stage: what a start costs before the target sees it."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch

from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    LIGHT_GREY,
    figure_that_says,
    in_house_style,
    name_starts,
    new_figure,
    say,
    stacked,
    start_colours,
    title,
    which_molecules,
)
from prerelax.comparison.pilots import WALL_S
from prerelax.comparison.relaxed_shards import BEFORE
from prerelax.comparison.summary import usable_everywhere

_NO_START_COLOUR = "#B7A480"
_ROW_MM = 6.5


@in_house_style
def wall_time(comparison: pd.DataFrame, baseline: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the means behind it: one stacked bar per start, one panel per target.

    Pale is the making of each start that led here, full the relaxation at the target.

    Means over the molecules whose relaxations count from every start, so that all bars are of the same ones.
    """
    targets = list(comparison["target"].cat.categories)
    starts = list(comparison["start"].cat.categories)
    if not targets:
        return figure_that_says("No relaxations."), pd.DataFrame(columns=["target", "start", "n"])
    stages = [name for name in comparison.columns if name.startswith(BEFORE) and comparison[name].any()]
    stages += [WALL_S] if WALL_S in comparison.columns else []
    tables = {target: _mean_seconds(comparison[comparison["target"] == target], stages) for target in targets}
    heights = [max(len(table), 2) * _ROW_MM + 20 for table, _ in tables.values()]
    figure = new_figure(DOUBLE_COLUMN_MM, sum(heights) + 5)
    colours = start_colours(starts, baseline)
    pale = {stage: _pale(colours.get(stage.removeprefix(BEFORE), _NO_START_COLOUR)) for stage in stages}
    if WALL_S in pale:
        pale[WALL_S] = LIGHT_GREY
    for part, (target, (table, words)) in zip(stacked(figure, heights), tables.items(), strict=True):
        axes = part.subplots()
        title(axes, target, words)
        _draw_target(axes, table, pale, colours)
    keys: dict[str, Any] = {
        words: (Patch(color=colour),)
        for words, colour in zip(map(_in_words, stages), pale.values(), strict=True)
    }
    keys["relaxation at the target"] = tuple(
        Patch(color=colour) for colour in [colours[start] for start in starts[:3]]
    )
    figure.legend(
        keys.values(),
        keys.keys(),
        loc="outside lower center",
        ncols=min(len(keys), 4),
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
    )
    return figure, pd.concat([table.assign(target=target) for target, (table, _) in tables.items()])[
        ["target", "start", "n", *stages, "wall_s_relax"]
    ]


def _in_words(stage: str) -> str:
    return "learning the level" if stage == WALL_S else f"making {stage.removeprefix(BEFORE)}"


def _mean_seconds(relaxations: pd.DataFrame, stages: list[str]) -> tuple[pd.DataFrame, str]:
    """Mean seconds per start, one column per stage, and which molecules they are of."""
    molecules, in_common = usable_everywhere(relaxations)
    seconds = molecules[[*stages, "wall_s_relax"]].fillna(0.0).assign(start=molecules["start"])
    grouped = seconds.groupby("start", observed=True, sort=False)
    table = grouped.mean().assign(n=grouped.size()).reset_index()
    n = int(table["n"].max()) if len(table) else 0
    absent = [start for start in relaxations["start"].unique() if start not in set(table["start"])]
    return table, which_molecules(n, in_common, absent)


def _draw_target(axes: Axes, table: pd.DataFrame, pale: dict[str, str], colours: dict[str, str]) -> None:
    if table.empty:
        say(axes, "No relaxation at this target counts.")
        return
    for place, row in enumerate(table.to_dict("records")):
        left = 0.0
        for stage, colour in pale.items():
            axes.barh(place, row[stage], left=left, color=colour, height=0.62, linewidth=0)
            left += row[stage]
        axes.barh(
            place, row["wall_s_relax"], left=left, color=colours[row["start"]], height=0.62, linewidth=0
        )
        text = f"  {_seconds(left)} + {_seconds(row['wall_s_relax'])} s"
        axes.text(left + row["wall_s_relax"], place, text, va="center", fontsize=6.5)
    axes.set_yticks(range(len(table)), list(table["start"]))
    name_starts(axes.get_yticklabels(), table["start"], colours)
    axes.set_ylim(len(table) - 0.45, -0.55)
    axes.margins(x=0.2)
    axes.set_xlim(left=0)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("mean wall time per molecule / s (before + relaxation)")


def _pale(colour: str) -> str:
    """A start's colour mixed with white: the seconds that went into making it."""
    red, green, blue = (1 - 0.45 * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def _seconds(value: float) -> str:
    return f"{value:#.2g}".rstrip(".") if value < 99.5 else f"{value:.0f}"
