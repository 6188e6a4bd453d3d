"""The methods that a page compares: a start and an optimizer at a level, with their rows and numbers."""

from dataclasses import dataclass

import pandas as pd

from prerelax.campaign.config import Campaign
from prerelax.campaign.names import level_name_for_people, optimizer_name, start_names
from prerelax.comparison.pairs import OWN_LEVEL
from prerelax.comparison.summary import ALL, NO_FALLBACK, Row, groups, is_baseline, summarise
from prerelax.engines import is_cheap


@dataclass(frozen=True)
class Method:
    """One start relaxed at one target."""

    target: str
    start: str
    name: str
    """for people, such as `MMFF94 + BFGS`"""
    level: str
    rows: pd.DataFrame
    """of the comparison"""
    whole: Row
    """row of the summary, fallbacks included"""
    alone: Row
    """the same of starts made as asked for; of the baseline the whole"""
    is_baseline: bool

    @property
    def is_ranked(self) -> bool:
        """Whether it can save anything: it was compared, and its start was not made at the target's level."""
        return not self.is_baseline and self.alone["n_counted"] > 0 and self.alone["times_fewer"] > 0

    @property
    def is_own_level(self) -> bool:
        return bool((self.rows["pair"] == OWN_LEVEL).any())


def methods_of(comparison: pd.DataFrame, campaign: Campaign) -> list[Method]:
    """All that were relaxed, in the campaign's order."""
    baseline = "" if campaign.compare == "none" else campaign.baseline.start
    summary = summarise(comparison, baseline)
    of = {
        key: {row["subset"]: row for row in rows.to_dict("records")}
        for key, rows in summary.groupby(["target", "start"], sort=False)
    }
    names = start_names(campaign)
    found = []
    for target, start, rows in groups(comparison):
        subsets = of[target, start]
        whole = subsets[ALL]
        found.append(
            Method(
                target=target,
                start=start,
                name=f"{names.get(start, start)} + {_optimizer(campaign, target, whole)}",
                level=level_name_for_people(str(whole["level"])),
                rows=rows,
                whole=whole,
                alone=subsets.get(NO_FALLBACK, whole),
                is_baseline=is_baseline(rows, start, baseline),
            )
        )
    return found


def headline_target(methods: list[Method], campaign: Campaign) -> str:
    """The target whose level the first screen is about: the baseline's own, else a DFT one."""
    if campaign.baseline.target is not None and campaign.compare != "none":
        return campaign.baseline.target
    targets = list(dict.fromkeys(each.target for each in methods))
    compared = {each.target for each in methods if each.is_ranked}

    def order(target: str) -> tuple[bool, bool]:
        return target not in compared, is_cheap(campaign.targets[target])

    return min(targets, key=order)


def at_level_of(methods: list[Method], target: str, campaign: Campaign) -> list[Method]:
    """Methods that share a baseline with a target."""
    shared = campaign.baseline_target(target)
    return [each for each in methods if campaign.baseline_target(each.target) == shared]


def _optimizer(campaign: Campaign, target: str, row: Row) -> str:
    said = str(row["optimizer"]) or campaign.targets[target].optimizer or ""
    return optimizer_name(said)
