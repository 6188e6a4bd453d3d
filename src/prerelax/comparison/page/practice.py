"""The table of a page: gradients per relaxation for every start and optimizer, and what that saves."""

from html import escape

import numpy as np

from prerelax.comparison.page.captions import PRACTICE
from prerelax.comparison.page.methods import Method
from prerelax.comparison.summary import Row, fewer, in_words, left_out_reasons, saved

_HEADS = [
    "start + optimizer",
    "relaxations",
    "gradients per relaxation",
    "median",
    "times fewer, by sums",
    "times fewer, median",
    "saved / %, median",
    "with fallbacks, by sums",
    "p",
    "hours saved",
]


_SHARES = {
    "share_start_meets_default": "starts at rest, default / %",
    "share_start_meets_loose": "loose / %",
}
"""Starts that need no step by Gaussian's criteria."""


def practice_table(methods: list[Method]) -> str:
    """The table in HTML: levels apart, the baseline first, then by times fewer, then what is not ranked."""
    said = {str(name) for each in methods for name in each.whole}
    shares = {name: words for name, words in _SHARES.items() if name in said}
    heads = [*_HEADS, *shares.values()]
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = []
    for level in dict.fromkeys(each.level for each in methods):
        body.append(f"<tr><th colspan={len(heads)}>{escape(level or 'not relaxed')}</th></tr>")
        for each in sorted((each for each in methods if each.level == level), key=_order):
            body += _lines(each, list(shares))
    table = f"<table class=practice><tr>{head}</tr>{''.join(body)}</table>"
    return f"<div class=scroll>{table}</div><p class=small>{escape(PRACTICE)}</p>"


def _order(method: Method) -> tuple[bool, bool, float]:
    return not method.is_baseline, not method.is_ranked, -float(np.nan_to_num(method.alone["times_fewer"]))


def _lines(method: Method, shares: list[str]) -> list[str]:
    cells = [method.name, *_cells(method), *(_percent(method.whole, name) for name in shares)]
    kind = " class=baseline" if method.is_baseline else ""
    lines = [f"<tr{kind}>{''.join(f'<td>{escape(each)}</td>' for each in cells)}</tr>"]
    notes = []
    if method.whole["n_fallback"]:
        notes.append(f"made by a fallback: {method.whole['n_fallback']}")
    if method.whole["n_baseline_fallback"] and not method.is_baseline:
        notes.append(f"compared with a fallback: {method.whole['n_baseline_fallback']}")
    if method.whole["n_left_out"]:
        notes.append(f"left out: {left_out_reasons(method.whole)}")
    if notes:
        lines.append(f"<tr><td class=words colspan={len(cells)}>{escape('; '.join(notes))}</td></tr>")
    return lines


def _cells(method: Method) -> list[str]:
    row = method.alone
    counts = [
        f"{row['n_counted']} of {method.whole['n_rows']}",
        in_words(row["n_gradients_mean"], 1),
        in_words(row["n_gradients_median"], 1),
    ]
    if not method.is_ranked:
        why = "baseline" if method.is_baseline else "target's own level" if method.is_own_level else "–"
        return [*counts, why, "", "", "", "", ""]
    p = row["wilcoxon_p"]
    return [
        *counts,
        fewer(row),
        in_words(row["times_fewer_median"], 1),
        saved(row, "gradients_saved_percent"),
        fewer(method.whole) if method.whole["n_counted"] != row["n_counted"] else "",
        f"{p:.1g}" if np.isfinite(p) else "–",
        f"{row['core_h_saved']:.2g}",
    ]


def _percent(row: Row, name: str) -> str:
    share = row.get(name)
    return in_words(100 * share) if share is not None else ""
