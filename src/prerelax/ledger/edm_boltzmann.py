"""Rows R16 to R23: the EDM paper's Boltzmann distributions (figures 7 to 9)."""

from dataclasses import replace

import numpy as np
import pandas as pd

from prerelax.ledger.criteria import TOO_FEW, all_of, estimated, mean_of, more, number, share, unless
from prerelax.ledger.edm_campaigns import QM9
from prerelax.ledger.row import AbsentError, Finding, Found, Judge, Row, Verdict


def _of_step(found: Found, n: int, words: str) -> pd.Series:
    return found.quantity("figures/boltzmann_temperature_numbers", f"n = {n}: {words}")


def _temperatures(found: Found) -> Finding:
    parts = []
    for n, paper in ((14, 70.0), (20, 120.0), (30, 300.0)):  # that of n = 6 is made equal
        row = _of_step(found, n, "temperature of the same mean energy")
        parts.append(number(estimated(row), paper, unit=" K").named(f"n = {n}: "))
    return all_of(parts)


def _rise(found: Found) -> Finding:
    """Mean and spread of every molecule's energies rise with n and with T: sign test over molecules."""
    table = found.table("figures/boltzmann_violins")
    steps = [
        (group.sort_values("label")[column].diff().dropna() > 0).mean()
        for _, group in table.groupby(["id", "kind"])
        for column in ("mean_kcal_mol", "std_kcal_mol")
    ]
    molecules = [str(key[0]) for key, _ in table.groupby(["id", "kind"]) for _ in range(2)]
    return more(mean_of(steps, molecules), 0.5)


def _diverges(found: Found) -> Finding:
    parts = []
    for n in (1, 6):
        row = _of_step(found, n, "chains of its noise alone that break")
        broken, chains = int(row["ours"]), int(row["n"])
        part = more(share([True] * broken + [False] * (chains - broken), range(chains)), 50)
        parts.append(replace(part, ours=f"n = {n}: {broken} of {chains}"))
    return all_of(parts)


def _holds_to_40(found: Found) -> Finding:
    table = found.table("figures/boltzmann_temperature")
    if not (table["n"] == 40).any():
        raise AbsentError(f"{found.name}: no step beyond n = {table['n'].max():.0f}")
    there, every = table.loc[table["n"] == 40, "id"].nunique(), table["id"].nunique()
    return Finding(f"{there} of {every}", every, "same" if there == every else "opposite")


def _laws(found: Found) -> Finding:
    """Mean energies are linear in T and in n²: R² of every molecule above 0.95 in the median."""
    table = found.table("figures/boltzmann_violins")
    parts = []
    for kind, power, words in (("Metropolis", 1, "in T"), ("diffusion", 2, "in n²")):
        squares = [
            float(np.corrcoef(group["label"] ** power, group["mean_kcal_mol"])[0, 1] ** 2)
            for _, group in table[table["kind"] == kind].groupby("id")
            if len(group) > 2
        ]
        if not squares:
            raise AbsentError(f"{found.name}: fewer than three points {words}")
        middle = float(np.median(squares))
        verdict: Verdict = "same" if middle > 0.95 else "opposite" if middle < 0.8 else "undecided"
        parts.append(Finding(f"R² {middle:.2f} {words}", len(squares), verdict, "same: R² above 0.95"))
    return all_of(parts)


def _one_factor(found: Found) -> Finding:
    row = found.quantity("figures/boltzmann_temperature_numbers", "factor of T = factor n²")
    factor = estimated(row)
    if not np.isfinite(factor.low):
        return Finding(factor.text(" K"), factor.n, "undecided", TOO_FEW)
    verdict: Verdict = "same" if factor.low >= 0.30 and factor.high <= 0.56 else "undecided"
    return Finding(factor.text(" K"), factor.n, verdict, "the paper's pairs give 0.30 to 0.56")


def _wider(found: Found) -> Finding:
    rows = [_of_step(found, n, "width over Metropolis's") for n in (6, 14, 20, 30)]
    return all_of([more(estimated(row), 1.0) for row in rows])


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
        _of_long_chains(_temperatures),
    ),
    Row("R17", "E 7", "mean and variance rise with n and T", "yes", QM9, _of_long_chains(_rise)),
    Row(
        "R18",
        "E 7",
        "repeated Gaussian noise diverges, also for tiny steps",
        "yes",
        QM9,
        _of_long_chains(_diverges),
    ),
    Row("R19", "E 7", "no chain diverges up to n = 40", "none", QM9, _holds_to_40),
    Row("R20", "E 8", "energies are linear in T, quadratic in n", "yes", QM9, _laws),
    Row(
        "R21",
        "E 9",
        "one factor of T = factor n² for all molecules",
        "0.30 to 0.56 K",
        QM9,
        _of_long_chains(_one_factor),
    ),
    Row("R22", "E 7", "diffusion's distributions are wider", "yes", QM9, _of_long_chains(_wider)),
    Row("R23", "E 7–9", "ten random flexible molecules", "10", QM9, _ten_molecules),
)
