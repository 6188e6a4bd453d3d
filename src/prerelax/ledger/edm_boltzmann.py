"""Rows R16 to R23: the EDM paper's Boltzmann distributions (figures 7 to 9)."""

from dataclasses import replace

import numpy as np
import pandas as pd

from prerelax.comparison.statistics import FEWEST
from prerelax.ledger.criteria import TOO_FEW, all_of, estimated, less, mean_of, more, number, share, unless
from prerelax.ledger.edm_campaigns import QM9, of_edm
from prerelax.ledger.row import AbsentError, Finding, Found, Judge, Row
from prerelax.studies.boltzmann.analysis import PAPER_REPEATS, paper_factors_k

HALF_A_POWER = 0.5
SAME_FACTOR = 0.25
"""of the molecules' factors, standard deviation over mean: below it one factor serves all"""


def _of_step(found: Found, n: int, words: str) -> pd.Series:
    return found.quantity("figures/boltzmann_temperature_numbers", f"n = {n}: {words}")


def _temperatures(found: Found) -> Finding:
    parts = []
    for n, paper in ((14, 70.0), (20, 120.0), (30, 300.0)):  # that of n = 6 is made equal
        row = _of_step(found, n, "temperature of the same mean energy")
        parts.append(number(estimated(row), paper, unit=" K").named(f"n = {n}: "))
    return all_of(parts)


def _rise(found: Found) -> Finding:
    """Whether mean and spread rise with n and with T: share of a molecule's rises, mean over molecules."""
    table = found.table("figures/boltzmann_violins")
    parts = []
    for kind, rows in table.groupby("kind"):
        for column, words in (("mean_kcal_mol", "mean"), ("std_kcal_mol", "spread")):
            each = {
                str(name): (group.sort_values("label")[column].diff().dropna() > 0).mean()
                for name, group in rows.groupby("id")
            }
            part = more(mean_of(list(each.values()), list(each)), 0.5)
            parts.append(part.named(f"{kind}, {words}: "))
    return all_of(parts)


def _diverges(found: Found) -> Finding:
    parts = []
    for n in (1, 6):
        broken, chains, objection = _breaking(found, n, "chains of its noise alone that break")
        part = more(share([True] * broken + [False] * (chains - broken), range(chains)), 50)
        parts.append(unless(objection, replace(part, ours=f"n = {n}: {broken} of {chains}")))
    return all_of(parts)


def _breaking(found: Found, n: int, words: str) -> tuple[int, int, str]:
    """Chains of a step that break, all of them, and why those that hold prove nothing; else empty."""
    row = _of_step(found, n, words)
    repeats = int(_of_step(found, n, f"repeats of {words}")["ours"])
    short = f"{repeats} repeats are fewer than the paper's {PAPER_REPEATS}"
    return int(row["ours"]), int(row["n"]), short if repeats < PAPER_REPEATS else ""


def _holds_to_40(found: Found) -> Finding:
    broken, chains, objection = _breaking(found, 40, "chains that break")
    words = f"{chains - broken} of {chains}"
    if broken:
        return Finding(words, chains, "opposite", "same: none breaks")
    objection = objection or (TOO_FEW if chains < FEWEST else "")
    return unless(objection, Finding(words, chains, "same", "same: none breaks"))


def _laws(found: Found) -> Finding:
    """Whether mean energies go with T and with n², by the power of each molecule that fits best."""
    table = found.table("figures/boltzmann_laws")
    return all_of([_power(table["power_of_t"], 1, "T"), _power(table["power_of_n"], 2, "n")])


def _power(powers: pd.Series, paper: int, of: str) -> Finding:
    known = powers.dropna()
    if known.empty:
        return Finding(f"no power of {of}", 0, "undecided", f"fewer than four points tell no power of {of}")
    ours = mean_of(known, known.index)
    finding = number(ours, paper).named(f"power of {of}: ")
    told = paper - HALF_A_POWER < ours.low and ours.high < paper + HALF_A_POWER
    vague = f"the interval is too wide to tell {paper} from {paper + HALF_A_POWER:g}"
    return unless(vague if finding.verdict == "same" and not told else "", finding)


def _one_factor(found: Found) -> Finding:
    row = found.quantity("figures/boltzmann_temperature_numbers", "factor of T = factor n²")
    factor = estimated(row)
    spread = found.quantity(
        "figures/boltzmann_temperature_numbers", "standard deviation of the molecules' factors"
    )
    paper = float(np.mean(paper_factors_k()))
    one = less(estimated(spread), SAME_FACTOR).named("spread over molecules ")
    return all_of([number(factor, paper, unit=" K"), one])


def _wider(found: Found) -> Finding:
    rows = []
    for n in (6, 14, 20, 30):
        try:
            rows.append(_of_step(found, n, "width over Metropolis's"))
        except AbsentError:  # of the smallest step there is none
            continue
    if not rows:
        raise AbsentError(f"{found.name} has no width of a step")
    return all_of([more(estimated(row), 1.0).named(f"{row['quantity'].partition(':')[0]}: ") for row in rows])


def _short(found: Found) -> str:
    """Why the chains prove nothing; empty where most of Metropolis's are long enough for their own widths."""
    short = found.quantity("figures/boltzmann_temperature_numbers", "chains of Metropolis whose halves")
    words = f"{short['ours']:.0f} of {short['n']:.0f} Metropolis chains are too short for their own widths"
    return words if short["ours"] > short["n"] / 2 else ""


def _of_long_chains(judge: Judge) -> Judge:
    return lambda found: unless(_short(found), judge(found))


def _ten_molecules(found: Found) -> Finding:
    n = found.table("figures/boltzmann_temperature")["id"].nunique()
    return Finding(f"{n} molecules", n, "same" if n >= 9 else "undecided", "the paper has ten, less one")


ROWS = (
    Row(
        "R16",
        "E 7",
        "n = 14, 20, 30 pair with temperatures",
        "70, 120, 300 K",
        QM9,
        of_edm(_of_long_chains(_temperatures)),
    ),
    Row("R17", "E 7", "mean and variance rise with n and T", "yes", QM9, of_edm(_of_long_chains(_rise))),
    Row(
        "R18",
        "E 7",
        "repeated Gaussian noise diverges, also for tiny steps",
        "yes",
        QM9,
        _diverges,
    ),
    Row("R19", "E 7", "no chain diverges up to n = 40", "none", QM9, of_edm(_holds_to_40)),
    Row(
        "R20",
        "E 8",
        "energies are linear in T, quadratic in n",
        "yes",
        QM9,
        of_edm(_of_long_chains(_laws)),
    ),
    Row(
        "R21",
        "E 9",
        "one factor of T = factor n² for all molecules",
        "0.27 to 0.32 K",
        QM9,
        of_edm(_of_long_chains(_one_factor)),
    ),
    Row("R22", "E 7", "diffusion's distributions are wider", "yes", QM9, of_edm(_of_long_chains(_wider))),
    Row("R23", "E 7–9", "ten random flexible molecules", "10", QM9, _ten_molecules),
)
