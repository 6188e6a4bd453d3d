"""The part `studies.paths` of a campaign config."""

from collections.abc import Iterator
from typing import Self

from pydantic import Field

from prerelax.campaign.config import Campaign
from prerelax.settings import Settings
from prerelax.studies.study import (
    SPARSE,
    ByTarget,
    PathsEvaluated,
    StudyFigure,
    StudyFiles,
    at_most,
    target_complaints,
)


class PathSettings(Settings):
    """Whose paths are drawn."""

    starts: list[str] = Field(min_length=1, description="starts of the sampler edm, drawn in one figure")
    molecules: int | None = Field(
        None,
        ge=1,
        description="only the first N that the target treats; random ones where the campaign draws",
    )
    every: int = Field(1, ge=1, description="evaluate every N-th geometry of a path")
    zero: str | None = Field(None, description="the start whose minimum is the paper's zero: the data set's")


class PathStudy(ByTarget[PathSettings]):
    """Energies along the paths of `edm` starts, by target (paper E, figure 4)."""

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        for target, paths in self.root.items():
            yield from target_complaints(campaign, f"paths.{target}", target, paths.starts, of_edm=True)
            if paths.zero:
                yield from target_complaints(campaign, f"paths.{target}.zero", target, [paths.zero])

    def in_small(self, n: int) -> Self:
        return type(self)(
            {
                target: paths.model_copy(
                    update={"molecules": at_most(n, paths.molecules), "every": max(SPARSE, paths.every)}
                )
                for target, paths in self.root.items()
            }
        )

    def paths_evaluated(self) -> Iterator[PathsEvaluated]:
        for target, paths in self.root.items():
            for start in paths.starts:
                yield PathsEvaluated(target, start, paths.molecules, paths.every)

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        for target, paths in self.root.items():
            yield StudyFigure(
                f"paths_{target}",
                ["paths", files.results, target],
                files.evaluated(target, paths.starts)
                + files.relaxed(target, [paths.zero] if paths.zero else []),
                paths,
                f"energies along the paths, {target}",
                "paths/report/paths.rst",
            )


KEYS = {"paths": PathStudy}
