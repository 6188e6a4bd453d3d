"""When a finding is the paper's: intervals, tests of ranks and of shares. No verdict comes from elsewhere.

`same`: the 95 % interval (or a test at 5 %) excludes everything but what the paper reports. `opposite`: it
excludes what the paper reports. `undecided`: neither, or fewer than eight molecules, of which no interval is
given. The molecule is what was drawn at random: its conformers and inputs are averaged first.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from prerelax.comparison.statistics import FEWEST, distribution, mean_interval, paired_p, per_molecule
from prerelax.ledger.row import Finding, Verdict

LEVEL = 0.05
RESOLVED = 2.0
"""An interval tells the paper's number where it lies between a half and twice of it: wider says little."""
NEAR_NOTHING = 10.0
"""The same for a paper's zero, of per cents."""
TOO_FEW = f"fewer than {FEWEST} molecules give no interval"


class Estimate(NamedTuple):
    """A number of `n` molecules with the ends of its 95 % interval, nan where it has none."""

    value: float
    low: float
    high: float
    n: int

    def text(self, unit: str = "") -> str:
        """The number with its interval, where it has one."""
        shown = f"{self.value:.3g}{unit}"
        return shown if math.isnan(self.low) else f"{shown} [{self.low:.3g}, {self.high:.3g}]"


def estimated(row: pd.Series, column: str = "ours", n: int | None = None) -> Estimate:
    """What a study's row of numbers says in a column, with the interval beside it, of `n` or the row's n."""
    value, low, high = (float(row[name]) for name in (column, "ci_low", "ci_high"))
    return Estimate(value, low, high, int(row["n"]) if n is None else n)


def median_of(values: ArrayLike, molecules: ArrayLike) -> Estimate:
    """Median over molecules."""
    found = distribution(values, molecules)
    return Estimate(found.median, found.ci_low, found.ci_high, found.n)


def mean_of(values: ArrayLike, molecules: ArrayLike) -> Estimate:
    """Mean over molecules."""
    each = per_molecule(values, molecules)
    return Estimate(float(each.mean()) if len(each) else math.nan, *mean_interval(each), len(each))


def share(flags: ArrayLike, molecules: ArrayLike) -> Estimate:
    """A share of rows in per cent, with Wilson's interval for as many as there are molecules.

    Rows of one molecule are taken to agree, which makes the interval too wide rather than too narrow. No
    interval below FEWEST molecules.
    """
    each = per_molecule(np.asarray(flags, dtype=float), molecules)
    n, mean = len(each), float(each.mean()) if len(each) else math.nan
    if n < FEWEST:
        return Estimate(100 * mean, math.nan, math.nan, n)
    z = float(stats.norm.ppf(1 - LEVEL / 2))
    middle, half = mean + z**2 / (2 * n), z * math.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2))
    low, high = ((middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n))
    return Estimate(100 * mean, 100 * max(low, 0.0), 100 * min(high, 1.0), n)


def more(ours: Estimate, than: float, unit: str = "") -> Finding:
    """Whether a number lies above another one."""
    verdict, why = _more(ours.low, ours.high, than)
    return Finding(ours.text(unit), ours.n, verdict, why)


def less(ours: Estimate, than: float, unit: str = "") -> Finding:
    """Whether a number lies below another one."""
    verdict, why = _more(-ours.high, -ours.low, -than)
    return Finding(ours.text(unit), ours.n, verdict, why.replace("above", "below"))


def _more(low: float, high: float, than: float) -> tuple[Verdict, str]:
    if math.isnan(low) or math.isnan(high):
        return "undecided", TOO_FEW
    if low > than:
        return "same", f"all of the interval is above {abs(than):g}"
    if high < than:
        return "opposite", "none of the interval is above it"
    return "undecided", f"{abs(than):g} is in the interval"


def number(ours: Estimate, paper: float, nothing: float = math.nan, unit: str = "") -> Finding:
    """Whether an interval holds the paper's number, is narrow enough to tell it and, where given, excludes
    that there is nothing to it."""
    verdict, why = _number(ours.low, ours.high, paper, nothing)
    return Finding(ours.text(unit), ours.n, verdict, why)


