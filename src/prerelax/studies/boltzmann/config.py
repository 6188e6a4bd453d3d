"""The part `studies.boltzmann` of a campaign config (docs/guide/studies.md)."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field

from prerelax.campaign.config import Campaign
from prerelax.campaign.section import EMBEDDING
from prerelax.engines.level import Level
from prerelax.settings import Settings
from prerelax.studies.study import Study, part, target_complaints

Step = Annotated[int, Field(ge=1)]
Kelvin = Annotated[float, Field(gt=0)]
Scheme = Literal["repeat", "renoise", "perturb"]
"""The reverse step alone (the paper's); noise up and back; the step's noise alone."""


class Molecules(Settings):
    """Which molecules are looked at."""

    molecules: int = Field(10, ge=1, description="only the first N saturated chains")


class RepeatedStep(Settings):
    """One denoising step, repeated."""

    model: str = Field(description="an EDM's name or folder")
    step: Step = Field(description="n, of the schedule")
    repeats: int = Field(2000, ge=1, description="of the step, in each chain; the paper: 20 000")
    burn_in: int = Field(200, ge=0, description="first repeats, which keep nothing; the paper: 1000")
    every: int = Field(20, ge=1, description="keep every N-th geometry")
    replicas: int = Field(1, ge=1, description="chains of each row")
    scheme: Scheme = "repeat"
    seed: int = 0
    batch_size: int = Field(64, ge=1, description="chains at once")


class Metropolis(Settings):
    """Metropolis Monte Carlo at a level."""

    level: Level
    temperatures_k: list[Kelvin] = Field(min_length=1, description="a chain of every molecule at each")
    proposals: int = Field(24_000, ge=1, description="of each chain")
    burn_in: int = Field(5_000, ge=0, description="first proposals, which find the step size")
    seed: int = 0


class Compared(Settings):
    """What the figures compare."""

    steps: list[Step] = Field(min_length=1, description="n of the repeated steps")
    control: list[Step] = Field([], description="n whose noise was repeated without the network")
    temperatures_k: list[Kelvin] = Field(min_length=1, description="of Metropolis")


class BoltzmannStudy(Settings, Study):
    """One denoising step repeated, against Metropolis Monte Carlo (paper E, figures 7 to 9).

    Lengths, steps and temperatures are the paper's, as far as its text has them (fourteen steps from 1 to 40
    and eighteen temperatures from 10 to 400 K).
    """

    model: str = Field(description="an EDM of this campaign, a shipped one or a model folder")
    target: str = Field(description="at whose level Metropolis runs and energies are evaluated")
    minima: str = Field("rdkit", description="the start whose geometries the chains begin at")
    molecules: int = Field(10, ge=1, description="only the first N saturated chains")
    steps: list[Step] = Field(
        [1, 2, 4, 6, 8, 10, 12, 14, 17, 20, 25, 30, 35, 40], min_length=1, description="n, a job each"
    )
    repeats: int = Field(20_000, ge=1, description="of each step")
    burn_in: int = Field(1_000, ge=0, description="first repeats, which keep nothing")
    every: int = Field(20, ge=1, description="evaluate every N-th geometry")
    control: list[Step] = Field(
        [1, 6, 20, 35, 40], description="n whose noise is repeated without the network"
    )
    temperatures_k: list[Kelvin] = Field(
        [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 120, 140, 170, 200, 250, 300, 350, 400],
        min_length=2,
        description="of Metropolis, a job each",
    )
    proposals: int = Field(24_000, ge=1, description="of each Metropolis chain")
    proposals_burn_in: int = Field(5_000, ge=0, description="first proposals, which find the step size")
    seed: int = 0

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        yield from target_complaints(campaign, "boltzmann", self.target)
        if self.minima not in (EMBEDDING, *campaign.starts):
            yield f"studies.boltzmann.minima: {self.minima} is not among the starts"

    def in_small(self, n: int) -> Self:
        few = {"repeats": 60, "burn_in": 10, "every": 5, "proposals": 60, "proposals_burn_in": 20}
        shorter = {key: min(value, getattr(self, key)) for key, value in few.items()}
        ends = {key: sorted(getattr(self, key))[:: max(1, len(getattr(self, key)) - 1)] for key in _LISTS}
        return self.model_copy(update={"molecules": min(n, self.molecules)} | shorter | ends)

    def repeated_step(self, model: str, step: int, scheme: Scheme) -> RepeatedStep:
        """The chains of one step; `model` is a name or folder."""
        return part(RepeatedStep, self, model=model, step=step, scheme=scheme)

    def metropolis(self, level: Level, temperature_k: float) -> Metropolis:
        """The chains at one temperature."""
        chain = {"temperatures_k": [temperature_k], "burn_in": self.proposals_burn_in}
        return part(Metropolis, self, level=level, **chain)


_LISTS = ("steps", "control", "temperatures_k")

KEYS = {"boltzmann": BoltzmannStudy}
