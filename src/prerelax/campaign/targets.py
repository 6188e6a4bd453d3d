"""The sections `targets` and `single_points`: what molecules are relaxed at, and evaluated at in the end."""

from typing import Self

from pydantic import Field, model_validator

from prerelax.campaign.levels import KnownRelaxation, known
from prerelax.campaign.section import Name
from prerelax.relaxation.settings import Relaxation, SinglePoints


class Target(KnownRelaxation):
    """Engine, level, optimizer and convergence of the final relaxations."""

    starts: list[Name] | None = Field(None, description="Starts relaxed at this target. Default: all")


class PointsOfMinima(SinglePoints):
    """A level at which the ends of relaxations are evaluated, nothing moved."""

    of: Name | None = Field(
        None, description="Target whose ends are evaluated. Default: the first of a DFT program"
    )

    @model_validator(mode="after")
    def _words_exist_and_fit(self) -> Self:
        known(self.level)
        return self

    @property
    def relaxation(self) -> Relaxation:
        """The same as a relaxation that ends where it begins."""
        return Relaxation.single_point(self.level).model_copy(update={"only": self.only})