def _number(low: float, high: float, paper: float, nothing: float) -> tuple[Verdict, str]:
    if math.isnan(low) or math.isnan(high):
        return "undecided", TOO_FEW
    if not low <= paper <= high:
        return "opposite", f"the interval excludes the paper's {paper:g}"
    if low <= nothing <= high:
        return "undecided", f"the interval holds the paper's {paper:g}, and {nothing:g} too"
    ends = (paper / RESOLVED, paper * RESOLVED) if paper else (-NEAR_NOTHING, NEAR_NOTHING)
    if low < ends[0] or high > ends[1]:
        return "undecided", f"the interval is too wide to tell the paper's {paper:g}"
    return "same", f"the interval holds the paper's {paper:g}"


def paired(values: pd.DataFrame, lower: str, higher: str, words: str = "") -> Finding:
    """Whether one of two columns is the lower one, by Wilcoxon's signed-rank test over molecules (rows)."""
    known = values[[lower, higher]].dropna().astype(float)
    n = len(known)
    shown = f"{words}{known[lower].median():.3g} against {known[higher].median():.3g}" if n else "–"
    differences = (known[lower] - known[higher]).to_numpy()
    if n < FEWEST or not differences.any():
        return Finding(shown, n, "undecided", TOO_FEW if n < FEWEST else "no difference")
    p = paired_p(known[lower], known[higher])
    if p >= LEVEL:
        return Finding(shown, n, "undecided", f"p = {p:.2g} (Wilcoxon)")
    verdict: Verdict = (
        "same" if float(stats.rankdata(np.abs(differences)) @ np.sign(differences)) < 0 else "opposite"
    )
    return Finding(shown, n, verdict, f"p = {p:.2g} (Wilcoxon)")


def rising(x: ArrayLike, y: ArrayLike, words: str, n: int | None = None) -> Finding:
    """Whether y rises with x, by Spearman's rank correlation of the points."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if len(a) < 5 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Finding(words, n, "undecided", f"{len(a)} points tell no trend")
    found = stats.spearmanr(a, b)
    rho, p = float(found.statistic), float(found.pvalue)
    why = f"Spearman ρ = {rho:.2f}, p = {p:.2g}, {len(a)} points"
    if p >= LEVEL:
        return Finding(words, n, "undecided", why)
    return Finding(words, n, "same" if rho > 0 else "opposite", why)


def signs(wins: int, of: int, words: str, over: str) -> Finding:
    """Whether something holds more often than not, by the sign test."""
    p = float(stats.binomtest(wins, of, 0.5).pvalue) if of else math.nan
    verdict: Verdict = "undecided" if not p < LEVEL else "same" if wins > of / 2 else "opposite"
    return Finding(words, of, verdict, f"p = {p:.2g} (signs over {over})")


def quantile_interval(values: ArrayLike, q: float) -> tuple[float, float]:
    """95 % interval of a quantile between two order statistics; nan where the values are too few for it."""
    sample = np.sort(np.asarray(values, dtype=float))
    n = len(sample)
    if n < FEWEST:
        return math.nan, math.nan
    low = int(stats.binom.ppf(LEVEL / 2, n, q)) - 1
    high = int(stats.binom.ppf(1 - LEVEL / 2, n, q))
    if low < 0 or high > n - 1:
        return math.nan, math.nan
    return float(sample[low]), float(sample[high])


def all_of(findings: Sequence[Finding]) -> Finding:
    """`same` where all parts of a claim are, `opposite` where one is, else `undecided`."""
    verdicts = [each.verdict for each in findings]
    verdict: Verdict = "opposite" if "opposite" in verdicts else "undecided"
    if all(each == "same" for each in verdicts):
        verdict = "same"
    n = [each.n for each in findings if each.n is not None]
    return Finding(
        "; ".join(each.ours for each in findings),
        min(n) if n else None,
        verdict,
        "; ".join(dict.fromkeys(each.why for each in findings if each.why)),
    )


def unless(objection: str, finding: Finding) -> Finding:
    """A finding that proves nothing where there is an objection."""
    return Finding(finding.ours, finding.n, "undecided", objection) if objection else finding
