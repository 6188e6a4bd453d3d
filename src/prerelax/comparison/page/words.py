"""The first screen in words: what was saved, for how many, at what level, and what to distrust."""

from dataclasses import dataclass

import numpy as np

from prerelax.campaign.config import Campaign
from prerelax.comparison.page.methods import Method
from prerelax.comparison.statistics import FEWEST
from prerelax.comparison.summary import in_words, left_out_reasons, pairs_in_words, pilot_in_words
from prerelax.comparison.verdict import Verdict


@dataclass(frozen=True)
class Headline:
    """A sentence, what explains it, and what to distrust."""

    title: str
    explained: list[str]
    distrust: list[str]


def headline(methods: list[Method], campaign: Campaign) -> Headline:
    """Of the methods at one level; the one that saves most is named."""
    practice = next((each for each in methods if each.is_baseline), None)
    ranked = sorted((m for m in methods if m.is_ranked), key=lambda m: -m.alone["times_fewer"])
    if not methods:
        return Headline("Nothing was relaxed", ["The campaign has no relaxation to compare."], [])
    if not any(each.whole["n_finished"] for each in methods):
        return Headline("No relaxation converged", [], _failures(methods))
    if practice is None or not ranked:
        return _nothing_saved(methods, campaign, practice)
    best = ranked[0]
    row = best.alone
    fewer = row["times_fewer"]
    words = (
        f"{in_words(fewer, 1)} times fewer gradients"
        if fewer >= 1
        else f"{in_words(1 / fewer, 1)} times more gradients"
    )
    explained = [
        f"{best.name[:1].upper()}{best.name[1:]} took {in_words(row['n_gradients_mean'], 1)} gradients a "
        f"{'molecule' if row['n_molecules'] == row['n_counted'] else 'relaxation'}, {practice.name} "
        f"{in_words(row['baseline_n_gradients_mean'], 1)}: sums over {pairs_in_words(row, best.whole)}, at "
        f"{best.level}, converged to {_criterion(best, campaign)}.",
        _statistics(best),
        _hours(best),
        *([f"{pilot_in_words(best.start, row)}."] if row["core_h_pilot"] else []),
    ]
    distrust = _distrust(best, practice, ranked)
    own, usual = (_criterion(each, campaign) for each in (best, practice))
    if own != usual:
        distrust.insert(0, f"not converged alike: {own} against {usual} of {practice.name}")
    return Headline(f"{words} than {practice.name}", explained, distrust)


def verdict_in_words(verdict: Verdict | None) -> str:
    """What `prerelax verify` found of this comparison."""
    if verdict is None:
        return "Not verified: `prerelax verify` accounts for every row and computes some of them again."
    if verdict.problems:
        more = f" and {len(verdict.problems) - 1} more" if len(verdict.problems) > 1 else ""
        return f"`prerelax verify` found on {verdict.at}: {verdict.problems[0]}{more}"
    again = sum(each.n for each in verdict.computed_again.values())
    off = max((each.energy_ev for each in verdict.computed_again.values()), default=0.0)
    computed = f"; {again} rows computed again agree to {off:.1e} eV" if again else ""
    return f"Verified on {verdict.at}: no row is missing and nothing has changed{computed}."


def _criterion(method: Method, campaign: Campaign) -> str:
    target = campaign.targets[method.target]
    if target.criteria is None:
        return f"fmax {target.fmax_ev_ang:g} eV/Å"
    return f"the criteria `{target.convergence or 'normal'}`"


def _statistics(best: Method) -> str:
    row = best.alone
    median = f"The median molecule saves {in_words(row['gradients_saved_percent_median'])} %"
    low, high = row["gradients_saved_percent_ci_low"], row["gradients_saved_percent_ci_high"]
    if not np.isfinite(low):
        return f"{median}. Below {FEWEST} molecules no interval is given: look at the points."
    p = row["wilcoxon_p"]
    test = f"; paired signed-rank test p = {p:.2g}" if np.isfinite(p) else ""
    return (
        f"{median} (95 % interval {in_words(low)} to {in_words(high)} %); the interval of the sums' ratio is "
        f"{in_words(row['times_fewer_ci_low'], 1)} to {in_words(row['times_fewer_ci_high'], 1)}{test}."
    )


def _hours(best: Method) -> str:
    hours = best.alone["core_h_saved"]
    amount = f"{abs(hours):.2g} core hours" if abs(hours) >= 0.1 else f"{abs(hours) * 60:.2g} core minutes"
    return f"{amount} {'saved' if hours >= 0 else 'lost'}, whatever came before the relaxation included."


def _distrust(best: Method, practice: Method, ranked: list[Method]) -> list[str]:
    row, found = best.whole, []
    if best.alone["n_molecules"] < 30:
        found.append(f"few molecules: {best.alone['n_molecules']}")
    if row["n_deeper_minimum"] or row["n_higher_minimum"]:
        found.append(
            f"other minima: {row['n_deeper_minimum']} ended in a deeper, {row['n_higher_minimum']} in a "
            f"higher one than {practice.name}"
        )
    if row["n_undecided_minimum"]:
        found.append(f"undecided whether in one minimum: {row['n_undecided_minimum']}")
    if row["n_fallback"]:
        n = row["n_fallback"]
        made = "1 start was" if n == 1 else f"{n} starts were"
        found.append(f"{made} made by a fallback and not counted here")
    if n := row["n_baseline_fallback"]:
        found.append(f"{n} of {practice.name} began from a fallback: these pairs are not counted here")
    if row["n_left_out"]:
        found.append(f"left out: {left_out_reasons(row)}")
    if len(ranked) > 1:
        found.append(f"the best of {len(ranked)} methods is named, chosen afterwards")
    found.append("a gradient count depends on the convergence criterion; hours depend on the machine's load")
    return found


def _failures(methods: list[Method]) -> list[str]:
    return [f"{each.name}: {left_out_reasons(each.whole)}" for each in methods]


def _nothing_saved(methods: list[Method], campaign: Campaign, practice: Method | None) -> Headline:
    spent = [
        f"{each.name}: {each.whole['n_gradients_spent']} gradients for {each.whole['n_finished']} of "
        f"{each.whole['n_rows']} molecules at {each.level}, those of failures included."
        for each in methods
    ]
    if campaign.compare == "none":
        why = "No molecule was also relaxed the usual way (compare: none), so no saving is claimed."
        return Headline("Gradients spent; no comparison was asked for", [*spent, why], [])
    if practice is None:
        return Headline("Nothing to compare with", [*spent, "The baseline was not relaxed."], [])
    reasons = [each for each in _failures(methods) if not each.endswith(": ")]
    return Headline(f"Nothing can be said against {practice.name}", spent, reasons)
