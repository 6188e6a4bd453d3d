"""The summary for people: a table of HTML that stands alone, and the same as CSV."""

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from prerelax.comparison.pairs import BASELINE
from prerelax.comparison.summary import (
    ALL,
    NO_FALLBACK,
    SAME_MINIMUM,
    fewer,
    in_words,
    left_out_reasons,
    saved,
)

_STYLE = """\
body { font: 14px/1.45 system-ui, sans-serif; color: #222; margin: 1.5em; }
h2 { font-size: 1.05em; margin: 1.6em 0 .4em; }
table { border-collapse: collapse; }
th, td { padding: .3em .75em; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1.5px solid #222; vertical-align: bottom; white-space: normal; }
td { border-bottom: 1px solid #e3e3e3; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
tr.baseline td { color: #767676; }
td.reasons { text-align: left; white-space: normal; color: #767676; }
p { max-width: 60em; }
"""
_EXPLANATION = """\
Saved: median of 100·(1 − own count / baseline's count) and its 95 % interval (none below 8 molecules), over
the pairs of relaxations that both converged and kept the molecule's bonds, of starts made as asked for;
beside it of all, those made by a fallback included. Conformers of a molecule are averaged. Same minimum: only
pairs that ended in one. Times fewer: gradients of the baseline over those of the start,
both summed. Gradients are energy and force evaluations at the target's level, wherever they were spent; steps
are accepted moves of the optimizer. Start above minimum: energy of the start above the minimum that it
relaxes to itself. Deeper / higher: pairs that ended in a minimum below / above the baseline's. Seconds:
before (embedding, force field, diffusion, ...) + relaxation. Counts, energies, RMSD and seconds are medians,
unless said otherwise."""


def write_table(summary: pd.DataFrame, folder: Path) -> list[Path]:
    """Write table.html and table.csv to `folder`: one line per target and start of a summary."""
    lines = displayed(summary)
    html, csv = folder / "table.html", folder / "table.csv"
    html.write_text(_page(lines), encoding="utf-8")
    lines.to_csv(csv, index=False)
    return [html, csv]


def displayed(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary's most telling numbers as text, one row per target and start."""
    lines = []
    for (target, _), rows in summary.groupby(["target", "start"], sort=False):
        subsets = dict(zip(rows["subset"], rows.to_dict("records"), strict=True))
        lines.append({"target": target, **_line(subsets)})
    return pd.DataFrame(lines)


def _line(subsets: dict[str, dict[Any, Any]]) -> dict[str, str]:
    whole = subsets[ALL]
    alone, same = subsets.get(NO_FALLBACK, whole), subsets.get(SAME_MINIMUM)
    row = alone if alone["n_counted"] else whole
    before, relax = row["wall_s_before_median"], row["wall_s_relax_median"]
    return {
        "start": row["start"],
        "pairs counted": f"{whole['n_counted']} of {whole['n_rows']}",
        "gradients saved / %": BASELINE if same is None else saved(alone, "gradients_saved_percent"),
        "fallbacks included / %": "" if same is None else saved(whole, "gradients_saved_percent"),
        "same minimum / %": "" if same is None else saved(same, "gradients_saved_percent"),
        "steps saved / %": "" if same is None else saved(alone, "steps_saved_percent"),
        "times fewer gradients, by sums": "" if same is None else fewer(alone),
        "gradients": in_words(row["n_gradients_median"], 1),
        "steps": in_words(row["n_steps_median"], 1),
        "start above minimum / kcal/mol": in_words(row["start_above_minimum_kcal_mol_median"], 2),
        "minimum deeper / higher": ""
        if same is None
        else f"{whole['n_deeper_minimum']} / {whole['n_higher_minimum']}",
        "RMSD start to minimum / Å": in_words(row["rmsd_symmetry_ang_median"], 3),
        "seconds": f"{in_words(before, 2)} + {in_words(relax, 2)}",
        "fallbacks": str(whole["n_fallback"]),
        "left out": left_out_reasons(whole),
    }


def _page(lines: pd.DataFrame) -> str:
    body = ["<p>No relaxations to compare.</p>\n"]
    if len(lines):
        targets = lines.groupby("target", sort=False)
        body = [_target(str(target), rows) for target, rows in targets]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Summary</title>\n'
        f"<style>\n{_STYLE}</style></head><body>\n{''.join(body)}<p>{_EXPLANATION}</p>\n</body></html>\n"
    )


def _target(target: str, rows: pd.DataFrame) -> str:
    rows = rows.drop(columns="target")
    head = "".join(f"<th>{escape(name)}</th>" for name in rows.columns)
    lines = "".join(_row(row, row["gradients saved / %"] == BASELINE) for row in rows.to_dict("records"))
    return f"<h2>Target {escape(target)}</h2>\n<table>\n<tr>{head}</tr>\n{lines}</table>\n"


def _row(cells: dict[Any, str], is_baseline: bool) -> str:
    texts = [f"<td>{escape(text)}</td>" for name, text in cells.items() if name != "left out"]
    texts.append(f'<td class="reasons">{escape(cells["left out"])}</td>')
    return f"<tr{_BASELINE_ROW if is_baseline else ''}>{''.join(texts)}</tr>\n"


_BASELINE_ROW = ' class="baseline"'
