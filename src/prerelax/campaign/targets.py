"""The section `targets` of a campaign's config: what molecules are finally relaxed at."""

from pydantic import Field

from prerelax.campaign.levels import KnownRelaxation
from prerelax.campaign.section import Name


class Target(KnownRelaxation):
    """Engine, level, optimizer and convergence of the final relaxations."""

    starts: list[Name] | None = Field(None, description="Starts relaxed at this target. Default: all")
