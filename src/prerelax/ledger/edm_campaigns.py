"""Campaigns that show the EDM paper's rows, their targets, and why some prove nothing of the paper."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pandas as pd

from prerelax.ledger.criteria import unless
from prerelax.ledger.row import AbsentError, Finding, Found, Judge

QM9 = ("edm-qm9", "edm-qm9-public", "edm-qm9-mini")
QM9_TARGETS = ("qm9", "gfn2")
"""QM9's own level, which is the paper's, then GFN2-xTB, whose numbers decide nothing."""
DRUGS = ("edm-drugs", "edm-drugs-mini")
DRUG_TARGETS = ("gfn2", "gfn2-small")
OTHER_LEVEL = "at GFN2-xTB, which is not the paper's level"
TOLD_MORE = {
    "edm-qm9-mini": "its network knows the bonds, the paper's does not",
    "edm-drugs-mini": "its network knows the bonds and learned from MMFF94's minima, the paper's did not",
}
"""Campaigns whose networks are no EDM as published, which proves nothing of it."""
Shown = TypeVar("Shown")


def of_edm(judge: Judge) -> Judge:
    """A claim on the paper's network, which those of some campaigns are not."""

    def at(found: Found) -> Finding:
        return unless(TOLD_MORE.get(found.name, ""), judge(found))

    return at


def at_papers_level(judge: Callable[[Found, str], Finding]) -> Judge:
    """At QM9's own level; where that was not affordable GFN2-xTB's numbers, which decide nothing."""

    def at(found: Found) -> Finding:
        try:
            return judge(found, "qm9")
        except AbsentError:
            finding = judge(found, "gfn2")
            return unless(OTHER_LEVEL, replace(finding, ours=f"{finding.ours}, GFN2-xTB"))

    return of_edm(at)


def first_shown(targets: Sequence[str], at: Callable[[str], Shown]) -> Shown:
    """What `at` finds at the first of the targets that has it. Raises AbsentError where none does."""
    reasons = []
    for target in targets:
        try:
            return at(target)
        except AbsentError as reason:
            reasons.append(str(reason))
    raise AbsentError("; ".join(dict.fromkeys(reasons)))


def pairs_at(found: Found, targets: Sequence[str], start: str) -> pd.DataFrame:
    """Counted pairs of a start at the first target that has any. Raises AbsentError where none does."""
    return first_shown(targets, lambda target: found.pairs(target, start))
