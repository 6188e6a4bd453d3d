"""A row of the ledger, and the results that it is judged by."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from prerelax.comparison.comparison import read_comparison
from prerelax.comparison.summary import usable
from prerelax.errors import UserError

Verdict = Literal["same", "opposite", "undecided", "not shown"]
VERDICTS: tuple[Verdict, ...] = ("same", "opposite", "undecided", "not shown")


class AbsentError(Exception):
    """What a row needs is not among the results; the message says what."""


@dataclass(frozen=True)
class Finding:
    """What results say of a row."""

    ours: str
    n: int | None
    verdict: Verdict
    why: str = ""
    campaign: str = ""
    is_kept: bool = False
    """from an earlier page"""

    def named(self, part: str) -> "Finding":
        """The same as that of a part of a claim."""
        return replace(self, ours=f"{part}{self.ours}")


@dataclass(frozen=True)
class Found:
    """The results of one campaign."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def table(self, name: str) -> pd.DataFrame:
        """A CSV of the results, without its ending: `figures/phases`. Raises AbsentError for none, or an
        empty one."""
        path = self.folder / f"{name}.csv"
        try:
            read = pd.read_csv(path, dtype={"id": str}, keep_default_na=True)
        except (OSError, ValueError) as error:
            raise AbsentError(f"{self.name} has no {name}.csv") from error
        if read.empty:
            raise AbsentError(f"{self.name}: {name}.csv is empty")
        return read

    def quantity(self, name: str, words: str) -> pd.Series:
        """The row of a table of numbers whose `quantity` begins with `words`. Raises AbsentError."""
        table = self.table(name)
        rows = table[table["quantity"].astype(str).str.startswith(words)]
        if rows.empty:
            raise AbsentError(f"{self.name}: {name}.csv says nothing of “{words}”")
        return rows.iloc[0]

    def pairs(self, target: str, start: str) -> pd.DataFrame:
        """Counted pairs of a start with the baseline at a target. Raises AbsentError where there are none."""
        relaxed = self._comparison()
        rows = relaxed[(relaxed["target"] == target) & (relaxed["start"] == start)]
        counted = usable(rows)
        if counted.empty:
            raise AbsentError(f"{self.name} has no pair of {start} at {target}")
        return counted

    def starts_of(self, target: str, start: str) -> pd.DataFrame:
        """All rows of a start at a target, the baseline's too. Raises AbsentError."""
        relaxed = self._comparison()
        rows = relaxed[(relaxed["target"] == target) & (relaxed["start"] == start)]
        if rows.empty:
            raise AbsentError(f"{self.name} has no {start} at {target}")
        return rows

    def _comparison(self) -> pd.DataFrame:
        path = self.folder / "comparison.csv"
        if not path.is_file():
            raise AbsentError(f"{self.name} has no comparison.csv")
        try:
            return read_comparison(path)
        except UserError as error:
            raise AbsentError(str(error)) from error


Judge = Callable[[Found], Finding]


@dataclass(frozen=True)
class Row:
    """One figure, table or number of a paper."""

    key: str
    figure: str
    """where it is in the paper, which its first letter names"""
    claim: str
    paper: str
    """the paper's value or words"""
    campaigns: tuple[str, ...] = ()
    """whose results may show it, the full one first"""
    judge: Judge | None = None
    needs: str = ""
    """what would show it, where nothing does"""


def results_of(folders: Iterable[Path]) -> dict[str, Found]:
    """The folders by campaign. Raises UserError for one that is none, or of a campaign in small."""
    found = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: not a folder of results")
        if "-limit-" in folder.name:
            raise UserError(f"{folder}: a campaign in small (`limit`) shows nothing")
        found[folder.name] = Found(folder)
    return found


def judged(row: Row, results: Mapping[str, Found], before: Finding | None = None) -> Finding:
    """The finding of the first campaign that shows the row; `not shown`, with the reason, where none does.

    Where the results of that campaign are not among these, `before` says what an earlier page had of it.
    """
    if row.judge is None:
        return Finding("–", None, "not shown", row.needs)
    reasons = []
    for name in row.campaigns:
        if name not in results:
            if before and before.campaign == name:
                return before
            continue
        try:
            return replace(row.judge(results[name]), campaign=name)
        except AbsentError as reason:
            reasons.append(str(reason))
        except KeyError as error:
            reasons.append(f"{name}: its tables have no column {error}, made by another version")
    return Finding(
        "–", None, "not shown", "; ".join(reasons) or f"no results of {' or '.join(row.campaigns)}"
    )
