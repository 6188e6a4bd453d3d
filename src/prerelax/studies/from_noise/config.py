"""The part `studies.from_noise` of a campaign config: MoreRed's generation.

Kahouli et al., MLST 2024, 5, 035038; what is drawn: docs/guide/studies.md.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field

from prerelax.campaign.data_path import DataPath
from prerelax.campaign.section import Name
from prerelax.settings import Settings
from prerelax.studies.study import Study, StudyFigure, StudyFiles, part

Sampler = Literal["ddpm", "itp", "as", "jt"]
Limit = Annotated[int, Field(ge=1)]


class SamplingRun(Settings):
    """One way from noise to molecules."""

    model: str = Field(description="a denoiser of this campaign, a shipped model or a model folder")
    sampler: Sampler = Field(
        description="ddpm: the fixed schedule; as, jt: the step is predicted at every iteration"
    )
    max_iterations: int = Field(2000, ge=1, description="of as and jt; the paper's limit")


class Compositions(Settings):
    """Whose elements the molecules have."""

    like: DataPath = Field(description="npz set from whose molecules compositions are drawn")
    molecules: int = Field(500, ge=1, description="for each run; the paper: 10 000")


class Sampling(Settings):
    """How molecules are made from noise."""

    sampler: Sampler = "jt"
    max_iterations: int = Field(2000, ge=1, description="of as, itp and jt; the paper's limit")
    limits: list[Limit] = Field([], description="iterations after which the geometry is kept, too")
    seed: int = Field(0, description="of compositions and noise")
    batch_size: int = Field(128, ge=1, description="molecules at once")


class SampleSettings(Sampling):
    """Molecules of one run that one job makes."""

    model: str = Field(description="a MoreRed model's name or folder")
    like: DataPath = Field(description="npz set from whose molecules compositions are drawn")
    molecules: int = Field(500, ge=1, description="how many compositions are drawn")
    first: int = Field(0, ge=0, description="make those from this one on, counted from 0")
    at_most: int | None = Field(None, ge=1, description="and at most so many")


class DrawnRuns(Settings):
    """Runs that are drawn in one figure."""

    runs: list[tuple[Name, Name]] = Field(min_length=1, description="compositions and run of each")
    pictures: int = Field(8, ge=1, description="molecules drawn of a run, evenly spaced")


class FromNoiseStudy(Settings, Study):
    """Validity, uniqueness and novelty of molecules from noise (paper M, table 1, figures 12, 17, 18)."""

    runs: dict[Name, SamplingRun] = Field(min_length=1, description="by name; all begin with the same noise")
    compositions: dict[Name, Compositions] = Field(min_length=1, description="by name; a panel for each")
    known: list[DataPath] = Field(
        min_length=1, description="npz sets and .smi files; what is in none of them is novel"
    )
    limits: list[Limit] = Field(
        [250, 500, 1000, 1500, 2000], description="iterations after which molecules are looked at, too"
    )
    shard_size: int = Field(100, ge=1, description="molecules that one job generates")
    batch_size: int = Field(128, ge=1)
    seed: int = 0
    pictures: int = Field(8, ge=1, description="molecules drawn of every run, evenly spaced")

    @property
    def sampled(self) -> list[tuple[str, str]]:
        """Every set of compositions with every run."""
        return [(compositions, run) for compositions in self.compositions for run in self.runs]

    def in_small(self, n: int) -> Self:
        runs = {
            name: run.model_copy(update={"max_iterations": min(_FEW, run.max_iterations)})
            for name, run in self.runs.items()
        }
        compositions = {
            name: each.model_copy(update={"molecules": min(n, each.molecules)})
            for name, each in self.compositions.items()
        }
        limits = [_FEW // 2, _FEW]
        return self.model_copy(update={"runs": runs, "compositions": compositions, "limits": limits})

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        folder, category = f"{files.results}/from_noise", "Molecules from noise"
        judged = {each: f"{folder}/{each[0]}/{each[1]}/judged.csv" for each in self.sampled}
        everything = [*judged.values(), f"{folder}/known.smi"]
        yield StudyFigure(
            "generation",
            ["from-noise", "shares", folder],
            everything,
            part(DrawnRuns, self, runs=self.sampled),
            "validity, uniqueness, novelty",
            "from_noise/report/generation.rst",
            category,
            more=["_numbers.csv", "_runs.csv"],
        )
        for name in self.compositions:
            yield StudyFigure(
                f"generation_limits_{name}",
                ["from-noise", "limits", folder],
                everything,
                part(DrawnRuns, self, runs=[each for each in self.sampled if each[0] == name]),
                f"limit on iterations, {name}",
                "from_noise/report/generation_limits.rst",
                category,
                more=[],
            )
        for (name, run), table in judged.items():
            yield StudyFigure(
                f"generated_{name}_{run}",
                ["from-noise", "pictures", folder],
                [table],
                part(DrawnRuns, self, runs=[(name, run)]),
                f"pictures, {name}, {run}",
                "from_noise/report/generated.rst",
                category,
                more=[],
            )

    def sample(self, compositions: str, run: str, first: int) -> SampleSettings:
        """The molecules of a run that one job makes, from number `first` on."""
        parts = (self, self.runs[run], self.compositions[compositions])
        return part(SampleSettings, *parts, first=first, at_most=self.shard_size)


_FEW = 20
"""Iterations in small."""

KEYS = {"from_noise": FromNoiseStudy}
