"""The part `studies.boltzmann` of a campaign config (docs/guide/studies.md)."""

from typing import Annotated

from pydantic import Field

from prerelax.studies.study import Study

Step = Annotated[int, Field(ge=1)]
Kelvin = Annotated[float, Field(gt=0)]


class BoltzmannStudy(Study):
    """One denoising step repeated, against Metropolis Monte Carlo (paper E, figures 7 to 9).

    Lengths, steps and temperatures are the paper's, as far as its text has them (fourteen steps from 1 to 40
    and eighteen temperatures from 10 to 400 K).
    """

    model: str = Field(description="an EDM of this campaign, a shipped one or a model folder")
    target: str = Field(description="at whose level Metropolis runs and energies are evaluated")
    minima: str = Field("rdkit", description="the start whose geometries the chains begin at")
    molecules: int = Field(10, ge=1, description="the first so many saturated chains")
    steps: list[Step] = Field(
        [1, 2, 4, 6, 8, 10, 12, 14, 17, 20, 25, 30, 35, 40], min_length=1, description="n, a job each"
    )
    repeats: int = Field(20_000, ge=1, description="of each step")
    burn_in: int = Field(1_000, ge=0, description="first ones that keep nothing")
    every: int = Field(20, ge=1, description="each so-many-th geometry is evaluated")
    control: list[Step] = Field([20], description="n whose noise is repeated without the network")
    temperatures_k: list[Kelvin] = Field(
        [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 120, 140, 170, 200, 250, 300, 350, 400],
        min_length=2,
        description="of Metropolis, a job each",
    )
    proposals: int = Field(24_000, ge=1, description="of each Metropolis chain")
    proposals_burn_in: int = Field(5_000, ge=0, description="first ones, which find the step size")
    seed: int = 0
