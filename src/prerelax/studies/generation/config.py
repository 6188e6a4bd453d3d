"""The part `studies.generation` of a campaign config."""

from collections.abc import Iterator
from typing import Self

from pydantic import Field

from prerelax.campaign.config import Campaign
from prerelax.campaign.data_path import DataPath
from prerelax.settings import Settings
from prerelax.studies.study import SPARSE, Study, StudyFigure, StudyFiles, target_complaints

CHAIN, END_ENERGIES = "generated/chain.npz", "generated/energies.extxyz"
"""In the results of a campaign."""


class ChainEnd(Settings):
    """Energies along the end of the generating chain, where elements are final (paper E, figure 3)."""

    target: str
    steps: int = Field(50, ge=1, description="the last steps, from where a molecule's elements are final")
    molecules: int = Field(20, ge=1)
    every: int = Field(1, ge=1, description="evaluate every N-th geometry")


class GenerationStudy(Settings, Study):
    """Molecules from noise, and the phases they go through (paper E, figures 2, 14 and 15)."""

    model: str = Field(description="a denoiser of this campaign, a shipped model or a model folder")
    sizes_like: DataPath = Field(description="npz set whose numbers of atoms the molecules have")
    molecules: int = Field(100, ge=1)
    seed: int = 0
    batch_size: int = Field(64, ge=1)
    end: ChainEnd | None = None

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        if self.end:
            yield from target_complaints(campaign, "generation.end", self.end.target)

    def in_small(self, n: int) -> Self:
        end = self.end and self.end.model_copy(
            update={"molecules": min(n, self.end.molecules), "every": max(SPARSE, self.end.every)}
        )
        return self.model_copy(update={"molecules": min(n, self.molecules), "end": end})

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        yield StudyFigure(
            "phases",
            ["generation", "phases", f"{files.results}/{CHAIN}"],
            [f"{files.results}/{CHAIN}"],
            None,
            "phases of generation",
            "generation/report/phases.rst",
        )
        yield StudyFigure(
            "samples",
            ["generation", "samples", f"{files.results}/{CHAIN}"],
            [f"{files.results}/{CHAIN}"],
            None,
            "generated molecules",
            "generation/report/samples.rst",
            more=[],
        )
        if self.end:
            yield StudyFigure(
                "chain_end",
                ["generation", "energies", f"{files.results}/{END_ENERGIES}"],
                [f"{files.results}/{END_ENERGIES}"],
                self.end,
                "energies along the end of the chain",
                "generation/report/chain_end.rst",
            )


KEYS = {"generation": GenerationStudy}
