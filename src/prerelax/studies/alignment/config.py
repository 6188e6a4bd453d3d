"""The part `studies.alignment` of a campaign config."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field

from prerelax.campaign.config import Campaign
from prerelax.settings import Settings
from prerelax.studies.study import (
    ByTarget,
    PathsEvaluated,
    StudyFigure,
    StudyFiles,
    at_most,
    target_complaints,
)


class AlignmentSettings(Settings):
    """Whose paths are looked at, and how many steps are summed."""

    starts: list[str] = Field(min_length=1, description="starts of the sampler edm, one column each")
    molecules: int | None = Field(
        None,
        ge=1,
        description="only the first N that the target treats; random ones where the campaign draws",
    )
    sums: list[Annotated[int, Field(ge=1)]] = Field([1, 10, 30], description="k: how many coming steps")


class AlignmentStudy(ByTarget[AlignmentSettings]):
    """Cosines between coming steps, forces and the way to the minimum, by target (paper E, figure 6)."""

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        for target, alignment in self.root.items():
            yield from target_complaints(
                campaign, f"alignment.{target}", target, alignment.starts, of_edm=True
            )

    def in_small(self, n: int) -> Self:
        return type(self)(
            {
                target: each.model_copy(update={"molecules": at_most(n, each.molecules)})
                for target, each in self.root.items()
            }
        )

    def paths_evaluated(self) -> Iterator[PathsEvaluated]:
        for target, alignment in self.root.items():
            for start in alignment.starts:
                yield PathsEvaluated(target, start, alignment.molecules, every=1)

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        for target, alignment in self.root.items():
            yield StudyFigure(
                f"alignment_{target}",
                ["alignment", files.results, target],
                files.evaluated(target, alignment.starts),
                alignment,
                f"steps, forces and the way to the minimum, {target}",
                "alignment/report/alignment.rst",
            )


KEYS = {"alignment": AlignmentStudy}
