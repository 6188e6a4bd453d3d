"""The section `targets` of a campaign's config: what molecules are finally relaxed at."""

from typing import Self

from pydantic import Field, model_validator

from prerelax.campaign.levels import known_relaxation
from prerelax.campaign.section import Name
from prerelax.relaxation.settings import Relaxation


class Target(Relaxation):
    """Engine, level, optimizer and convergence of the final relaxations."""

    starts: list[Name] | None = Field(None, description="Starts relaxed at this target. Default: all")

    @model_validator(mode="after")
    def _known(self) -> Self:
        known_relaxation(self)
        return self
