"""The part `studies.outlier` of a campaign config."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from prerelax.campaign.config import Campaign
from prerelax.settings import Settings
from prerelax.studies.study import ByTarget, StudyFigure, StudyFiles, target_complaints


class OutlierSettings(Settings):
    """Starts compared with the baseline."""

    baseline: str = "mmff94"
    starts: list[str] = Field(min_length=1)


class OutlierStudy(ByTarget[Annotated[list[str], Field(min_length=1)]]):
    """Starts among which the largest energy delta is drawn, by target (paper E, figure 16)."""

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        for target, starts in self.root.items():
            yield from target_complaints(campaign, f"outlier.{target}", target, starts)

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        baseline = files.campaign.baseline.start
        for target, starts in self.root.items():
            yield StudyFigure(
                f"outlier_{target}",
                ["outlier", files.results, target],
                files.relaxed(target, [baseline, *starts]),
                OutlierSettings(baseline=baseline, starts=starts),
                f"the largest energy delta, {target}",
                "outlier/report/outlier.rst",
                more=[],
            )


KEYS = {"outlier": OutlierStudy}
