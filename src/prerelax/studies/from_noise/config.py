"""The parts of a campaign's `studies` about MoreRed's generation and its prediction of time steps.

Kahouli et al., MLST 2024, 5, 035038; what is drawn: docs/guide/studies.md.
"""

from typing import Annotated, Literal

from pydantic import Field

from prerelax.campaign.data_path import DataPath
from prerelax.studies.study import Study

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class SamplingRun(Study):
    """One way from noise to molecules."""

    model: str = Field(description="a denoiser of this campaign, a shipped model or a model folder")
    sampler: Literal["ddpm", "itp", "as", "jt"] = Field(
        description="ddpm: the fixed schedule; as, jt: the step is predicted at every iteration"
    )
    max_iterations: int = Field(2000, ge=1, description="of as and jt; the paper's limit")


class Compositions(Study):
    """Whose elements the molecules have."""

    like: DataPath = Field(description="npz set from whose molecules compositions are drawn")
    molecules: int = Field(500, ge=1, description="for each run; the paper: 10 000")


class FromNoiseStudy(Study):
    """Validity, uniqueness and novelty of molecules from noise (paper M, table 1, figures 12, 17, 18)."""

    runs: dict[Name, SamplingRun] = Field(min_length=1, description="by name; all begin with the same noise")
    compositions: dict[Name, Compositions] = Field(min_length=1, description="by name; a panel for each")
    known: list[DataPath] = Field(
        min_length=1, description="npz sets and .smi files; what is in none of them is novel"
    )
    limits: list[Annotated[int, Field(ge=1)]] = Field(
        [250, 500, 1000, 1500, 2000], description="iterations after which molecules are looked at, too"
    )
    shard_size: int = Field(100, ge=1, description="molecules that one job generates")
    batch_size: int = Field(128, ge=1)
    seed: int = 0
    pictures: int = Field(8, ge=1, description="molecules drawn of every run, evenly spaced")


class ScheduleStudy(Study):
    """Predicted steps while noise is removed, by a fixed and an adaptive schedule, and the RMSD after
    (paper M, figures 3b and 13). MMFF94 minima are treated as well where the set has them."""

    model: str = Field(description="a joint model: a denoiser, a shipped model, a folder")
    structures: DataPath = Field(description="npz set of minima, to which noise is added")
    molecules: int = Field(50, ge=1)
    steps: list[Annotated[int, Field(ge=1)]] = Field([30, 60, 90], description="of the noise added")
    max_iterations: int = Field(1000, ge=1)
    seed: int = 0


class ShellStudy(Study):
    """How far noise carries a geometry in many dimensions, and the step that a network sees in it
    (paper M, figure 7)."""

    model: str = Field(description="a model that predicts the time: a denoiser, a shipped model, a folder")
    structures: DataPath = Field(description="npz set of minima, to which noise is added")
    molecules: int = Field(200, ge=1)
    points: int = Field(40, ge=2, description="steps of the schedule, evenly spaced")
    seed: int = 0
