"""When schedules and molecules from noise are MoreRed's: rows on QM9."""

import math

import pandas as pd
from scipy.stats import binomtest

from prerelax.comparison.statistics import FEWEST
from prerelax.ledger.criteria import TOO_FEW, Estimate, estimated, paired, unless
from prerelax.ledger.row import AbsentError, Finding, Found, Verdict

TOLD_MORE = {
    "morered-qm9-mini": "its network knows the bonds, and none is told its step as the paper's DDPM is",
}
"""Campaigns whose schedules are not compared with networks as the paper's."""


def schedules(found: Found) -> Finding:
    """Whether the adaptive schedule ends nearer than the fixed one, by molecule."""
    table = found.table("figures/schedules_ends")
    wide = table.pivot_table(index=["id", "start"], columns="schedule", values="rmsd_after_ang")
    finding = paired(wide.groupby("id").mean(), "adaptive", "fixed", "adaptive, fixed: ")
    return unless(TOLD_MORE.get(found.name, ""), finding)


def shell(found: Found) -> Finding:
    """Whether radii of noise are within ± 30 % and tell the step."""
    rows = {
        key: float(found.quantity("figures/shells_numbers", words)["ours"]) for key, words in _SHELL.items()
    }
    n = int(found.quantity("figures/shells_numbers", "molecules")["ours"])
    words = f"radius {rows['low']:.2f} to {rows['high']:.2f} σ√d, r = {rows['r']:.3f}"
    last = float(found.quantity("figures/shells_numbers", "last step")["ours"])
    words += f", steps to {last:.0f}"
    if n < FEWEST:
        return Finding(words, n, "undecided", TOO_FEW)
    holds = rows["high"] - rows["low"] < 0.6 and rows["r"] > 0.9
    why = "same: within ± 30 %, r > 0.9; CIFAR-10 is not shown"
    return Finding(words, n, "same" if holds else "opposite", why)


_SHELL = {"low": "the same, 2.5 %", "high": "the same, 97.5 %", "r": "Pearson r of predicted"}


def _valid(found: Found, run: str, limit: int = 0, quantity: str = "V") -> pd.Series:
    table = found.table("figures/generation_limits_qm9")
    rows = table[(table["run"] == run) & (table["limit"] == limit) & (table["quantity"] == quantity)]
    rows = rows[rows["validity_by"] == "table"]
    if rows.empty:
        raise AbsentError(f"{found.name} has no run {run}")
    return rows.iloc[0]


def _poor(found: Found) -> str:
    """Why the network proves nothing of generation; empty where most of its molecules are valid."""
    percent = float(_valid(found, "adaptive")["percent"])
    return f"its network makes {percent:.0f} % valid molecules" if percent < 50 else ""


def adaptive_wins(found: Found) -> Finding:
    """Whether the adaptive schedule makes more valid molecules than a DDPM's: intervals apart."""
    own = _valid(found, "adaptive")
    try:
        other, name = _valid(found, "ddpm"), "DDPM"
    except AbsentError:
        other, name = _valid(found, "fixed"), "the same network's fixed schedule"
    n = int(min(own["n"], other["n"]))
    shown = [estimated(each, "percent").text() for each in (own, other)]
    words = f"{' against '.join(shown)} %, {name}"
    verdict: Verdict = "undecided"
    if own["ci_low"] > other["ci_high"]:
        verdict = "same"
    elif own["ci_high"] < other["ci_low"]:
        verdict = "opposite"
    objection = _poor(found)
    if not objection and name != "DDPM":
        objection = "without a DDPM network that is told its step"
    why = "intervals apart" if verdict != "undecided" else "intervals overlap"
    return unless(objection, Finding(words, n, verdict, why))


def flattens(found: Found) -> Finding:
    """Whether validity rises less at the last limit than at the first ones.

    The rises' difference has an interval from those of its shares (MOVER), as if they were independent.
    """
    table = found.table("figures/generation_limits_qm9")
    limits = sorted(int(x) for x in table["limit"].unique() if x > 0)
    if len(limits) < 3:
        raise AbsentError(f"{found.name}: fewer than three limits")
    weights = dict.fromkeys(limits, 0.0)
    for limit, weight in zip((*limits[:2], *limits[-2:]), (-1.0, 1.0, 1.0, -1.0), strict=True):
        weights[limit] += weight
    value = down = up = 0.0
    for limit, weight in weights.items():
        row = _valid(found, "adaptive", limit)
        below, above = row["percent"] - row["ci_low"], row["ci_high"] - row["percent"]
        value += weight * float(row["percent"])
        down += (weight * (below if weight > 0 else above)) ** 2
        up += (weight * (above if weight > 0 else below)) ** 2
    low, high = value - math.sqrt(down), value + math.sqrt(up)
    shown = [_valid(found, "adaptive", limit) for limit in limits]
    words = ", ".join(f"{row['percent']:.1f} % at {limit}" for row, limit in zip(shown, limits, strict=True))
    verdict: Verdict = "same" if low > 0 else "opposite" if high < 0 else "undecided"
    n = int(shown[-1]["n"])
    why = f"first rise less last rise {Estimate(value, low, high, n).text()} points"
    return unless(_poor(found), Finding(words, n, verdict, why))


def novelty_costs_most(found: Found) -> Finding:
    """Whether more valid molecules are lost as known than as made twice: sign test."""
    v, vu, vun = (float(_valid(found, "adaptive", 0, q)["percent"]) for q in ("V", "V+U", "V+U+N"))
    n = int(_valid(found, "adaptive")["n"])
    twice, known = round(n * (v - vu) / 100), round(n * (vu - vun) / 100)
    p = float(binomtest(known, known + twice, 0.5).pvalue) if known + twice else 1.0
    verdict: Verdict = "undecided" if p >= 0.05 else "same" if known > twice else "opposite"
    words = f"{v:.1f}, {vu:.1f}, {vun:.1f} %"
    why = f"{known} known, {twice} made twice, p = {p:.2g} (signs)"
    return unless(_poor(found), Finding(words, n, verdict, why))


def pictures(found: Found) -> Finding:
    """Pictures, where there are some: no criterion judges them."""
    found.table("figures/generated_qm9_adaptive")
    return Finding("drawn", None, "undecided", "a drawing is judged by eye")
